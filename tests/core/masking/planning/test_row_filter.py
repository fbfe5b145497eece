"""Rows that are left out, and with them what needs them; what is kept fits together."""

from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.hooks import MakeHook

KEY = "a key that nobody can guess"
# Composite keys, a self reference, partitions on both sides, a reference that may be null.
TREE_SQL = """
CREATE TABLE tenants (id int PRIMARY KEY, at timestamptz NOT NULL);
INSERT INTO tenants SELECT n, now() - n * interval '1 day' FROM generate_series(1, 40) n;
CREATE TABLE staff (
    tenant int REFERENCES tenants, number int, boss int, mail text UNIQUE, pay int,
    PRIMARY KEY (tenant, number), FOREIGN KEY (tenant, boss) REFERENCES staff (tenant, number)
);
INSERT INTO staff
    SELECT 1 + n % 40, n, CASE WHEN n > 40 THEN n - 40 END, 'mail' || n,
        CASE WHEN n % 3 > 0 THEN n % 100 END
    FROM generate_series(1, 800) n;
CREATE TABLE events (
    tenant int, number int, day int, boss_mail text REFERENCES staff (mail), note text,
    FOREIGN KEY (tenant, number) REFERENCES staff, PRIMARY KEY (day, tenant, number)
) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (day);
CREATE TABLE events_2_1 PARTITION OF events_2 DEFAULT;
INSERT INTO events
    SELECT 1 + n % 40, n, n % 20, CASE WHEN n % 5 > 0 THEN 'mail' || 1 + n % 800 END, 'note'
    FROM generate_series(1, 800) n;
CREATE TABLE notes (
    day int, tenant int, number int, FOREIGN KEY (day, tenant, number) REFERENCES events
);
INSERT INTO notes SELECT day, tenant, number FROM events;
INSERT INTO notes VALUES (NULL, 1, 1), (NULL, NULL, NULL);
CREATE TABLE alone (id int); INSERT INTO alone VALUES (1);
"""


@pytest.fixture
def tree(make_database: MakeDatabase) -> str:
    return make_database(TREE_SQL)


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize("method", ["dump", "copy"])
def test_what_needs_rows_that_are_left_out_is_left_out(
    server: Server,
    tree: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
    is_split: bool,
    method: str,
) -> None:
    if is_split:
        split_small_tables(monkeypatch, 8192)
    arguments: dict[str, Any] = {
        "rows": {
            "public.tenants": "at > now() - interval '20 days'",
            "public.staff": "staff.number <> 45",
        },
        "follow_fks": True,
        "masks": {
            "public.staff": {"mail": "hash", "pay": {"bucket": 10}},
            "public.events": {"boss_mail": "hash"},
        },
        "mask_key": KEY,
    }
    hook = make_hook(tree)
    if method == "copy":
        hook.copy(target="subset", method="stream", **arguments)
    else:
        make_hook("subset").restore(hook.dump(jobs=3, **arguments))
    # All foreign keys were made anew of what came. The same, said in another way:
    staff = """
        WITH RECURSIVE kept AS (
            SELECT s.* FROM staff s JOIN tenants t ON t.id = s.tenant
            WHERE t.at > now() - interval '20 days' AND s.number <> 45 AND s.boss IS NULL
            UNION ALL
            SELECT s.* FROM staff s JOIN kept k ON (k.tenant, k.number) = (s.tenant, s.boss)
            WHERE s.number <> 45
        )
    """
    events = f"""{staff}, e AS (
        SELECT e.* FROM events e JOIN kept k USING (tenant, number)
        WHERE boss_mail IS NULL OR boss_mail IN (SELECT mail FROM kept))
    """
    for table, query in {
        "tenants": "SELECT id FROM tenants WHERE at > now() - interval '20 days'",
        "staff": f"{staff} SELECT tenant, number FROM kept",
        "events": f"{events} SELECT day, tenant, number FROM e",
        "notes": f"{events} SELECT n.* FROM notes n WHERE day IS NULL OR EXISTS "
        "(SELECT FROM e WHERE (e.day, e.tenant, e.number) = (n.day, n.tenant, n.number))",
        "alone": "SELECT id FROM alone",
    }.items():
        columns = {"tenants": "id", "notes": "*", "alone": "id", "staff": "tenant, number"}
        found = server.rows(
            "subset", f"SELECT {columns.get(table, 'day, tenant, number')} FROM {table}"
        )
        expected = server.rows(tree, query)
        assert sorted(map(str, found)) == sorted(map(str, expected)), table
    assert 0 < server.value("subset", "SELECT count(*) FROM staff") < 400
    joined = "SELECT count(*) FROM events JOIN staff ON mail = boss_mail"
    assert server.value("subset", joined) == server.value(
        "subset", "SELECT count(boss_mail) FROM events"
    )


def test_what_a_report_counts_survives_masking(
    server: Server, tree: str, make_hook: MakeHook
) -> None:
    masks = {
        "public.staff": {"mail": "hash", "pay": {"bucket": 10}},
        "public.events": {"boss_mail": "hash", "note": "text"},
    }
    make_hook("masked").restore(make_hook(tree).dump(masks=masks, mask_key=KEY))
    for query in (
        "SELECT count(*), count(mail), count(DISTINCT mail) FROM staff",
        "SELECT count(*), count(boss_mail), count(DISTINCT boss_mail) FROM events",
        "SELECT tableoid::regclass::text, count(*) FROM events GROUP BY 1 ORDER BY 1",
        "SELECT floor(pay / 10.0) * 10, count(*) FROM staff GROUP BY 1 ORDER BY 1",
        "SELECT count(*) FROM events JOIN staff ON mail = boss_mail",
        "SELECT length(note), count(*) FROM events GROUP BY 1",
    ):
        assert server.rows("masked", query) == server.rows(tree, query), query


def test_an_excluded_parent_has_no_children(server: Server, tree: str, make_hook: MakeHook) -> None:
    rows = {"public.alone": "true"}
    key = make_hook(tree).dump(exclude=["public.staff"], follow_fks=True, rows=rows)
    make_hook("subset").restore(key)
    tables = ("tenants", "staff", "events", "notes")
    counts = [server.value("subset", f"SELECT count(*) FROM {table}") for table in tables]
    assert counts == [40, 0, 0, 2]


CITEXT_SQL = """
CREATE SCHEMA "Lib"; CREATE EXTENSION citext SCHEMA "Lib";
CREATE DOMAIN public.code AS "Lib".citext;
CREATE TABLE parents (code "Lib".citext, n int, kept bool, PRIMARY KEY (code, n));
CREATE TABLE children (
    id int PRIMARY KEY, code code, n int, FOREIGN KEY (code, n) REFERENCES parents
);
CREATE TABLE tree (code "Lib".citext PRIMARY KEY, up "Lib".citext REFERENCES tree, kept bool);
INSERT INTO parents VALUES ('abc', 1, true), ('def', 1, false);
INSERT INTO children VALUES (1, 'ABC', 1), (2, 'abc', 1), (3, 'DEF', 1), (4, 'x', NULL);
INSERT INTO tree VALUES
    ('abc', NULL, false), ('def', 'ABC', true), ('ghi', 'DEF', true), ('jkl', 'JKL', true);
"""


@pytest.mark.parametrize("method", ["dump", "copy"])
def test_keys_are_compared_as_their_foreign_key_does(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook, method: str
) -> None:
    hook = make_hook(make_database(CITEXT_SQL))
    rows = {"public.parents": "kept", "public.tree": "kept"}
    arguments: dict[str, Any] = {"rows": rows, "follow_fks": True}
    if method == "copy":
        hook.copy(target="subset", method="stream", **arguments)
    else:
        make_hook("subset").restore(hook.dump(**arguments))
    assert server.rows("subset", "SELECT id FROM children ORDER BY 1") == [(1,), (2,), (4,)]
    assert server.rows("subset", "SELECT code::text FROM tree") == [("jkl",)]
    rows = {"public.parents": "kept", "public.children": "id <> 3"}
    make_hook("subset").restore(hook.dump(rows=rows))
    assert server.value("subset", "SELECT count(*) FROM children") == 3
    with pytest.raises(InvalidInputError, match=r"children refer to rows of public\.parents"):
        hook.dump(rows={"public.parents": "kept"})


def test_sides_of_a_key_are_of_the_types_of_its_columns(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    """The operator takes that of the parent first."""
    database = make_database(
        "CREATE TABLE parents (id bigint PRIMARY KEY, kept bool); "
        "CREATE TABLE children (id smallint REFERENCES parents); "
        "INSERT INTO parents VALUES (1, true), (2, false); INSERT INTO children VALUES (1), (2)"
    )
    key = make_hook(database).dump(rows={"public.parents": "kept"}, follow_fks=True)
    make_hook("subset").restore(key)
    assert server.rows("subset", "SELECT id FROM children") == [(1,)]


def test_a_circle_is_refused(make_database: MakeDatabase, make_hook: MakeHook) -> None:
    database = make_database(
        "CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int "
        "REFERENCES a); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b"
    )
    with pytest.raises(InvalidInputError, match=r"in a circle through public\.a and public\.b"):
        make_hook(database).dump(rows={"public.a": "id > 1"}, follow_fks=True)
    # What is not filtered may be as it is.
    make_hook(database).dump(rows={"public.a": "id > 1"})

"""Corners in which a mask could fail to apply, or a dump that cannot be restored come out."""

from typing import Any

import pytest

from airflow_provider_pgclone.core.catalog import Held, Selection
from airflow_provider_pgclone.core.errors import (
    BusyError,
    PermanentError,
    PgCloneError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.masking.planning.plan import plan_masking
from airflow_provider_pgclone.core.masking.planning.request import Masking
from airflow_provider_pgclone.core.masking.rules.language import read_masks
from airflow_provider_pgclone.core.reading import snapshot
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.hooks import MakeHook

KEY = "a key that nobody can guess"


@pytest.mark.parametrize(
    ("statements", "masks", "reason"),
    [
        pytest.param(
            "CREATE TABLE audit (id int, email text) PARTITION BY LIST (id); "
            "CREATE TABLE log_1 PARTITION OF audit DEFAULT; CREATE TABLE log_plain (email text)",
            {"public.log_*": {"email": "hash"}},
            "matches the partition public.log_1 but not public.audit",
            id="a pattern of partitions beside a table",
        ),
        pytest.param(
            "CREATE TABLE a (email text); CREATE TABLE b (email text); "
            "CREATE TABLE c () INHERITS (a, b)",
            {"public.a": {"email": "hash"}, "public.b": {"email": "null"}},
            "public.c.email has two rules by inheritance",
            id="two masks by inheritance",
        ),
        pytest.param(
            "CREATE TABLE t (code text, tail int GENERATED ALWAYS AS (substr(code, 2)::int) STORED)"
            "; INSERT INTO t VALUES ('x1')",
            {"public.t": {"code": "name"}},
            "computed from the masked columns code of public.t",
            id="a generated column that cannot be computed",
        ),
        pytest.param(
            "CREATE TABLE t (code text, tail text GENERATED ALWAYS AS (code) STORED NOT NULL);"
            "INSERT INTO t VALUES ('x1')",
            {"public.t": {"code": "null"}},
            "violate NOT NULL of tail",
            id="a generated column that must not be null",
        ),
        pytest.param(
            "CREATE TABLE t (code text); CREATE INDEX ON t ((substr(code, 2)::int)); "
            "INSERT INTO t VALUES ('x1')",
            {"public.t": {"code": "name"}},
            "computed from the masked columns code of public.t",
            id="an index that cannot be built",
        ),
        pytest.param(
            "CREATE TABLE t (phone text, email text); "
            "CREATE UNIQUE INDEX ON t (phone) INCLUDE (email); "
            "INSERT INTO t SELECT n, n FROM generate_series(1, 500) n",
            {"public.t": {"phone": "first_name", "email": "null"}},
            "t_phone_email_idx",
            id="a column that an index only includes",
        ),
        pytest.param(
            "CREATE TABLE t (tags text[] UNIQUE); INSERT INTO t VALUES "
            "('{a,b,c,d}'), ('{{a,b},{c,d}}')",
            {"public.t": {"tags": "hash"}},
            "t_tags_key",
            id="arrays of another shape",
        ),
        pytest.param(
            "CREATE TABLE u (e text, k text GENERATED ALWAYS AS (lower(e)) STORED UNIQUE); "
            "CREATE TABLE o (k text REFERENCES u (k))",
            {"public.u": {"e": "hash"}},
            "generated column public.u.k is part of the foreign key",
            id="a reference to a generated column",
        ),
        pytest.param(
            "CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%'); CREATE TABLE t (m mail[]); "
            "INSERT INTO t VALUES ('{a@b}')",
            {"public.t": {"m": "name"}},
            "the mask of the column public.t.m",
            id="an array of a domain",
        ),
        pytest.param(
            "CREATE TABLE t (id int, e text); CREATE FUNCTION fine(t) RETURNS bool IMMUTABLE "
            "LANGUAGE sql RETURN ($1).e LIKE 'x%'; ALTER TABLE t ADD CHECK (fine(t.*)); "
            "INSERT INTO t VALUES (1, 'x')",
            {"public.t": {"e": "name"}},
            "the masked columns e of public.t",
            id="a check of the whole row",
        ),
    ],
)
def test_it_is_refused_before_the_dump(
    make_database: MakeDatabase,
    make_hook: MakeHook,
    statements: str,
    masks: dict[str, Any],
    reason: str,
) -> None:
    hook = make_hook(make_database(statements))
    with pytest.raises(PermanentError) as caught:
        hook.dump(masks=masks, mask_key=KEY)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("statements", "arguments", "query", "expected"),
    [
        pytest.param(
            "CREATE TABLE people (email text); CREATE TABLE staff () INHERITS (people); "
            "INSERT INTO staff VALUES ('secret')",
            {"masks": {"public.people": {"email": "null"}, "public.s*": {"email": "keep"}}},
            "SELECT count(email) FROM staff",
            0,
            id="a pattern that keeps what a parent masks",
        ),
        pytest.param(
            "CREATE TABLE people (email text); CREATE TABLE staff () INHERITS (people); "
            "INSERT INTO staff VALUES ('fine')",
            {"masks": {"public.people": {"email": "null"}, "public.staff": {"email": "keep"}}},
            "SELECT email FROM staff",
            "fine",
            id="a table that keeps what its parent masks",
        ),
        pytest.param(
            "CREATE TABLE t (j jsonb); "
            """INSERT INTO t VALUES ('{"$email": "secret", "email": 1}')""",
            {"masks": {"public.t": {"j": {"json": {"$email": "null"}}}}},
            "SELECT j::text FROM t",
            '{"email": 1, "$email": null}',
            id="a key with a dollar",
        ),
        pytest.param(
            """CREATE TABLE t (j jsonb NOT NULL); INSERT INTO t VALUES ('{"email": "secret"}')""",
            {"masks": {"public.t": {"j": {"json": {"x": "keep", "email": "null"}}}}},
            "SELECT j::text FROM t",
            '{"email": null}',
            id="a kept key that is missing",
        ),
        pytest.param(
            "CREATE EXTENSION citext; CREATE TABLE p (e citext PRIMARY KEY); CREATE TABLE c "
            "(e citext REFERENCES p); INSERT INTO p VALUES ('Jane'); INSERT INTO c VALUES ('jane')",
            {"masks": {"public.?": {"e": "hash"}}},
            "SELECT count(*) FROM c JOIN p USING (e) WHERE e <> 'jane'",
            1,
            id="letters that are alike",
        ),
        pytest.param(
            "CREATE TABLE t (g int GENERATED ALWAYS AS (1) STORED); CREATE TABLE none (); "
            "INSERT INTO none SELECT FROM generate_series(1, 3); INSERT INTO t DEFAULT VALUES",
            {"rows": {"public.*": "true"}},
            "SELECT (SELECT count(*) FROM none) + (SELECT sum(g) FROM t)",
            4,
            id="no column to read",
        ),
        pytest.param(
            "CREATE TABLE p (day int, id int, PRIMARY KEY (day, id)) PARTITION BY LIST (day); "
            "CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p_2 PARTITION OF p "
            "FOR VALUES IN (2); INSERT INTO p VALUES (1, 1), (2, 2); CREATE TABLE c (day int, id "
            "int, FOREIGN KEY (day, id) REFERENCES p); INSERT INTO c VALUES (1, 1), (2, 2)",
            {"rows": {"public.p": "true"}, "follow_fks": True, "exclude": ["public.p_2"]},
            "SELECT count(*) FROM c",
            1,
            id="a partition that is left out",
        ),
        pytest.param(
            "CREATE TABLE t (kids int, pay float8); INSERT INTO t SELECT n % 5, n FROM "
            "generate_series(1, 500) n",
            {"masks": {"public.t": {"kids": "noise"}}},
            "SELECT count(*) FROM t WHERE kids = pay::int % 5 AND kids > 0",
            0,
            id="noise of small numbers",
        ),
    ],
)
def test_it_is_masked_and_restored(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    statements: str,
    arguments: dict[str, Any],
    query: str,
    expected: object,
) -> None:
    key = make_hook(make_database(statements)).dump(**arguments, mask_key=KEY)
    make_hook("masked").restore(key)
    assert server.value("masked", query) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE left_out RENAME TO old; ALTER TABLE fine RENAME TO left_out; "
        "ALTER TABLE old RENAME TO fine",
        "ALTER TABLE users RENAME TO old; ALTER TABLE users_new RENAME TO users; "
        "ALTER TABLE old RENAME TO users_new",
        "ALTER TABLE users RENAME email TO x; ALTER TABLE users RENAME note TO email; "
        "ALTER TABLE users RENAME x TO note",
    ],
)
def test_what_is_renamed_meanwhile_is_not_dumped_as_something_else(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
) -> None:
    database = make_database(
        "CREATE TABLE users (email text, note text); INSERT INTO users VALUES ('secret', 'fine'); "
        "CREATE TABLE users_new (LIKE users); CREATE TABLE left_out AS SELECT 'secret' AS s; "
        "CREATE TABLE fine (s text)"
    )

    def renamed_then(*arguments: Any) -> Any:
        plan = plan_masking(*arguments)
        server.run(database, statement)
        return plan

    hook = make_hook(database)
    monkeypatch.setattr(snapshot, "plan_masking", renamed_then)
    with pytest.raises(BusyError, match="was renamed"):
        hook.dump(masks={"public.users": {"email": "null"}}, exclude=["public.left_out"])
    assert hook.ls() == []


@pytest.mark.parametrize(
    "bound",
    [
        "CREATE TABLE owned.t (id int, email text CHECK (owned.seen(email)))",
        "CREATE DOMAIN owned.mail AS text CHECK (owned.seen(VALUE)); "
        "CREATE TABLE owned.t (id int, email owned.mail)",
        "CREATE DOMAIN owned.mail AS text CHECK (owned.seen(VALUE)); "
        "CREATE TABLE owned.t (id int, email owned.mail[])",
        "CREATE TABLE owned.t (id int, email text); CREATE INDEX ON owned.t (owned.seen(email))",
        "CREATE TABLE owned.t (id int, email text, "
        "g bool GENERATED ALWAYS AS (owned.seen(email)) STORED)",
    ],
)
def test_no_function_of_somebody_else_is_called(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook, bound: str
) -> None:
    """It would have the rights of the dump, and the key."""
    database = make_database(
        "DO $$ BEGIN CREATE ROLE masks_stranger; EXCEPTION WHEN duplicate_object THEN END $$; "
        "CREATE SCHEMA owned AUTHORIZATION masks_stranger; SET ROLE masks_stranger; "
        "CREATE FUNCTION owned.seen(e text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE WARNING 'called'; RETURN true; END $$; "
        f"{bound}; INSERT INTO owned.t (id) VALUES (1)"
    )
    hook = make_hook(database)
    with pytest.raises(PermanentError, match=r"calls the function owned\.seen, which belongs to"):
        hook.dump(masks={"owned.t": {"email": "null" if "mail" in bound else "text"}}, mask_key=KEY)
    if "INDEX" in bound:  # of which PostgreSQL computes parts to plan any query
        with pytest.raises(PermanentError, match=r"a query of owned\.t calls"):
            hook.dump(masks={"owned.t": {"id": "null"}})
        with pytest.raises(PermanentError, match="no checksums can be taken"):
            hook.dump(checksums=True)
        with pytest.raises(PermanentError, match=r"a query of owned\.t calls"):
            hook.propose_masks()
    else:
        hook.dump(masks={"owned.t": {"id": "null"}})
    hook.dump()
    masks = {"owned.t": {"email": "text"}}
    hook.dump(masks=masks, mask_key=KEY, trusted_owners=["masks_stranger"])
    server.run(database, "ALTER FUNCTION owned.seen OWNER TO CURRENT_USER")
    if "DOMAIN" in bound:
        with pytest.raises(PermanentError, match=r"the owner masks_stranger of its type"):
            hook.dump(masks=masks, mask_key=KEY)
        server.run(database, "ALTER DOMAIN owned.mail OWNER TO CURRENT_USER")
    hook.dump(masks=masks, mask_key=KEY)


def test_a_table_of_a_strangers_function_is_read_by_pg_dump_alone(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Planning a query of it would compute the constant of its index, by a call."""
    split_small_tables(monkeypatch, 8192)
    database = make_database(
        "DO $$ BEGIN CREATE ROLE masks_stranger; EXCEPTION WHEN duplicate_object THEN END $$; "
        "CREATE SCHEMA owned AUTHORIZATION masks_stranger; SET ROLE masks_stranger; "
        "CREATE FUNCTION owned.seen(e text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS "
        "$$ BEGIN IF current_setting('is_superuser') = 'on' THEN RAISE EXCEPTION 'called'; END IF; "
        "RETURN e; END $$; CREATE TABLE owned.t (id int, e text); "
        "CREATE INDEX ON owned.t (owned.seen('a')); "
        "INSERT INTO owned.t SELECT n, md5(n::text) FROM generate_series(1, 5000) n"
    )
    hook = make_hook(database)
    assert hook.inspect(hook.dump())["tables"]["owned.t"] == 5000


def test_functions_on_the_search_path_are_not_called(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split_small_tables(monkeypatch, 8192)
    database = make_database(
        "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 5000) n; "
        "CREATE FUNCTION public.format(text, name, name) RETURNS text LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'called'; END $$; "
        "CREATE FUNCTION public.format(text, name, name, name) RETURNS text LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'called'; END $$"
    )
    make_hook(database).dump(masks={"public.t": {"md5": "null"}})


@pytest.mark.parametrize(
    "rule",
    ["regexp_split_to_table(e, ',')", "'u' || count(e)", "'u' || row_number() OVER (ORDER BY e)"],
)
def test_a_mask_is_one_value_of_its_row(
    make_database: MakeDatabase, make_hook: MakeHook, rule: str
) -> None:
    database = make_database("CREATE TABLE t (e text); INSERT INTO t VALUES ('a,b'), ('c')")
    with pytest.raises(PermanentError, match=r"the mask of the column public\.t\.e"):
        make_hook(database).dump(masks={"public.t": {"e": {"sql": rule}}})


@pytest.mark.parametrize("style", ["'SQL, DMY'", "German"])
def test_a_database_with_settings_of_its_own_is_masked_alike(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook, style: str
) -> None:
    database = make_database(
        "CREATE TABLE t (id int, born date, at timestamptz, note text); INSERT INTO t VALUES "
        "(1, '1990-12-31', '2024-01-01 20:00+00', 'a\\b'), (2, '1991-01-02', '2024-01-02', 'c')"
    )
    arguments: dict[str, Any] = {
        "masks": {"public.t": {"born": {"sql": "date_trunc('year', born::date)::date"},
                               "note": {"sql": "left(note, 1) || E'\\\\'"}}},
        "rows": {"public.t": "at >= '2024-01-02'"},
        "checksums": True,
    }  # fmt: skip
    hook = make_hook(database)
    make_hook("plain").restore(hook.dump(**arguments), checksums=True)
    for setting in (
        f"datestyle = {style}", "timezone = 'Asia/Tokyo'", "standard_conforming_strings = off"
    ):  # fmt: skip
        server.run("postgres", f"ALTER DATABASE {database} SET {setting}")
    make_hook("other").restore(hook.dump(**arguments), checksums=True)
    rows = [server.rows(name, "SELECT * FROM t") for name in ("plain", "other")]
    assert str(rows[0]) == str(rows[1])
    assert len(rows[0]) == 1


def test_an_error_while_planning_tells_no_row(
    make_database: MakeDatabase, make_hook: MakeHook, caplog: pytest.LogCaptureFixture
) -> None:
    database = make_database(
        "CREATE TABLE t (id int, nm text); INSERT INTO t VALUES (1, 'Jane Secret'); "
        "CREATE FUNCTION vip() RETURNS int STABLE LANGUAGE sql "
        "AS 'SELECT nm::int FROM public.t LIMIT 1'; CREATE INDEX ON t (id); ANALYZE t"
    )
    with pytest.raises(PgCloneError) as caught:
        make_hook(database).dump(rows={"public.t": "id = public.vip()"})
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert "Secret" not in f"{chain}{caplog.text}"


@pytest.mark.parametrize("rule", ["hash", "city", "noise"])
def test_a_session_whose_options_a_pooler_has_dropped_is_told(
    make_database: MakeDatabase, server: Server, rule: str
) -> None:
    """The mask is tried here, because a check constraint could refuse it."""
    column = "n int CHECK (n < 9)" if rule == "noise" else "n text CHECK (n < '{')"
    database = make_database(f"CREATE TABLE t ({column}); INSERT INTO t VALUES (1)")
    masking = Masking(masks=read_masks({"public.t": {"n": rule}}), key=KEY)
    with (
        server.session(database) as session,  # not opened with the key
        session.transaction(),
        pytest.raises(UnsupportedError, match="the session did not get the mask key"),
    ):
        plan_masking(session, Selection(), masking, "UTF8", Held())

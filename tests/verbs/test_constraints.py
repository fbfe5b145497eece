"""Constraints whose index or check is a statement of its own: the catalog has them as before."""

import traceback

import pytest

from airflow_provider_pgclone.core.errors import RestoreError
from airflow_provider_pgclone.core.scheduling import splitting
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

SECRET = "hunter2"

SQL = """
CREATE TABLE users (
    id int PRIMARY KEY, mail text NOT NULL, "odd (x)" int, parent int REFERENCES users,
    CONSTRAINT "u ""q(" UNIQUE (mail, "odd (x)") INCLUDE (parent) WITH (fillfactor = 70),
    UNIQUE (mail) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT ids UNIQUE (mail, id)
);
INSERT INTO users SELECT n, 'mail' || n, n % 7, n FROM generate_series(1, 3000) n;
ALTER TABLE users CLUSTER ON users_pkey;
ALTER TABLE users REPLICA IDENTITY USING INDEX ids;
COMMENT ON CONSTRAINT users_pkey ON users IS 'the key';
COMMENT ON INDEX users_pkey IS 'its index';
CREATE INDEX ON users (mail text_pattern_ops);
CREATE SCHEMA "Odd ""schema";
CREATE TABLE "Odd ""schema"."users 1" (
    id int, "user" int, PRIMARY KEY (id),
    CONSTRAINT "its ""user" FOREIGN KEY ("user") REFERENCES users
        MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT again FOREIGN KEY ("user") REFERENCES users (id)
);
INSERT INTO "Odd ""schema"."users 1" SELECT n, n FROM generate_series(1, 2000) n;
COMMENT ON CONSTRAINT again ON "Odd ""schema"."users 1" IS 'a foreign key';
CREATE TABLE unchecked (u int);
INSERT INTO unchecked VALUES (-1);
ALTER TABLE unchecked ADD CONSTRAINT later FOREIGN KEY (u) REFERENCES users NOT VALID;
CREATE TABLE days (day int, u int REFERENCES users, PRIMARY KEY (day)) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (50);
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (50) TO (100);
INSERT INTO days SELECT n, n + 1 FROM generate_series(0, 99) n;
CREATE TABLE of_days (day int REFERENCES days);
INSERT INTO of_days SELECT n FROM generate_series(0, 99) n;
CREATE TABLE spans (span int4range, EXCLUDE USING gist (span WITH &&));
CREATE TABLE parent (a int PRIMARY KEY);
CREATE TABLE child (PRIMARY KEY (a)) INHERITS (parent);
"""
CATALOG = """
SELECT conrelid::regclass, conname, contype, condeferrable, condeferred, convalidated, conislocal,
    coninhcount, confupdtype, confdeltype, confmatchtype, conindid::regclass,
    confrelid::regclass, pg_get_constraintdef(c.oid, true), obj_description(c.oid),
    (SELECT array_agg((tgname ~ '^RI_', tgrelid::regclass, tgenabled, tgdeferrable) ORDER BY tgname)
        FROM pg_trigger WHERE tgconstraint = c.oid AND tgname !~ '^RI_')
FROM pg_constraint c WHERE connamespace::regnamespace::text !~ '^(pg_|info)';
SELECT indexrelid::regclass, indrelid::regclass, pg_get_indexdef(indexrelid), indisunique,
    indisprimary, indisexclusion, indimmediate, indisclustered, indisvalid, indisready,
    indisreplident, reloptions, obj_description(indexrelid),
    (SELECT array_agg((refclassid::regclass, deptype) ORDER BY 1) FROM pg_depend
        WHERE objid = indexrelid AND classid = 'pg_class'::regclass
        AND refclassid = 'pg_constraint'::regclass)
FROM pg_index JOIN pg_class i ON i.oid = indexrelid
WHERE relnamespace::regnamespace::text !~ '^(pg_|info)';
SELECT attrelid::regclass, attname, attnotnull FROM pg_attribute
WHERE attrelid::regclass::text ~ 'users|days|child|spans' AND attnum > 0
"""


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no table be so small that its constraints stay whole."""
    monkeypatch.setattr(splitting, "SMALL_BYTES", 0)


def catalog(server: Server, name: str) -> set[str]:
    """Return what the catalog has on constraints, indexes and columns, one line each."""
    return {str(row) for query in CATALOG.split(";") for row in server.rows(name, query)}


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_a_restored_database_has_the_same_constraints(
    jobs: int, server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(SQL)
    hook = make_hook(source)
    make_hook("restored").restore(hook.dump(), jobs=jobs)
    hook.copy(target="copied", method="stream", jobs=jobs)
    before = catalog(server, source)
    for name in ("restored", "copied"):
        assert sorted(catalog(server, name) ^ before) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            "CREATE INDEX users_mail ON users (mail);"
            "UPDATE pg_index SET indisunique = true WHERE indexrelid = 'users_mail'::regclass",
            r'INDEX users_mail: ERROR:  could not create unique index "users_mail" '
            r"\[CREATE UNIQUE INDEX users_mail ON public\.users USING btree \(mail\);\]$",
        ),
        (
            "ALTER TABLE users ADD CONSTRAINT known FOREIGN KEY (parent) REFERENCES parents"
            " NOT VALID;"
            "UPDATE pg_constraint SET convalidated = true WHERE conname = 'known'",
            r'FK CONSTRAINT users known: ERROR:  insert or update on table "users" violates '
            r'foreign key constraint "known" \[ALTER TABLE ONLY public\.users\]$',
        ),
    ],
)
def test_rows_that_break_a_constraint_end_the_restore_without_their_values(
    broken: str, said: str, server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    """As after a damaged index has let them in, or a trigger was disabled."""
    source = make_database(
        "CREATE TABLE parents (mail text PRIMARY KEY);"
        "CREATE TABLE users (id int PRIMARY KEY, mail text, parent text);"
        f"INSERT INTO users SELECT n, '{SECRET}', '{SECRET}' FROM generate_series(1, 9) n;"
        f"{broken}"
    )
    hook = make_hook(source)
    key = hook.dump()
    with pytest.raises(RestoreError, match=f"^cannot restore {said}") as raised:
        hook.restore(key, jobs=2)
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    assert server.names() == {source}

"""Each kind of object that can hold a literal or an option: masked, left out, refused or named."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

# The SQL that plants canary<number> or 9109<number>, and the kind and the name that are reported.
PLANTED: dict[int, tuple[str, str, str]] = {
    10001: ("ALTER TABLE t ALTER a SET DEFAULT '{}'", "column default", "public.t.a"),
    10002: ("ALTER TABLE t ALTER id SET DEFAULT {}", "column default", "public.t.id"),
    10003: (
        "ALTER TABLE t ADD g int GENERATED ALWAYS AS (id + {}) STORED",
        "column default",
        "public.t.g",
    ),
    10004: ("ALTER TABLE t ADD CONSTRAINT c4 CHECK (id <> {})", "constraint", "public.t.c4"),
    10005: ("ALTER TABLE t ADD CONSTRAINT c5 CHECK (a <> '{}')", "constraint", "public.t.c5"),
    10006: ("CREATE INDEX i6 ON t (id) WHERE id > {}", "index with", "public.i6"),
    10007: ("CREATE INDEX i7 ON t ((a || '{}'))", "index with", "public.i7"),
    10008: ("CREATE VIEW v8 AS SELECT id FROM t WHERE id > {}", "view with", "public.v8"),
    10009: ("CREATE MATERIALIZED VIEW m9 AS SELECT {} AS n", "view with", "public.m9"),
    10010: ("CREATE POLICY p10 ON t USING (id > {})", "policy with", "public.t.p10"),
    10011: ("CREATE POLICY p11 ON t WITH CHECK (a = '{}')", "policy with", "public.t.p11"),
    10012: (
        "CREATE RULE r12 AS ON DELETE TO t WHERE old.id = {} DO INSTEAD NOTHING",
        "rule with",
        "public.t.r12",
    ),
    10013: (
        "CREATE TRIGGER t13 BEFORE UPDATE ON t FOR EACH ROW WHEN (new.id = {}) "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "trigger with",
        "public.t.t13",
    ),
    10014: (
        "CREATE TRIGGER t14 BEFORE UPDATE ON t EXECUTE FUNCTION nothing('{}')",
        "trigger with",
        "public.t.t14",
    ),
    10015: ("CREATE STATISTICS s15 ON (id + {}), a FROM t", "statistics with", "public.s15"),
    10016: (
        "CREATE TABLE p16 (id int) PARTITION BY RANGE ((id + {}))",
        "partition key",
        "public.p16",
    ),
    10017: (
        "CREATE TABLE p17 (id int) PARTITION BY RANGE (id); "
        "CREATE TABLE p17a PARTITION OF p17 FOR VALUES FROM ({}) TO (999999999)",
        "partition whose bounds",
        "public.p17a",
    ),
    10018: ("CREATE TYPE e18 AS ENUM ('{}')", "labels of an enum", "public.e18"),
    10019: ("CREATE DOMAIN d19 AS text DEFAULT '{}'", "default of a type", "public.d19"),
    10020: (
        "CREATE DOMAIN d20 AS int CONSTRAINT c20 CHECK (VALUE <> {})",
        "constraint",
        "public.d20.c20",
    ),
    10021: (
        "CREATE TYPE b21; "
        "CREATE FUNCTION b21_in(cstring) RETURNS b21 IMMUTABLE STRICT LANGUAGE internal AS "
        "'int4in'; CREATE FUNCTION b21_out(b21) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal "
        "AS 'int4out'; CREATE TYPE b21 (INPUT = b21_in, OUTPUT = b21_out, LIKE = int4, "
        "DEFAULT = '{}')",
        "default of a type",
        "public.b21",
    ),
    10022: ("CREATE FUNCTION f22() RETURNS int LANGUAGE sql AS 'SELECT {}'", "function", "f22"),
    10023: (
        "CREATE FUNCTION f23(cstring DEFAULT '{}') RETURNS int IMMUTABLE STRICT LANGUAGE internal "
        "AS 'int4in'",
        "function",
        "public.f23",
    ),
    10024: (
        "CREATE FUNCTION f24(cstring) RETURNS int IMMUTABLE STRICT LANGUAGE internal AS 'int4in' "
        "SET app.f24 = '{}'",
        "function",
        "public.f24",
    ),
    10025: ("CREATE PROCEDURE f25() LANGUAGE sql AS 'SELECT {}'", "function", "public.f25"),
    10026: (
        "CREATE AGGREGATE a26(int) (SFUNC = int4pl, STYPE = int, INITCOND = '{}')",
        "aggregate with",
        "public.a26",
    ),
    10027: ("CREATE SEQUENCE s27 START {}", "values of a sequence", "public.s27"),
    10028: ("CREATE SEQUENCE s28; SELECT setval('s28', {})", "values of a sequence", "public.s28"),
    10029: ("ALTER TABLE t SET (autovacuum_vacuum_threshold = {})", "storage", "public.t"),
    10030: ("ALTER TABLE t ALTER a SET (n_distinct = {})", "storage", "public.t.a"),
    10031: ("COMMENT ON COLUMN t.a IS '{}'", "comment", "public.t.a"),
    10032: ("COMMENT ON DATABASE {db} IS '{}'", "comment", "the database"),
    10033: ("COMMENT ON SCHEMA public IS '{}'", "comment", "public"),
    10034: (
        "CREATE FOREIGN DATA WRAPPER w34 OPTIONS (note '{}')",
        "option of a foreign-data",
        "w34: note",
    ),
    10035: (
        "CREATE SERVER s35 VERSION '{}' FOREIGN DATA WRAPPER w34",
        "option of a foreign server",
        "s35: version",
    ),
    10036: (
        "CREATE SERVER s36 FOREIGN DATA WRAPPER w34 OPTIONS (host '{}')",
        "option of a foreign server",
        "s36: host",
    ),
    10037: (
        "CREATE USER MAPPING FOR PUBLIC SERVER s36 OPTIONS (\"user\" '{}')",
        "option of a user mapping",
        "s36: user",
    ),
    10038: (
        "CREATE FOREIGN TABLE f38 (id int) SERVER s36 OPTIONS (query '{}')",
        "option of a foreign table",
        "public.f38: query",
    ),
    10039: (
        "CREATE FOREIGN TABLE f39 (id int OPTIONS (column_name '{}')) SERVER s36",
        "option of a foreign table",
        "public.f39: column_name",
    ),
    10040: ("ALTER DATABASE {db} SET app.note = '{}'", "setting of the database", "app.note"),
    10041: (
        "ALTER ROLE canary_role IN DATABASE {db} SET app.own = '{}'",
        "setting of the database",
        "app.own of canary_role",
    ),
    10042: (
        "CREATE PUBLICATION p42 FOR TABLE t WHERE (id > {})",
        "publication with",
        "p42 for public.t",
    ),
    10043: ("SELECT lo_from_bytea(43, '{}')", "large objects", "1 of them"),
    10044: ("COMMENT ON LARGE OBJECT 43 IS '{}'", "comment", "43"),
    10045: ("CREATE SEQUENCE s45 CACHE {}", "values of a sequence", "public.s45"),
    10046: ("ALTER TABLE t SET (toast.autovacuum_vacuum_threshold = {})", "storage", "public.t"),
    10047: (
        "CREATE SEQUENCE s47; ALTER TABLE t ADD h int DEFAULT "
        "nextval((CASE WHEN true THEN 's47' ELSE '{}' END)::regclass)",
        "column default",
        "public.t.h",
    ),
}
# These look like credentials: the option or setting, and how it is declared safe.
CREDENTIALS: dict[int, tuple[str, str, str]] = {
    20001: (
        "CREATE USER MAPPING FOR postgres SERVER s36 OPTIONS (password '{}')",
        "credential: option of a user mapping s36: password",
        'pg_catalog.pg_user_mapping."s36.password"',
    ),
    20002: (
        "CREATE SERVER s52 FOREIGN DATA WRAPPER w34 OPTIONS (api_key '{}')",
        "credential: option of a foreign server s52: api_key",
        'pg_catalog.pg_foreign_server."s52.api_key"',
    ),
    20003: (
        "CREATE FOREIGN TABLE f53 (id int) SERVER s36 OPTIONS (url 'https://me:{}@example.org')",
        "credential: option of a foreign table public.f53: url",
        'pg_catalog.pg_foreign_table."public.f53.url"',
    ),
    20004: (
        "CREATE FOREIGN DATA WRAPPER w54 OPTIONS (secret '{}')",
        "credential: option of a foreign-data wrapper w54: secret",
        'pg_catalog.pg_foreign_data_wrapper."w54.secret"',
    ),
    20005: (
        "ALTER DATABASE {db} SET app.jwt_secret = '{}'",
        "credential: setting of the database app.jwt_secret",
        'pg_catalog.pg_db_role_setting."app.jwt_secret"',
    ),
    20007: (
        "CREATE FUNCTION f57() RETURNS int LANGUAGE sql SET app.secret = '{}' AS 'SELECT 1'",
        "credential: setting of a function public.f57: app.secret",
        'pg_catalog.pg_proc."public.f57.app.secret"',
    ),
    20008: (
        "CREATE SERVER s58 FOREIGN DATA WRAPPER w34 OPTIONS (authorization 'Bearer {}')",
        "credential: option of a foreign server s58: authorization",
        'pg_catalog.pg_foreign_server."s58.authorization"',
    ),
    20009: (
        "ALTER DATABASE {db} SET app.admin_pin = '{}'",
        "credential: setting of the database app.admin_pin",
        'pg_catalog.pg_db_role_setting."app.admin_pin"',
    ),
    20006: (
        "ALTER ROLE canary_role IN DATABASE {db} SET app.token = '{}'",
        "credential: setting of the database app.token of canary_role",
        'pg_catalog.pg_db_role_setting."app.token"',
    ),
}
SUBSCRIPTION = (
    "CREATE SUBSCRIPTION s60 CONNECTION 'host=nowhere password=canary30001' PUBLICATION p "
    "WITH (connect = false)"
)
START = """
CREATE TABLE t (id int, a text);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
ALTER FUNCTION nothing OWNER TO canary_role;
"""
LARGE_OBJECTS = "pg_catalog.pg_largeobject.data"
ARGUMENTS: dict[str, Any] = {"masks": {"public.t": {"a": "null"}}, "policy": "classified"}


def planted(statement: str, number: int, database: str) -> str:
    """Return SQL with a canary: a text if it stands in quotes, else a number."""
    text = statement.replace("{db}", database)
    is_text = "{}'" in text and not re.search("AS 'SELECT {}|INITCOND|b21", text)
    return text.replace("{}", f"canary{number}" if is_text else f"9109{number}")


@pytest.fixture
def strewn(server: Server, make_database: MakeDatabase) -> Iterator[str]:
    server.run("postgres", "CREATE ROLE canary_role")
    database = make_database(START)
    everything = {**PLANTED, **CREDENTIALS}
    for number, (statement, _, _) in everything.items():
        if "WHERE (id" in statement and is_old(server):
            continue  # publications have no conditions there
        server.run(database, planted(statement, number, database))
    server.run(database, SUBSCRIPTION)
    yield database
    server.run(database, "ALTER SUBSCRIPTION s60 SET (slot_name = NONE); DROP SUBSCRIPTION s60")
    server.drop(database)
    server.run("postgres", "DROP ROLE canary_role")


def is_old(server: Server) -> bool:
    return bool(
        server.value("postgres", "SELECT current_setting('server_version_num')::int < 150000")
    )


def canaries_in(server: Server, archive: Path) -> set[int]:
    """Return the numbers of the canaries in the script that an archive holds, in any form."""
    argv = [str(server.server.bin_dir / "pg_restore"), "--create", "--file=-", str(archive)]
    script = subprocess.run(argv, check=True, capture_output=True).stdout
    in_hex = re.sub(rb"\\x([0-9a-f]+)", lambda found: bytes.fromhex(found[1].decode()), script)
    return {int(number) for number in re.findall(rb"(?:canary|9109)([0-9]{5})", script + in_hex)}


def test_every_canary_beside_the_rows_is_named_or_refused(
    server: Server,
    strewn: str,
    make_hook: MakeHook,
    local_storage: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = make_hook(strewn)
    with pytest.raises(InvalidInputError, match="large objects"):
        hook.dump(**ARGUMENTS, keep=["id", "h"])
    for missing in [None, *CREDENTIALS]:
        safe = [place for number, (_, _, place) in CREDENTIALS.items() if number != missing]
        keep = ["id", "h", LARGE_OBJECTS, *(safe if missing else [])]
        with pytest.raises(InvalidInputError, match="looks like credentials") as raised:
            hook.dump(**ARGUMENTS, keep=keep)
        for number in [missing] if missing else CREDENTIALS:
            assert CREDENTIALS[number][1] in raised.value.message
            assert CREDENTIALS[number][2] in str(raised.value)
        with pytest.raises(InvalidInputError, match="looks like credentials"):
            hook.copy(target="leaking", method="stream", **ARGUMENTS, keep=keep)
    everything = [LARGE_OBJECTS, *(place for _, _, place in CREDENTIALS.values())]
    caplog.clear()
    key = hook.dump(**ARGUMENTS, keep=["id", "h", *everything])
    reported = hook.inspect(key)["masking"]["reported"]
    report = hook.mask_report(key, style="html").replace("&quot;", '"')
    found = canaries_in(server, local_storage / key)
    expected = {
        **{number: (what, name) for number, (_, what, name) in PLANTED.items()},
        **{number: (what, what) for number, (_, what, _) in CREDENTIALS.items()},
    }
    # PostgreSQL 14 has no such publications, and its pg_dump no comment on the schema public.
    unplanted = {10033, 10042} if is_old(server) else set()
    assert found == expected.keys() - unplanted
    for number in sorted(found):
        what, name = expected[number]
        named = [
            (kind, subject)
            for kind, subject in reported
            if (kind.startswith(what) and name in subject) or f"{kind} {subject}" == what
        ]
        assert named, (number, what, name, reported)
        assert any(subject in caplog.text and subject in report for _, subject in named)
    assert ["role that owns something or has rights", "canary_role"] in reported
    said = caplog.text + report + str(hook.inspect(key))
    assert not re.search("canary[0-9]|9109[0-9]", said)


def test_a_copy_by_stream_names_them_too(
    strewn: str, make_hook: MakeHook, caplog: pytest.LogCaptureFixture
) -> None:
    places = [LARGE_OBJECTS, *(place for _, _, place in CREDENTIALS.values())]
    make_hook(strewn).copy(
        target="copied", method="stream", **ARGUMENTS, keep=["id", "h", *places], no_owner=True
    )
    for _, what, _ in CREDENTIALS.values():
        kind, _, subject = what.partition(": ")[2].partition(" ")
        assert subject.rpartition(" ")[2] in caplog.text, kind


def test_a_name_of_a_column_does_not_declare_a_credential_safe(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    database = make_database("CREATE TABLE t (data text, id int); SELECT lo_from_bytea(0, 'x')")
    with pytest.raises(InvalidInputError, match="large objects"):
        make_hook(database).dump(
            masks={"public.t": {"id": "null"}}, keep=["*", "*.*.*"], policy="classified"
        )


def test_a_dump_has_no_subscription(
    server: Server, strewn: str, make_hook: MakeHook, local_storage: Path
) -> None:
    key = make_hook(strewn).dump()
    assert 30001 not in canaries_in(server, local_storage / key)

"""Proposed masks: each column has a line, rules fit, and no value leaves PostgreSQL."""

import logging
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from airflow_provider_pgclone.core.catalog.patterns import parse_table_pattern
from airflow_provider_pgclone.core.catalog.read import read_catalog
from airflow_provider_pgclone.core.errors import InvalidInputError, ServerError
from airflow_provider_pgclone.core.masking.discovery.contents import fetch_counts
from airflow_provider_pgclone.core.masking.discovery.draft import exact_pattern
from airflow_provider_pgclone.core.masking.discovery.suspects import find_suspects
from airflow_provider_pgclone.core.masking.rules.language import read_masks
from airflow_provider_pgclone.hooks import PgCloneHook
from example_dags.services import PostgresServer
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

CANARY = "canary"
CANARY_SQL = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE SCHEMA "Odd ""S.chema";
CREATE TABLE users (
    id int PRIMARY KEY,
    email varchar(100) NOT NULL UNIQUE,
    lower_email text GENERATED ALWAYS AS (lower(email)) STORED,
    name text,
    ssn char(11) NOT NULL,
    mood mood,
    sex mood NOT NULL,
    place point NOT NULL,
    token varchar(8) NOT NULL UNIQUE,
    contact text,
    remembered text,
    number bigint,
    other_number bigint,
    phones text[],
    profile jsonb,
    map json NOT NULL,
    plain jsonb
);
INSERT INTO users (id, email, name, ssn, mood, sex, place, token, contact, remembered, number,
    other_number, phones, profile, map, plain)
SELECT n, 'canary' || n || '@example.org', 'Canary Jones', '123-45-6789', 'sad', 'happy', '(1,2)',
    'c' || n, 'canary@example.org', 'call canary: +49 170 1234567', 4111111111111111,
    4111111111111112, ARRAY['+49 170 1234567'],
    '{"email": "canary@example.org", "contacts": [{"phone": "+491701234567", "rank": 1}],
      "address": {"line": "Canary Road"}, "color": "canary"}',
    '{"canary@example.org": {"seen": 1}}', '{"color": "canary"}'
FROM generate_series(1, 50) n;
CREATE TABLE "Odd ""S.chema"."Customer Orders" (
    id bigint PRIMARY KEY,
    "userEmail" varchar(100) REFERENCES users (email),
    user_id int REFERENCES users,
    "null" text,
    "it's # a: 'b'" text
);
INSERT INTO "Odd ""S.chema"."Customer Orders" VALUES (1, 'canary1@example.org', 1, 'canary', 'x');
"""


@pytest.fixture
def propose(postgres_connection: str) -> Callable[..., dict[str, dict[str, Any]]]:
    """Return the masks that are proposed for a database."""

    def of(database: str, **options: Any) -> dict[str, dict[str, Any]]:
        found = yaml.safe_load(text_of(database, postgres_connection, **options))
        assert isinstance(found, dict)
        read_masks(decided(found))  # they are such as the option takes
        return found

    return of


def text_of(database: str, connection: str, **options: Any) -> str:
    return PgCloneHook(connection, database=database).propose_masks(**options)


def decided(masks: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return masks as somebody leaves them who keeps what was to be decided."""
    return {
        table: {column: "keep" if rule == "decide" else rule for column, rule in rules.items()}
        for table, rules in masks.items()
    }


Propose = Callable[..., dict[str, dict[str, Any]]]


def test_every_column_has_a_line_with_a_reason(
    make_database: MakeDatabase, postgres_connection: str, server: Server
) -> None:
    database = make_database(CANARY_SQL)
    text = text_of(database, postgres_connection)
    columns = server.rows(
        database,
        "SELECT table_schema, table_name, column_name, is_generated FROM information_schema.columns"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
    )
    expected = {
        (exact_pattern(schema, table), column)
        for schema, table, column, generated in columns
        if generated == "NEVER"
    }
    masks = yaml.safe_load(text)
    assert {(table, column) for table in masks for column in masks[table]} == expected
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    assert len(lines) == len(columns)
    assert all("# " in line for line in lines)
    assert "# lower_email: generated" in text


def test_no_value_leaves_postgresql(
    make_database: MakeDatabase, postgres_connection: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = make_database(CANARY_SQL)
    with caplog.at_level(logging.DEBUG):
        text = text_of(database, postgres_connection)
    assert "sampled values hold e-mail addresses" in text
    for leaked in (text, caplog.text):
        for value in (CANARY, "1701234567", "123-45", "411111"):
            assert value not in leaked.lower()


def test_an_error_of_the_server_tells_no_value(
    make_database: MakeDatabase, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    database = make_database("CREATE TABLE notes (label text)")
    with server.session(database) as session:
        catalog = read_catalog(session)
        table = next(iter(catalog.tables.values()))
        query = sql.SQL("SELECT {}::int").format("canary-value")
        with caplog.at_level(logging.DEBUG), pytest.raises(ServerError) as raised:
            fetch_counts(session, table, query)
    told = "".join(traceback.format_exception(raised.value))
    assert "the rows of table public.notes cannot be searched" in told
    assert CANARY not in told + caplog.text


def test_json_that_jsonb_does_not_take_is_null_and_tells_no_value(
    make_database: MakeDatabase, propose: Propose, caplog: pytest.LogCaptureFixture
) -> None:
    database = make_database(
        r"""
        CREATE TABLE things (x json, y json);
        INSERT INTO things VALUES ('{"a": "canary \u0000"}', '{"a": 1}');
        """
    )
    with caplog.at_level(logging.DEBUG):
        assert propose(database) == {"public.things": {"x": "null", "y": "keep"}}
    assert CANARY not in caplog.text


JSON_RULES: list[tuple[str, Any]] = [
    ('{"birth_date": "1990-01-01", "salary": "3"}', {"birth_date": "digits", "salary": "null"}),
    ('{"customerEmailAddress": "x", "emailType": "x"}', {"customerEmailAddress": "email"}),
    (
        '{"maritalStatus": "x", "reset-token": "x"}',
        {"maritalStatus": "null", "reset-token": "null"},
    ),
    ('{"canaryEmail": "canary"}', None),
    ('{"age": 30, "price": 3}', {"age": "null"}),
    ('{"user": {"name": "Canary", "rank": "x"}}', {"user.name": "name"}),
    ('{"items": [{"e-mail": "x"}, {"e-mail": 3}]}', {"items[*].e-mail": "null"}),
    ('{"billingAddress": {"foo": "canary"}}', {"billingAddress": "null"}),
    ('{"phones": [{"value": "canary"}]}', {"phones[*]": "null"}),
    ('{"contact": "canary@example.org"}', {"contact": "text"}),
    ('{"value": "canary@example.org"}', {"value": "email"}),
    ('{"payload": {"email": "canary"}}', {"payload.email": "email"}),
    # Nothing but that there is something may leave from under a key that we do not know.
    ('{"canary": "canary@example.org"}', None),
    ('{"canary": {"email": "canary"}}', None),
    ('{"canary@example.org": 1}', None),
    ('{"email": "x", "canary@example.org": true}', None),
    ('{"email": "x", "user_491701234567": {"email": "x"}}', None),
    ('["canary@example.org"]', None),
    ('"canary@example.org"', None),
]


def test_json_gets_rules_by_path_where_the_path_tells_nothing(
    make_database: MakeDatabase, propose: Propose
) -> None:
    made = (
        f"CREATE TABLE t{n} (x jsonb); INSERT INTO t{n} VALUES ('{document}');"
        for n, (document, _) in enumerate(JSON_RULES)
    )
    masks = propose(make_database("".join(made)))
    found = [(document, masks[f"public.t{n}"]["x"]) for n, (document, _) in enumerate(JSON_RULES)]
    assert found == [
        (document, {"json": {**paths, "*": "null"}} if paths else "null")
        for document, paths in JSON_RULES
    ]
    assert CANARY not in str(masks)


def test_rows_that_a_policy_hides_are_no_rows_without_a_sign(
    make_database: MakeDatabase, server: Server
) -> None:
    database = make_database(
        """
        CREATE ROLE reader; CREATE TABLE things (label text); GRANT SELECT ON things TO reader;
        ALTER TABLE things ENABLE ROW LEVEL SECURITY;
        INSERT INTO things VALUES ('canary@example.org');
        """
    )
    try:
        with server.session(database) as session:
            catalog = read_catalog(session)
            session.execute("SET ROLE reader")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                find_suspects(session, catalog, list(catalog.tables.values()))
    finally:
        server.run(database, "DROP OWNED BY reader; DROP ROLE reader")


def test_rules_fit_their_columns(make_database: MakeDatabase, propose: Propose) -> None:
    masks = propose(make_database(CANARY_SQL))
    assert masks["public.users"] == {
        "id": "keep",
        "email": "email",
        "name": "name",
        "ssn": "digits",
        "mood": "keep",
        "sex": {"sql": "pg_catalog.enum_first(NULL::public.mood)"},
        "place": {"sql": "'(0,0)'::point"},
        "token": "decide",
        "contact": "email",
        "remembered": "text",
        "number": "hash",
        "other_number": "keep",
        "phones": "phone",
        "profile": {
            "json": {
                "address": "null",
                "contacts[*].phone": "phone",
                "email": "email",
                "*": "null",
            },
        },
        "map": {"sql": "'{}'::json"},
        "plain": "keep",
    }


def test_what_no_rule_fits_says_that_a_person_must_decide(
    make_database: MakeDatabase, postgres_connection: str
) -> None:
    text = text_of(make_database(CANARY_SQL), postgres_connection)
    (line,) = [line for line in text.splitlines() if line.startswith("  token: ")]
    assert "passwords, tokens or other secrets; a person must decide" in line
    assert "users_token_key" in line


# What a column is, and the rule that it gets.
FITTING: list[tuple[str, Any]] = [
    ("email varchar(20)", "hash"),
    ("email varchar(20) UNIQUE", {"hash": 20}),
    ("email varchar(10) UNIQUE", "null"),
    ("email varchar(10) UNIQUE NOT NULL", "decide"),
    ("first_name text UNIQUE", "hash"),
    ("first_name text UNIQUE NOT NULL", "hash"),
    ("latitude float", "null"),
    ("latitude float NOT NULL", "noise"),
    ("birth_date date NOT NULL", "date_shift"),
    ("reset_token uuid NOT NULL UNIQUE", "uuid"),
    ("gender text CHECK (gender IN ('m', 'f'))", "null"),
    ("photo bytea NOT NULL", "hash"),
    ("search tsvector", "null"),
    ("search tsvector NOT NULL", {"sql": "''::tsvector"}),
    ("client_ip inet NOT NULL", "ip"),
    ("mac macaddr NOT NULL", {"sql": "'00:00:00:00:00:00'::macaddr"}),
    ("notes json[] NOT NULL", "decide"),
    ("notes xml", "null"),
]


def test_a_rule_heeds_type_length_null_and_uniqueness(
    make_database: MakeDatabase, propose: Propose
) -> None:
    masks = propose(
        make_database(
            "".join(f"CREATE TABLE t{n} ({column});" for n, (column, _) in enumerate(FITTING))
        )
    )
    found = [(column, [*masks[f"public.t{n}"].values()]) for n, (column, _) in enumerate(FITTING)]
    assert found == [(column, [rule]) for column, rule in FITTING]


def test_a_dump_takes_what_is_proposed(
    make_database: MakeDatabase,
    make_hook: MakeHook,
    postgres_connection: str,
    postgres: PostgresServer,
    local_storage: Path,
) -> None:
    database = make_database(CANARY_SQL + KEYS_SQL)
    masks = yaml.safe_load(text_of(database, postgres_connection))
    # What says "keep" has canaries that nothing tells as such, and a person would find.
    masks[exact_pattern('Odd "S.chema', "Customer Orders")]["null"] = "text"
    masks["public.users"] |= {"token": {"sql": "id"}, "plain": "null"}
    masks["public.users"]["profile"]["json"]["color"] = "text"
    with pytest.raises(InvalidInputError, match="still to be decided"):
        make_hook(database).dump(masks=masks, mask_key="x" * 32)
    masks = decided(masks)
    key = make_hook(database).dump(masks=masks, mask_key="x" * 32, policy="classified")
    argv = [str(postgres.bin_dir / "pg_restore"), "--file=-", str(local_storage / key)]
    dumped = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "@example.com" in dumped
    for value in (CANARY, "1701234567", "123-45-6789", "4111111111111111"):
        assert value not in dumped.lower()


KEYS_SQL = """
CREATE TABLE logins (login varchar(64) PRIMARY KEY, label text);
CREATE TABLE visits (visitor varchar(64) REFERENCES logins, page text);
CREATE TABLE likes (visitor varchar(64), "who" varchar(64) REFERENCES logins);
CREATE TABLE short (code varchar(24) PRIMARY KEY);
CREATE TABLE persons (customer_number varchar(24) REFERENCES short);
CREATE TABLE taxes (tax_number int PRIMARY KEY);
CREATE TABLE payers (id int PRIMARY KEY, payer int REFERENCES taxes);
CREATE TABLE tree (email text PRIMARY KEY, above text REFERENCES tree, other text);
CREATE TABLE made (label text PRIMARY KEY);
CREATE TABLE makers (
    label text, email text GENERATED ALWAYS AS (lower(label)) STORED REFERENCES made,
    mail text REFERENCES made
);
CREATE TABLE plain (id int PRIMARY KEY);
CREATE TABLE planes (plain_id int REFERENCES plain);
"""


def test_columns_of_a_foreign_key_get_one_rule(
    make_database: MakeDatabase, propose: Propose
) -> None:
    masks = propose(make_database(KEYS_SQL))
    assert masks["public.logins"]["login"] == "hash"
    assert masks["public.visits"]["visitor"] == "hash"
    assert masks["public.likes"]["who"] == "hash"
    assert masks["public.short"]["code"] == {"hash": 24}
    assert masks["public.persons"]["customer_number"] == {"hash": 24}
    assert masks["public.taxes"]["tax_number"] == "decide"
    assert masks["public.payers"]["payer"] == "decide"
    assert masks["public.tree"] == {"email": "email", "above": "email", "other": "keep"}
    assert masks["public.made"] == {"label": "decide"}
    assert masks["public.makers"] == {"label": "keep", "mail": "decide"}
    assert masks["public.planes"] == {"plain_id": "keep"}


def test_suspects_of_a_partitioned_table_are_those_of_its_partitions(
    make_database: MakeDatabase, server: Server
) -> None:
    database = make_database(
        """
        CREATE TABLE visits (day int, email text) PARTITION BY LIST (day);
        CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
        CREATE TABLE base (phone text);
        CREATE TABLE heir (email text) INHERITS (base);
        """
    )
    with server.session(database) as session:
        catalog = read_catalog(session)
        tables = [table for table in catalog.tables.values() if not table.is_partitioned]
        suspects = find_suspects(session, catalog, tables)
    found = {(one.table.name, one.column.name, one.rule) for one in suspects}
    assert found == {
        ("base", "phone", "phone"),
        ("heir", "email", "email"),
        ("heir", "phone", "phone"),
        ("visits_1", "email", "email"),
    }


def test_partitions_and_inherited_columns_are_under_the_rules_of_their_root(
    make_database: MakeDatabase, propose: Propose
) -> None:
    masks = propose(
        make_database(
            """
            CREATE TABLE visits (day date, label text) PARTITION BY RANGE (day);
            CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO
                ('2026-02-01') PARTITION BY LIST (label);
            CREATE TABLE visits_1_a PARTITION OF visits_1 FOR VALUES IN ('canary@example.org');
            INSERT INTO visits VALUES ('2026-01-01', 'canary@example.org');
            CREATE TABLE logins (day int, label text) PARTITION BY LIST (day);
            CREATE TABLE logins_1 PARTITION OF logins FOR VALUES IN (1);
            CREATE TABLE logins_2 (label text, day int);
            ALTER TABLE logins ATTACH PARTITION logins_2 FOR VALUES IN (2);
            INSERT INTO logins VALUES (2, 'canary@example.org');
            CREATE TABLE base (label text);
            CREATE TABLE heir (more text) INHERITS (base);
            INSERT INTO heir VALUES ('canary@example.org', 'x');
            """
        )
    )
    assert masks == {
        "public.base": {"label": "email"},
        "public.heir": {"more": "keep"},
        "public.logins": {"day": "keep", "label": "email"},
        "public.visits": {"day": "keep", "label": "decide"},
    }


@pytest.mark.parametrize("name", ["users", "Users", "a.b", 'say "hi"', "us$er", "größe", "x*", "1"])
def test_a_pattern_matches_its_table_alone(name: str) -> None:
    pattern = parse_table_pattern(exact_pattern("public", name))
    assert pattern.schema is not None
    assert pattern.schema.fullmatch("public")
    names = ("users", "Users", "a.b", "aXb", 'say "hi"', "us$er", "größe", "x*", "xx", "1", "USERS")
    assert [other for other in names if pattern.name.fullmatch(other)] == [name]


def test_names_with_line_breaks_stay_on_their_lines(
    make_database: MakeDatabase, propose: Propose
) -> None:
    database = make_database(
        """
        CREATE TABLE "new
: line" ("e
mail" text UNIQUE, "a # b" text, "c
d: e" text GENERATED ALWAYS AS ('x') STORED);
        CREATE TABLE two ("e
mail" text REFERENCES "new
: line" ("e
mail"));
        CREATE TABLE none ();
        """
    )
    assert propose(database) == {
        'public."new\n: line"': {"e\nmail": "email", "a # b": "keep"},
        "public.two": {"e\nmail": "email"},
        "public.none": {},
    }


def test_only_tables_whose_rows_are_dumped_are_looked_at(
    make_database: MakeDatabase, propose: Propose
) -> None:
    database = make_database(
        "CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE SCHEMA s; CREATE TABLE s.c (x int)"
    )
    assert set(propose(database)) == {"public.a", "public.b", "s.c"}
    assert set(propose(database, exclude=["public.a"])) == {"public.b", "s.c"}
    assert set(propose(database, schemas=["s"])) == {"s.c"}
    assert set(propose(database, exclude_schemas=["s"])) == {"public.a", "public.b"}
    assert propose(database, exclude=["*.*"]) == {}
    with pytest.raises(InvalidInputError, match="nothing_such"):
        propose(database, exclude=["nothing_such"])

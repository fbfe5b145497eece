from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pgclone.core.postgres.session import Session
from airflow_provider_pgclone.core.replacing.properties import (
    Grant,
    Properties,
    SecurityLabel,
    Setting,
    apply_properties,
    fitted,
    label_statement,
    read_properties,
    split_names,
)
from tests.support.fixtures.databases import MakeDatabase, Server

ROLES = ("shop_owner", "odd role, \"quoted\" 'too'", "PUBLIC", "reader")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def roles(server: Server) -> Iterator[None]:
    """Roles, dropped after the databases that refer to them."""
    before = server.names()
    for role in ROLES:
        server.run("postgres", f"CREATE ROLE {quoted(role)}")
    yield
    for name in server.names() - before:
        server.drop(name)
    for role in ROLES:
        server.run("postgres", f"DROP ROLE {quoted(role)}")


@pytest.fixture
def session(server: Server) -> Iterator[Session]:
    with server.session("postgres") as session:
        yield session


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("public", ["public"]),
        ('"$user", public', ["$user", "public"]),
        ('"a,b", "c ""d""", e', ["a,b", 'c "d"', "e"]),
        ('"Upper"', ["Upper"]),
        ('" a "', [" a "]),
        ('""', [""]),
        ("größe, b", ["größe", "b"]),
    ],
)
def test_a_stored_list_is_split_into_its_names(value: str, names: list[str]) -> None:
    assert split_names(value) == names


@given(st.lists(st.text(st.sampled_from("aB$, \"'\n")), min_size=1, max_size=4))
def test_names_that_are_quoted_and_joined_are_split_again(names: list[str]) -> None:
    assert split_names(", ".join(map(quoted, names))) == names


def carried_over(
    session: Session, make_database: MakeDatabase, changes: str
) -> tuple[Properties, Properties]:
    """Return the properties of a database and those of a new one that was given them."""
    source, target = make_database("SELECT 1"), make_database("SELECT 1")
    for change in changes.split(";;"):
        session.execute(change.replace("SHOP", source).encode())
    properties = read_properties(session, source)
    apply_properties(session, target, properties)
    return properties, read_properties(session, target)


def test_a_database_without_properties_gives_none(
    session: Session, make_database: MakeDatabase
) -> None:
    source, target = carried_over(session, make_database, "SELECT 1")
    of_all = (Grant(None, "CONNECT", False), Grant(None, "TEMPORARY", False))
    assert source == target
    assert not source.has_own_grants
    assert {grant for grant in source.grants if grant.grantee is None} == set(of_all)
    assert (source.settings, source.connection_limit, source.comment) == ((), -1, None)


def test_owner_and_connection_limit_are_carried_over(
    session: Session, make_database: MakeDatabase, roles: None
) -> None:
    changes = f"""ALTER DATABASE SHOP OWNER TO {quoted(ROLES[1])};;
        ALTER DATABASE SHOP CONNECTION LIMIT 7"""
    source, target = carried_over(session, make_database, changes)
    assert (target.owner, target.connection_limit) == (ROLES[1], 7)
    assert source == target


def test_security_labels_are_carried_over_or_told(
    session: Session, make_database: MakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """No server of the tests has a provider, so that it can only be told which is missing."""
    source, target = make_database("SELECT 1"), make_database("SELECT 1")
    label = SecurityLabel("secret_keeper", "it's secret")
    session.execute(
        "INSERT INTO pg_shseclabel SELECT oid, 'pg_database'::regclass, %s, %s FROM pg_database "
        "WHERE datname = %s",
        [label.provider, label.label, source],
    )
    properties = read_properties(session, source)
    assert properties.labels == (label,)
    apply_properties(session, target, properties)
    assert "'secret_keeper'" in caplog.text
    assert "is not loaded" in caplog.text
    assert fitted(session, properties).labels == ()


@pytest.mark.parametrize(("label", "said"), [("it's", "'it''s'"), (None, "NULL")])
def test_a_security_label_is_written_as_sql(session: Session, label: str | None, said: str) -> None:
    statement = label_statement('odd "name"', "keeper", label).as_string(session.connection)
    assert statement == f'SECURITY LABEL FOR "keeper" ON DATABASE "odd ""name""" IS {said}'


def test_rights_are_carried_over(
    session: Session, make_database: MakeDatabase, roles: None
) -> None:
    changes = f"""ALTER DATABASE SHOP OWNER TO shop_owner;;
        REVOKE ALL ON DATABASE SHOP FROM PUBLIC;;
        GRANT CONNECT ON DATABASE SHOP TO {quoted(ROLES[1])} WITH GRANT OPTION;;
        GRANT CREATE ON DATABASE SHOP TO "PUBLIC";;
        GRANT TEMPORARY, CONNECT ON DATABASE SHOP TO reader"""
    source, target = carried_over(session, make_database, changes)
    assert target.grants is not None
    assert set(target.grants) >= {
        Grant(ROLES[1], "CONNECT", grantable=True),
        Grant("PUBLIC", "CREATE", grantable=False),
        Grant("reader", "TEMPORARY", grantable=False),
    }
    assert None not in {grant.grantee for grant in target.grants}
    assert source == target


def test_rights_that_were_all_revoked_stay_revoked(
    session: Session, make_database: MakeDatabase, roles: None
) -> None:
    changes = """ALTER DATABASE SHOP OWNER TO shop_owner;;
        REVOKE ALL ON DATABASE SHOP FROM PUBLIC, shop_owner"""
    source, target = carried_over(session, make_database, changes)
    assert source.grants == target.grants == ()


def test_what_everybody_may_is_carried_over(session: Session, make_database: MakeDatabase) -> None:
    changes = "GRANT CREATE ON DATABASE SHOP TO PUBLIC"
    source, target = carried_over(session, make_database, changes)
    assert target.grants is not None
    assert Grant(None, "CREATE", grantable=False) in target.grants
    assert source == target


def test_rights_that_were_passed_on_are_kept(
    session: Session, make_database: MakeDatabase, roles: None
) -> None:
    changes = f"""GRANT CONNECT ON DATABASE SHOP TO {quoted(ROLES[1])} WITH GRANT OPTION;;
        SET ROLE {quoted(ROLES[1])};;
        GRANT CONNECT ON DATABASE SHOP TO reader;;
        RESET ROLE"""
    source, target = carried_over(session, make_database, changes)
    assert source == target


VALUES = [
    ("search_path", '"$user", public', '"$user", public'),
    ("search_path", '"a,b", \'c "d"\', "Upper"', '"a,b", "c ""d""", "Upper"'),
    ("search_path", "''", '""'),
    ("temp_tablespaces", "''", '""'),
    ("session_preload_libraries", "'$libdir/a', 'b c'", '"$libdir/a", "b c"'),
    ("work_mem", "'64MB'", "64MB"),
    ("statement_timeout", "0", "0"),
    ("DateStyle", "'ISO, DMY'", "ISO, DMY"),
    ("TimeZone", "'Europe/Vienna'", "Europe/Vienna"),
    ("default_transaction_read_only", "on", "on"),
    ("app.tenant", "'it''s \"x\", y=z'", 'it\'s "x", y=z'),
    ("app.text", r"E'line\nnext\\ \t'", "line\nnext\\ \t"),
    ("app.empty", "''", ""),
    ('"App"."Odd_name"', "'1'", "1"),
]


@pytest.mark.parametrize("role", [None, "reader"])
def test_a_setting_is_carried_over(
    session: Session, make_database: MakeDatabase, roles: None, role: str | None
) -> None:
    source, target = make_database("SELECT 1"), make_database("SELECT 1")
    holder = {
        name: f"{'ROLE reader IN ' if role else ''}DATABASE {name}" for name in (source, target)
    }
    for name, written, stored in VALUES:
        for database in (source, target):
            session.execute(f"ALTER {holder[database]} RESET ALL".encode())
        session.execute(f"ALTER {holder[source]} SET {name} TO {written}".encode())
        properties = read_properties(session, source)
        assert properties.settings == (Setting(role, name.replace('"', ""), stored),)
        apply_properties(session, target, properties)
        assert read_properties(session, target) == properties


def test_all_settings_of_all_roles_are_carried_over(
    session: Session, make_database: MakeDatabase, roles: None
) -> None:
    changes = f"""ALTER DATABASE SHOP SET work_mem TO '1MB';;
        ALTER DATABASE SHOP SET app.a TO 'b';;
        ALTER ROLE {quoted(ROLES[1])} IN DATABASE SHOP SET work_mem TO '2MB';;
        ALTER ROLE ALL IN DATABASE SHOP SET app.c TO 'd'"""
    source, target = carried_over(session, make_database, changes)
    assert set(target.settings) == {
        Setting(None, "work_mem", "1MB"),
        Setting(None, "app.a", "b"),
        Setting(None, "app.c", "d"),
        Setting(ROLES[1], "work_mem", "2MB"),
    }
    assert source == target


def test_the_comment_is_read_but_not_applied(session: Session, make_database: MakeDatabase) -> None:
    changes = "COMMENT ON DATABASE SHOP IS 'it''s ours'"
    source, target = carried_over(session, make_database, changes)
    assert source.comment == "it's ours"
    assert target == replace(source, comment=None)

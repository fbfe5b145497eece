"""A policy fails a dump that would leak: a column that somebody adds tomorrow, too."""

from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

SHOP_SQL = """
CREATE TABLE users (id int PRIMARY KEY, email text, level int,
    lower_email text GENERATED ALWAYS AS (lower(email)) STORED);
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users, total int);
CREATE TABLE logs (at timestamptz, what text);
CREATE TABLE parts (day int, note text) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
INSERT INTO users SELECT n, 'jo' || n || '@example.org', n % 5 FROM generate_series(1, 50) n;
INSERT INTO logs VALUES (now(), 'jo1@example.org has come');
"""
ARGUMENTS: dict[str, Any] = {
    "policy": "classified",
    "masks": {"public.users": {"email": "null"}, "public.logs": {"what": "null", "at": "keep"}},
    "keep": ["id", "*_id", "public.users.level", "orders.total", "public.parts.*"],
}


@pytest.fixture
def shop(make_database: MakeDatabase) -> str:
    return make_database(SHOP_SQL)


def test_every_column_must_be_masked_or_declared_safe(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    assert hook.inspect(hook.dump(**ARGUMENTS))["masking"]["unclassified"] == []
    before = hook.ls()
    server.run(shop, "ALTER TABLE orders ADD COLUMN recipient text")
    with pytest.raises(InvalidInputError, match=r"neither masked nor safe: public\.orders\.rec"):
        hook.dump(**ARGUMENTS)
    with pytest.raises(InvalidInputError, match=r"public\.orders\.recipient"):
        hook.copy(target="leaking", method="stream", **ARGUMENTS)
    assert hook.ls() == before
    hook.dump(**{**ARGUMENTS, "exclude": ["public.orders"]})
    server.run(shop, "CREATE TABLE tomorrow (secret text)")
    with pytest.raises(InvalidInputError, match=r"public\.orders\.recipient, public\.tomorrow"):
        hook.dump(**ARGUMENTS)


def test_large_objects_must_be_declared_safe_or_left_out(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run(shop, "SELECT lo_from_bytea(0, 'a secret')")
    hook = make_hook(shop)
    with pytest.raises(InvalidInputError, match="large objects"):
        hook.dump(**ARGUMENTS)
    keep = [*ARGUMENTS["keep"], "pg_catalog.pg_largeobject.data"]
    masking = hook.inspect(hook.dump(**{**ARGUMENTS, "keep": keep}))["masking"]
    assert ["large objects", "1 of them"] in masking["reported"]
    without = hook.dump(**ARGUMENTS, pg_dump_args=["--no-blobs"])
    assert hook.inspect(without)["masking"]["reported"] == []
    make_hook("restored").restore(without)
    assert server.value("restored", "SELECT count(*) FROM pg_largeobject_metadata") == 0


def test_suspects_fail_by_name_or_content(shop: str, make_hook: MakeHook) -> None:
    hook = make_hook(shop)
    with pytest.raises(InvalidInputError, match=r"public\.users\.email"):
        hook.dump(policy="suspects", masks={"public.logs": {"what": "null"}})
    with pytest.raises(InvalidInputError, match=r"public\.logs\.what") as caught:
        hook.dump(policy="suspects", masks={"public.users": {"email": "null"}})
    assert "jo1" not in str(caught.value)
    hook.dump(policy="suspects", masks=ARGUMENTS["masks"], keep=["public.parts.note"])


def test_what_else_may_tell_is_reported(
    server: Server, shop: str, make_hook: MakeHook, caplog: pytest.LogCaptureFixture
) -> None:
    server.run(
        shop,
        "ALTER TABLE users ALTER email SET DEFAULT 'secret default'; "
        "COMMENT ON COLUMN users.email IS 'secret comment'; "
        "CREATE INDEX by_level ON users (level) WHERE email <> 'secret index'; "
        "ALTER TABLE users ADD CONSTRAINT nobody CHECK (email <> 'secret check'); "
        "CREATE VIEW few AS SELECT id FROM users WHERE email <> 'secret view'; "
        "CREATE FUNCTION said() RETURNS text LANGUAGE sql RETURN 'secret function'; "
        "COMMENT ON SCHEMA public IS 'secret of a schema'; "
        "CREATE TYPE mood AS ENUM ('secret label'); "
        "CREATE DOMAIN word AS text DEFAULT 'secret word'; "
        "CREATE POLICY few_rows ON users USING (email <> 'secret policy'); "
        "CREATE RULE never AS ON DELETE TO users WHERE old.email = 'secret rule' "
        "DO INSTEAD NOTHING; "
        "CREATE TRIGGER told BEFORE UPDATE ON users FOR EACH ROW WHEN (new.email = 'secret') "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger(); "
        "CREATE STATISTICS stats ON (email || 'secret'), level FROM users; "
        f"COMMENT ON DATABASE {shop} IS 'secret of a database'; "
        "COMMENT ON FUNCTION said IS 'secret of a function'",
    )
    hook = make_hook(shop)
    key = hook.dump(**ARGUMENTS)
    reported = {tuple(found) for found in hook.inspect(key)["masking"]["reported"]}
    assert reported == {
        ("column default with a literal", "public.users.email"),
        ("comment", "public.users.email"),
        ("index with a literal", "public.by_level"),
        ("constraint with a literal", "public.users.nobody"),
        ("view with a literal", "public.few"),
        ("function", "public.said"),
        ("comment", "public"),
        ("comment", "the database"),
        ("comment", "public.said()"),
        ("labels of an enum", "public.mood"),
        ("default of a type", "public.word"),
        ("policy with a literal", "public.users.few_rows"),
        ("rule with a literal", "public.users.never"),
        ("trigger with a literal", "public.users.told"),
        ("statistics with a literal", "public.stats"),
    }
    assert "secret" not in caplog.text
    report = hook.mask_report(key)
    for _, subject in reported:
        assert subject.split(".")[-1].replace("_", "&#95;") in report or subject in report


def test_the_manifest_says_by_which_rules(shop: str, make_hook: MakeHook) -> None:
    hook = make_hook(shop)
    masks = {
        "public.users": {"email": {"sql": "'user' || id"}, "level": {"constant": 7}},
        "public.logs": {"what": {"hash": 12}},
    }
    rows = {"public.logs": "what <> 'jo1@example.org'"}
    key = hook.dump(masks=masks, rows=rows, mask_key="a key that nobody can guess")
    masking = hook.inspect(key)["masking"]
    assert sorted(masking["columns"]) == [
        ["public", "logs", "what", "hash (chars: 12)"],
        ["public", "users", "email", "sql (expression: '…' || id)"],
        ["public", "users", "level", "constant"],
    ]
    assert masking["rows"] == [["public", "logs", "what <> '…'"]]
    assert masking["is_keyed"] is True
    assert [dump.key for dump in hook.ls(masked=True)] == [key]
    assert "masking" not in hook.inspect(hook.dump())
    assert len(hook.ls(masked=True)) == 1


def test_documents_must_say_what_becomes_of_other_keys(
    server: Server, shop: str, make_hook: MakeHook, caplog: pytest.LogCaptureFixture
) -> None:
    server.run(
        shop,
        "ALTER TABLE orders ADD COLUMN j jsonb; INSERT INTO orders VALUES "
        """(1, 1, 1, '{"mail": "jo1@example.org", "new": "jo1@example.org", "n": 1}')""",
    )
    hook = make_hook(shop)

    def masks(paths: dict[str, Any]) -> dict[str, Any]:
        return {**ARGUMENTS, "masks": {**ARGUMENTS["masks"], "orders": {"j": {"json": paths}}}}

    with pytest.raises(InvalidInputError, match=r"documents of public\.orders\.j may have keys"):
        hook.dump(**masks({"mail": "null", "n": "keep"}))
    key = hook.dump(**masks({"mail": "null", "n": "keep", "*": "null", "adress": "null"}))
    assert "no sampled document of public.orders.j has the path adress" in caplog.text
    make_hook("restored").restore(key)
    found = server.value("restored", "SELECT j FROM orders")
    assert found == {"mail": None, "n": 1}

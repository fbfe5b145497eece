"""Foreign keys to rows that a dump leaves out: refused before anything is written."""

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

PARTS_SQL = """
CREATE TABLE users (day int, id int, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM (0) TO (10);
CREATE TABLE users_2 PARTITION OF users FOR VALUES FROM (10) TO (20);
CREATE TABLE orders (
    day int, user_day int, user_id int,
    CONSTRAINT buyer FOREIGN KEY (user_day, user_id) REFERENCES users
) PARTITION BY RANGE (day);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (10);
CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (10) TO (20);
INSERT INTO users VALUES (1, 1), (11, 2);
INSERT INTO orders VALUES (1, 1, 1), (11, 11, 2), (12, 11, NULL);
"""


def refused(
    make_hook: MakeHook, server: Server, database: str, storage: Path, **content: Any
) -> list[str]:
    """Dump and copy, and return why both are refused."""
    reasons = []
    before = server.names()
    with pytest.raises(InvalidInputError) as of_dump:
        make_hook(database).dump(**content)
    with pytest.raises(InvalidInputError) as of_copy:
        make_hook(database).copy(target=f"{database}_copy", method="stream", **content)
    for caught in (of_dump, of_copy):
        reasons.append(str(caught.value))
    assert not list(storage.rglob("*.dump"))
    assert server.names() == before
    return reasons


def restored(make_hook: MakeHook, server: Server, database: str, **content: Any) -> None:
    """Dump and restore, and copy, which both go well."""
    key = make_hook(database).dump(**content)
    make_hook(f"{database}_back").restore(key)
    make_hook(database).copy(target=f"{database}_copy", method="stream", **content)


@pytest.mark.parametrize(
    "masking",
    [{}, {"masks": {"public.orders": {"total": {"constant": 1}}}}, {"rows": {"orders": "id > 9"}}],
)
def test_a_key_to_an_excluded_table_is_refused_by_its_name(
    server: Server, shop: str, make_hook: MakeHook, local_storage: Path, masking: dict[str, Any]
) -> None:
    reasons = refused(make_hook, server, shop, local_storage, exclude=["public.users"], **masking)
    for reason in reasons:
        assert "public.orders" in reason
        assert "public.users" in reason
        assert "rows" in masking or "'orders_user_id_fkey'" in reason


@pytest.mark.parametrize(
    "content",
    [
        {"exclude": ["users", "orders"]},
        {"exclude": ["users"], "rows": {"orders": "false"}},
        {"exclude": ["users"], "rows": {"orders": "id > 9"}, "follow_fks": True},
    ],
)
def test_a_key_without_references_is_restored(
    server: Server, shop: str, make_hook: MakeHook, content: dict[str, Any]
) -> None:
    restored(make_hook, server, shop, **content)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE orders ALTER user_id DROP NOT NULL; UPDATE orders SET user_id = NULL",
        "ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey;"
        "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID",
    ],
)
def test_a_key_that_no_restore_looks_up_is_restored(
    server: Server, shop: str, make_hook: MakeHook, change: str
) -> None:
    server.run(shop, change)
    restored(make_hook, server, shop, exclude=["users"])


def test_partitions_count_by_the_rows_that_refer_to_them(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook, local_storage: Path
) -> None:
    database = make_database(PARTS_SQL)
    for left_out in (["users"], ["users_2"], ["users", "orders_1"]):
        for reason in refused(make_hook, server, database, local_storage, exclude=left_out):
            assert "'buyer'" in reason
    restored(make_hook, server, database, exclude=["users_2", "orders_2"])


@pytest.mark.parametrize("left_out", [{"schemas": ["a"]}, {"exclude_schemas": ["b"]}])
def test_a_key_to_a_table_that_is_not_dumped_is_refused(
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    local_storage: Path,
    left_out: dict[str, Any],
) -> None:
    database = make_database(
        "CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE b.users (id int PRIMARY KEY);"
        "CREATE TABLE a.orders (user_id int, CONSTRAINT buyer FOREIGN KEY (user_id) "
        "REFERENCES b.users NOT VALID)"
    )
    for reason in refused(make_hook, server, database, local_storage, **left_out):
        assert "'buyer' of a.orders refers to b.users" in reason


def test_a_table_that_must_not_be_queried_is_not(
    make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    """Any query of it would call a function of its owner with our rights."""
    database = make_database(
        "DO $$ BEGIN CREATE ROLE masks_stranger; EXCEPTION WHEN duplicate_object THEN END $$; "
        "CREATE TABLE users (id int PRIMARY KEY); CREATE SCHEMA owned AUTHORIZATION masks_stranger;"
        "CREATE TABLE owned.orders (user_id int REFERENCES users);"
        "ALTER TABLE owned.orders OWNER TO masks_stranger; SET ROLE masks_stranger; "
        "CREATE FUNCTION owned.seen(int) RETURNS bool IMMUTABLE LANGUAGE sql RETURN true;"
        "CREATE INDEX ON owned.orders (owned.seen(user_id))"
    )
    hook = make_hook(database)
    with pytest.raises(UnsupportedError, match=r"a query of owned\.orders calls"):
        hook.dump(exclude=["users"])
    hook.dump(exclude=["users"], trusted_owners=["masks_stranger"])

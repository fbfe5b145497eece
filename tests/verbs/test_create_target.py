"""A target that does not exist: made, or refused as a mistyped name."""

from collections.abc import Callable

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook


@pytest.fixture
def staging(server: Server) -> str:
    server.run("postgres", "CREATE DATABASE shop_staging")
    return "shop_staging"


def test_a_mistyped_name_is_refused_with_what_was_meant(
    server: Server, shop: str, staging: str, make_hook: MakeHook
) -> None:
    hook = make_hook("shop_stagin")
    make_hook(staging).restore(make_hook(shop).dump(), swap=False)  # its name is spelled alike
    before = server.names()
    calls: list[Callable[[], object]] = [
        lambda: hook.restore("pg", create_target=False),
        lambda: hook.restore("pg", create_target=False, swap=False),
        lambda: hook.restore(f":{shop}", create_target=False),
        lambda: make_hook(shop).copy(target="shop_stagin", method="stream", create_target=False),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match="'shop_stagin' does not exist and") as raised:
            call()
        assert str(raised.value.hint).startswith("Did you mean 'shop_staging'?")
    assert server.names() == before


def test_a_target_that_exists_is_replaced(
    server: Server, shop: str, staging: str, make_hook: MakeHook
) -> None:
    make_hook(staging).restore(make_hook(shop).dump(), create_target=False)
    assert server.value(staging, "SELECT count(*) FROM orders") == 2000
    server.run(staging, "DELETE FROM orders")
    make_hook(shop).copy(target=staging, method="stream", create_target=False)
    assert server.value(staging, "SELECT count(*) FROM orders") == 2000


def test_a_swap_makes_no_target_that_its_restore_may_not_make(
    server: Server, shop: str, staging: str, make_hook: MakeHook
) -> None:
    hook = make_hook(staging)
    hook.restore(make_hook(shop).dump(), create_target=False, swap=False)
    waiting = hook.temp_database
    assert waiting is not None
    server.drop(staging)
    before = server.names()
    with pytest.raises(NotFoundError, match="'shop_staging' does not exist and may not be made"):
        hook.swap(waiting)
    assert server.names() == before
    server.run("postgres", f"CREATE DATABASE {staging}")
    hook.swap(waiting)
    assert server.value(staging, "SELECT count(*) FROM orders") == 2000


def test_a_swap_makes_no_target_if_it_may_not_itself(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_hook("shop_new")
    hook.restore(make_hook(shop).dump(), swap=False)
    waiting = hook.temp_database
    assert waiting is not None
    with pytest.raises(NotFoundError, match="'shop_new' does not exist and may not be made"):
        hook.swap(waiting, create_target=False)
    monkeypatch.setenv("AIRFLOW__PGCLONE__CREATE_TARGET", "false")
    with pytest.raises(NotFoundError, match="'shop_new' does not exist and may not be made"):
        hook.swap(waiting)
    hook.swap(waiting, create_target=True)
    assert server.value("shop_new", "SELECT count(*) FROM orders") == 2000


def test_a_target_that_is_dropped_while_its_restore_loads_is_not_made(
    server: Server, shop: str, staging: str, make_hook: MakeHook
) -> None:
    key = make_hook(shop).dump()
    before = server.names()
    drop = f"DROP DATABASE {staging}"

    def drop_staging(progress: object) -> None:
        if staging in server.names():
            server.run("postgres", drop)

    hook = make_hook(staging, progress_callback=drop_staging)
    with pytest.raises(NotFoundError, match="'shop_staging' does not exist and may not be made"):
        hook.restore(key, create_target=False)
    assert server.names() == before - {staging}


def test_the_option_is_not_for_a_copy_by_template(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInputError, match="by template has no option create_target"):
        make_hook(shop).copy(":kept", create_target=False)
    # What is set for the restores of a connection does not forbid its local copies.
    monkeypatch.setenv("AIRFLOW__PGCLONE__CREATE_TARGET", "false")
    make_hook(shop).copy(":kept")

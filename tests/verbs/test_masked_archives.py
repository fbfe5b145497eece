"""Who wants masked dumps alone, and what auditors are told of a dump."""

import os
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.operators import PgCloneListOperator, PgCloneRestoreOperator
from tests.support.fixtures.airflow import serialized
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.masked import MaskedDump
from tests.support.fixtures.stock_tools import stock_archive


def test_a_restore_that_requires_masks_takes_a_masked_dump_alone(
    shop: str, server: Server, make_hook: MakeHook, masked_dump: MaskedDump
) -> None:
    hook = make_hook(shop)
    masked, plain, empty = masked_dump(hook), hook.dump(), masked_dump(hook, columns=[])
    server.run(shop, "DELETE FROM orders")
    for key in (plain, empty):
        with pytest.raises(UnsupportedError, match=f"{key} is not masked, and only masked dumps"):
            hook.restore(key, require_masked=True)
    assert server.names() == {shop}
    assert server.value(shop, "SELECT count(*) FROM orders") == 0
    assert hook.restore(masked, require_masked=True) == masked
    assert server.value(shop, "SELECT count(*) FROM orders") == 2000
    hook.restore(plain)


def test_the_newest_dump_is_refused_and_not_passed_over(
    shop: str, server: Server, make_hook: MakeHook, masked_dump: MaskedDump
) -> None:
    hook = make_hook(shop)
    masked = masked_dump(hook)
    plain = hook.dump()
    prefix = "/".join(masked.split("/")[:2])
    with pytest.raises(UnsupportedError, match=f"{plain} is not masked"):
        hook.restore(prefix, require_masked=True)
    assert server.names() == {shop}


def test_a_server_may_require_masks(
    shop: str, make_hook: MakeHook, masked_dump: MaskedDump, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_hook(shop)
    masked, plain = masked_dump(hook), hook.dump()
    monkeypatch.setenv("AIRFLOW__PGCLONE__REQUIRE_MASKED", "True")
    with pytest.raises(UnsupportedError, match=f"{plain} is not masked"):
        hook.restore(plain)
    hook.restore(masked)


def test_nothing_tells_that_a_stock_archive_is_masked(
    shop: str, server: Server, make_hook: MakeHook, local_storage: Path
) -> None:
    path = stock_archive(server, shop, local_storage)
    key = str(path.relative_to(local_storage))
    hook = make_hook(shop)
    with pytest.raises(UnsupportedError, match=f"{key} was not made by this package, so it is"):
        hook.restore(key, require_masked=True)
    assert server.names() == {shop}
    with pytest.raises(UnsupportedError, match="has no manifest"):
        hook.mask_report(key)


def test_of_local_keys_only_what_was_restored_may_come_back(
    server: Server, shop: str, make_hook: MakeHook, masked_dump: MaskedDump
) -> None:
    hook = make_hook(shop)
    hook.copy(":before")
    with pytest.raises(UnsupportedError, match=":before is not known to be masked"):
        hook.restore(":before", require_masked=True)
    hook.restore(":before")
    hook.restore(masked_dump(hook), reversible=True, require_masked=True)
    assert hook.restore(":post", require_masked=True) == ":post"
    assert f"{shop}__pre" in server.names()


def test_what_a_connection_requires_no_argument_lifts(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    monkeypatch.setenv("AIRFLOW__PGCLONE__REQUIRE_MASKED", "true")
    with pytest.raises(UnsupportedError, match="is not masked"):
        hook.restore(key, require_masked=False)


def test_a_drill_that_requires_masks_takes_a_masked_dump_alone(
    shop: str,
    server: Server,
    make_hook: MakeHook,
    masked_dump: MaskedDump,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hook = make_hook(shop)
    masked, plain = masked_dump(hook), hook.dump()
    monkeypatch.setenv("AIRFLOW__PGCLONE__REQUIRE_MASKED", "true")
    with pytest.raises(UnsupportedError, match=f"{plain} is not masked"):
        hook.verify(plain, level="restore")
    assert server.names() == {shop}
    assert hook.verify(masked, level="restore") == masked
    assert hook.verify(plain) == plain  # reads bytes, and restores nothing


def test_a_copy_by_template_is_refused_where_masks_are_required(
    shop: str, server: Server, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PGCLONE__REQUIRE_MASKED", "true")
    hook = make_hook(shop)
    with pytest.raises(UnsupportedError, match="a copy by template masks nothing"):
        hook.copy(":before")
    with pytest.raises(UnsupportedError, match="a copy by template masks nothing"):
        hook.copy(target="shop_copy")
    assert server.names() == {shop}


@pytest.mark.parametrize(("style", "start"), [("markdown", "# Mask"), ("html", "<!DOCTYPE html>")])
def test_auditors_get_a_report_of_a_dump(
    style: str, start: str, shop: str, make_hook: MakeHook, masked_dump: MaskedDump
) -> None:
    hook = make_hook(shop)
    key = masked_dump(hook)
    report = hook.mask_report(key, style=style)
    assert report.startswith(start)
    assert hook.mask_report("/".join(key.split("/")[:2]), style=style) == report
    for told in (key, shop, "masked: email", "kept: declared safe", "suspects", "2,000"):
        assert told in report
    assert "Nothing was masked" not in report
    plain = hook.mask_report(hook.dump(), style=style)
    assert plain.startswith(start)
    assert "Nothing was masked" in plain
    assert "2,000" in plain


def test_a_report_of_another_style_is_refused_before_anything_is_read(make_hook: MakeHook) -> None:
    with pytest.raises(InvalidInputError, match="style 'pdf' is unknown"):
        make_hook("shop").mask_report("prod/none_such", style="pdf")


def test_operators_require_masks_as_well(
    airflow_database: None,
    shop: str,
    server: Server,
    make_hook: MakeHook,
    masked_dump: MaskedDump,
    postgres_connection: str,
    local_storage: Path,
) -> None:
    hook = make_hook(shop)
    masked, plain = masked_dump(hook), hook.dump()
    shared: dict[str, Any] = {
        "postgres_conn_id": postgres_connection,
        "storage_location": str(local_storage),
    }

    def restored(key: str) -> str:
        with DAG(f"masked_{os.urandom(4).hex()}", schedule=None) as dag:
            PgCloneRestoreOperator(
                task_id="restore",
                key=key,
                database=f"{shop}_staging",
                require_masked="{{ true }}",
                **shared,
            )
        return str(serialized(dag).test().state)

    assert restored(plain) == "failed"
    assert server.names() == {shop}
    with DAG(f"masked_{os.urandom(4).hex()}", schedule=None) as dag:
        PgCloneListOperator(task_id="ls", masked="{{ true }}", **shared)
    listed = serialized(dag).test().get_task_instance("ls")
    assert listed is not None
    assert listed.xcom_pull(task_ids="ls") == [masked]
    assert restored(masked) == "success"
    assert server.names() == {shop, f"{shop}_staging"}

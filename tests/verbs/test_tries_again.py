"""Tasks that are tried again after their work was done, or cleared to do it anew."""

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import NotFoundError
from airflow_provider_pgclone.hooks import PgCloneHook
from airflow_provider_pgclone.operators import PgCloneRestoreOperator
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook


def test_a_swap_whose_success_was_lost_is_a_success(
    server: Server, shop: str, make_hook: MakeHook
) -> None:
    server.run("postgres", f"COMMENT ON DATABASE {shop} IS 'the shop''s own'")
    hook = make_hook(shop)
    key = hook.dump()
    hook.restore(key, swap=False)
    temp = hook.temp_database
    assert temp is not None
    assert [hook.swap(temp), hook.swap(temp)] == [shop, shop]
    hook.restore(key, swap=False, maker="another")
    later = hook.temp_database
    assert later is not None
    assert hook.swap(later) == shop
    with pytest.raises(NotFoundError, match="does not exist"):
        hook.swap(temp)  # its database was replaced since
    comment = server.value(
        "postgres",
        f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{shop}'",
    )
    own, line = comment.split("\n")
    assert own == "the shop's own"
    assert key in line


def test_a_cleared_task_renews_pre_and_a_retry_does_not(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clear keeps the run; Airflow then allows as many tries as there were, and the retries."""
    hook = make_hook(shop)
    key = hook.dump()
    task: Any = PgCloneRestoreOperator(
        task_id="restore", key=key, database=shop, reversible=True, retries=2
    )
    monkeypatch.setattr(PgCloneRestoreOperator, "make_hook", lambda _: hook)

    def run(*, max_tries: int) -> None:
        instance = SimpleNamespace(
            dag_id="refresh", task_id="restore", map_index=-1, run_id="manual", max_tries=max_tries
        )
        task.execute({"ti": instance})

    def version(database: str) -> int:
        return int(server.value(database, "SELECT count(*) FROM users WHERE id < 0"))

    def change(database: str) -> None:
        server.run(database, "INSERT INTO users VALUES (-1, 'changed')")

    change(shop)
    run(max_tries=2)
    assert version(f"{shop}__pre") == 1
    run(max_tries=2)  # a retry: the database before the restore is still that of the first try
    assert version(f"{shop}__pre") == 1
    server.run(f"{shop}__pre", "DELETE FROM users WHERE id < 0")
    change(shop)
    run(max_tries=4)  # cleared after two tries
    assert version(f"{shop}__pre") == 1
    assert version(shop) == 0
    assert isinstance(hook, PgCloneHook)

"""What becomes of a restored database by the answers that an approval can get."""

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.standard.exceptions import HITLTriggerEventError

from airflow_provider_pgclone.hooks import PgCloneHook
from airflow_provider_pgclone.operators import PgCloneApproveSwapOperator
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook


@pytest.fixture
def hook(shop: str, make_hook: MakeHook) -> PgCloneHook:
    hook = make_hook(shop)
    hook.restore(hook.dump(), swap=False)
    return hook


@pytest.fixture
def approval(hook: PgCloneHook, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(PgCloneApproveSwapOperator, "make_hook", lambda _: hook)
    return PgCloneApproveSwapOperator(task_id="approve", temp_database=str(hook.temp_database))


def answer(*chosen: str, **more: Any) -> dict[str, Any]:
    return {
        "chosen_options": list(chosen),
        "params_input": {},
        "responded_at": datetime.now(UTC),
        "responded_by_user": None,
        **more,
    }


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"error": "the database is gone", "error_type": "unknown"}, HITLTriggerEventError),
        (answer("Perhaps"), ValueError),
        (answer("Reject", "Perhaps"), ValueError),
    ],
)
def test_what_is_no_rejection_leaves_the_restored_database(
    event: dict[str, Any],
    error: type[Exception],
    server: Server,
    hook: PgCloneHook,
    approval: Any,
) -> None:
    with pytest.raises(error):
        approval.execute_complete({}, event)
    assert hook.temp_database in server.names()


def test_a_timeout_drops_the_restored_database_and_fails(
    server: Server, hook: PgCloneHook, approval: Any
) -> None:
    with pytest.raises(AirflowFailException, match="nobody approved the swap in time"):
        approval.execute_complete({}, answer("Reject", timedout=True))
    assert hook.temp_database not in server.names()

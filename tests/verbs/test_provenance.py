"""What a dump and a database tell of who made them."""

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import NotFoundError
from airflow_provider_pgclone.core.repository import DumpSummary
from airflow_provider_pgclone.hooks import PgCloneHook
from airflow_provider_pgclone.operators import PgCloneDumpOperator, PgCloneRestoreOperator
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook

EMAIL = {"email": "example.invalid"}


def instance_of(task_id: str, *, map_index: int = -1) -> SimpleNamespace:
    return SimpleNamespace(
        dag_id="nightly",
        task_id=task_id,
        map_index=map_index,
        run_id="manual__2026-01-02T03:04:05+00:00",
        max_tries=0,
        xcom_push=lambda **_: None,
    )


def test_a_dump_says_which_task_made_it_and_how_long_it_took(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_hook(shop)
    monkeypatch.setattr(PgCloneDumpOperator, "make_hook", lambda _: hook)
    task: Any = PgCloneDumpOperator(task_id="dump")
    key = task.execute({"ti": instance_of("dump", map_index=3)})
    facts = hook.inspect(key)
    assert facts["made_by"] == {
        "dag": "nightly",
        "task": "dump",
        "run": "manual__2026-01-02T03:04:05+00:00",
        "map_index": "3",
    }
    assert 0 < facts["seconds"] < 60


def test_a_database_says_what_it_holds_since_when_and_by_whom(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_hook(shop)
    before = hook.current()
    assert (before.key, before.since, before.made_by, before.pre) == ("", "", {}, None)
    assert before.size_bytes
    key = hook.dump()
    monkeypatch.setattr(PgCloneRestoreOperator, "make_hook", lambda _: hook)
    task: Any = PgCloneRestoreOperator(task_id="restore", key=key, reversible=True)
    task.execute({"ti": instance_of("restore")})
    first = hook.current()
    assert first.key == key
    assert first.made_by == {
        "dag": "nightly",
        "task": "restore",
        "run": "manual__2026-01-02T03:04:05+00:00",
    }
    assert first.pre is not None
    assert (first.pre.name, first.pre.key) == (f"{shop}__pre", "")

    hook.restore(key, swap=False)
    (waiting,) = hook.current().waiting
    assert (waiting.name, waiting.key) == (hook.temp_database, key)
    hook.drop_temp(waiting.name)

    hook.restore(key, reversible=True, maker="by hand")
    second = hook.current()
    assert second.made_by == {"maker": "by hand", "run": ""}
    assert second.pre is not None
    assert (second.pre.key, second.pre.since) == (key, first.since)


def test_a_database_that_does_not_exist_is_named(shop: str, make_hook: MakeHook) -> None:
    hook: PgCloneHook = make_hook("no_such")
    with pytest.raises(NotFoundError, match="database 'no_such' does not exist"):
        hook.current()


def test_summaries_of_whole_and_damaged_and_partial_dumps(shop: str, make_hook: MakeHook) -> None:
    hook = make_hook(shop)
    hook.dump(made_by={"dag": "nightly"}, instance="full")
    hook.dump(instance="part", exclude=["public.orders"])
    hook.dump(
        instance="masked", masks={"public.users": {"email": EMAIL}}, mask_key="a key of 16 chars"
    )
    broken = hook.dump(instance="broken")
    location = hook._arguments["storage_location"]
    path = f"{location}/{broken}"
    with open(path, "r+b") as file:
        file.truncate(1000)
    found = {one.key.split("/")[0]: one for one in hook.summaries(hook.ls())}
    assert found["full"].made_by == {"dag": "nightly"}
    assert (found["full"].is_masked, found["full"].left_out) == (False, ())
    assert found["full"].rows
    assert found["part"].left_out == ("exclude=['public.orders']",)
    assert found["masked"].is_masked
    assert "the end is missing" in found["broken"].problem
    assert found["broken"].is_masked is None
    for one in found.values():
        assert DumpSummary.from_json(one.as_json()).as_json() == one.as_json()


def test_summaries_that_are_known_are_not_read_again(shop: str, make_hook: MakeHook) -> None:
    hook = make_hook(shop)
    hook.dump()
    dumps = hook.ls()
    known = {one.key: one for one in hook.summaries(dumps)}
    hook.verify(dumps[0].key)
    location = hook._arguments["storage_location"]
    with open(f"{location}/{dumps[0].key}", "r+b") as file:  # whoever reads it again, would see
        file.write(bytes(dumps[0].size_bytes))
    (again,) = hook.summaries(hook.ls(), known=known)
    assert (again.problem, again.finding) == ("", "archive")
    (fresh,) = hook.summaries(hook.ls())
    assert fresh.problem

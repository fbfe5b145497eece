"""A restore, the user's own tasks and checks, an approval, and the swap."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup, XComArg, chain

from airflow_provider_pgclone.operators import PgCloneRestoreOperator, PgCloneSwapOperator
from airflow_provider_pgclone.task_groups.dumps import LatestDumpOperator, LatestOf, Pick
from airflow_provider_pgclone.task_groups.hook_tasks import (
    CheckOperator,
    DropTempOperator,
    HookTask,
)

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

# Of the restore's arguments, those that other tasks need as well.
_OF_STORAGE = ("storage_location", "storage_conn_id")
_OF_CHOICES = (
    *(*_OF_STORAGE, "database", "restore_over", "create_target"),
    *("require_masked", "require_verified", "require_signed"),
    *("signing_key", "signing_key_conn_id"),
)
_OF_SWAP = ("restore_over", "wait_seconds")


def restore_task_group(
    group_id: str,
    *,
    dump: "str | XComArg | LatestOf | Pick",
    hooks: Sequence[HookTask] = (),
    checks: str | Sequence[str] = (),
    approve: bool | Mapping[str, Any] = False,
    postgres_conn_id: str | None = None,
    config: str | None = None,
    maintenance_database: str | None = None,
    **options: Any,
) -> TaskGroup:
    """Make the tasks that restore a dump, work on it, and swap it in.

    They are ``choose_dump`` or ``pick``, ``restore``, the hook tasks one after the other,
    ``check``, ``approve``, ``swap`` and ``drop_temp``, without those that are not asked for.
    ``drop_temp`` is a teardown: whatever fails, is stopped or is rejected before the swap, the
    restored database is dropped and the target stays as it was. Clearing a task in the middle runs
    the restore again.

    :param group_id: the name of the group, and the first part of the names of its tasks.
    :param dump: a dump key, a prefix (its newest dump) or a local key such as ``:pre``;
        :func:`latest_of` an Asset; or :func:`pick`.
    :param hooks: tasks on the restored database, made by :func:`hook_task`, :func:`sql_hook` and
        :func:`bash_hook`.
    :param checks: a query, or a list of queries, that must be true after the hook tasks.
    :param approve: whether a person has to approve the swap; or arguments of
        :class:`~airflow_provider_pgclone.operators.PgCloneApproveSwapOperator`, such as
        ``response_timeout``.
    :param postgres_conn_id: the Airflow connection of the PostgreSQL server.
    :param config: the name of a configuration.
    :param maintenance_database: the database to connect to while others are created and dropped.
    :param options: others of
        :class:`~airflow_provider_pgclone.operators.PgCloneRestoreOperator`, such as ``database``,
        ``reversible`` or ``require_masked``.
    """
    server = {"postgres_conn_id": postgres_conn_id, "config": config}
    server["maintenance_database"] = maintenance_database
    if "swap" in options:
        raise TypeError("restore_task_group() has no argument 'swap': it swaps after its last task")
    with TaskGroup(group_id) as group:
        chosen = _chosen(dump, server, options)
        key = chosen if isinstance(chosen, str) or not hasattr(chosen, "output") else chosen.output
        restore = PgCloneRestoreOperator(
            task_id="restore", key=key, swap=False, **server, **options
        )
        where: dict[str, Any] = {**server, "temp_database": XComArg(restore, key="temp_database")}
        steps: list[BaseOperator] = [restore, *(hook.make(**where) for hook in hooks)]
        if checks:
            texts = [checks] if isinstance(checks, str) else list(checks)
            steps.append(CheckOperator(task_id="check", check_sql=texts, **where))
        if approve:
            steps.append(_approval({} if approve is True else approve, where, options))
        steps.append(PgCloneSwapOperator(task_id="swap", **where, **_some(options, _OF_SWAP)))
        drop = DropTempOperator(task_id="drop_temp", **where)
        chain(*steps, drop.as_teardown(setups=restore))
    return group


def _chosen(dump: Any, server: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Return the key, or the task that chooses it."""
    if isinstance(dump, LatestOf):
        return LatestDumpOperator(task_id="choose_dump", asset=dump.asset, otherwise=dump.otherwise)
    if not isinstance(dump, Pick):
        return dump
    from airflow_provider_pgclone.operators import PgClonePickDumpOperator

    given = {"check_target": True, **server, **_some(options, _OF_CHOICES), **dump.arguments}
    return PgClonePickDumpOperator(task_id="pick", prefix=dump.prefix, **given)


def _approval(
    arguments: Mapping[str, Any], where: Mapping[str, Any], options: Mapping[str, Any]
) -> "BaseOperator":
    from airflow_provider_pgclone.operators import PgCloneApproveSwapOperator

    given = {**where, **_some(options, _OF_STORAGE), **arguments}
    return PgCloneApproveSwapOperator(task_id="approve", **given)


def _some(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}

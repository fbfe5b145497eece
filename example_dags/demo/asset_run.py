"""Run a DAG because of an asset event, as Airflow's scheduler does, in this process.

``dag.test()`` makes a manual run, which no asset event has triggered.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG
    from sqlalchemy.orm import Session


def run_by_asset(dag: "DAG") -> "DagRun":
    """Run a DAG with the asset events that have waited for it, and return its run.

    :raises LookupError: when none is queued.
    """
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState

    with create_session() as session:
        run = _create_run(dag.dag_id, session)
        while run.state == DagRunState.RUNNING:
            _run_ready_tasks(dag, run, session)
    return run


def _create_run(dag_id: str, session: "Session") -> "DagRun":
    from airflow.models.asset import AssetDagRunQueue, AssetEvent
    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.sdk import timezone
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import select

    queue = AssetDagRunQueue
    queued = session.scalars(select(queue).where(queue.target_dag_id == dag_id)).all()
    events = session.scalars(
        select(AssetEvent).where(
            AssetEvent.asset_id.in_([entry.asset_id for entry in queued]),
            ~AssetEvent.created_dagruns.any(DagRun.dag_id == dag_id),
        )
    ).all()
    scheduler_dag = SerializedDagModel.get_dag(dag_id, session=session)
    if not events or scheduler_dag is None:
        raise LookupError(f"no asset event is queued for the DAG {dag_id}")
    now = timezone.utcnow()
    run = scheduler_dag.create_dagrun(
        run_id=DagRun.generate_run_id(
            run_type=DagRunType.ASSET_TRIGGERED, logical_date=None, run_after=now
        ),
        run_after=now,
        run_type=DagRunType.ASSET_TRIGGERED,
        triggered_by=DagRunTriggeredByType.ASSET,
        state=DagRunState.RUNNING,
        start_date=now,
        session=session,
    )
    run.consumed_asset_events.extend(events)
    for entry in queued:
        session.delete(entry)
    session.commit()
    return run


def _run_ready_tasks(dag: "DAG", run: "DagRun", session: "Session") -> None:
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.state import TaskInstanceState

    session.expire_all()
    ready, _ = run.update_state(session=session)
    for instance in ready:
        instance.try_number += 1
        instance.state = TaskInstanceState.SCHEDULED
    session.commit()
    for instance in ready:
        _run_task(ti=instance, task=dag.task_dict[instance.task_id])

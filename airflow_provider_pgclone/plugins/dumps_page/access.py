"""Who may see what: Airflow's own check of the DAG of a store or a target."""

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import HTTPException, Request

from airflow_provider_pgclone.plugins.dumps_page.configuration import Store, Target


def check_readable(request: Request, user: BaseUser, entry: Store | Target) -> None:
    """Refuse whoever may not read the DAG of a store or a target.

    :raises HTTPException: with the status 403.
    """
    requires_access_dag("GET", None, entry.dag)(request, user)


def may_read(request: Request, user: BaseUser, entry: Store | Target) -> bool:
    try:
        check_readable(request, user, entry)
    except HTTPException:
        return False
    return True


def may_run(request: Request, user: BaseUser, dag_id: str | None) -> bool:
    """Tell whether somebody may trigger a DAG; Airflow checks it again when they do."""
    if dag_id is None:
        return False
    try:
        requires_access_dag("POST", DagAccessEntity.RUN, dag_id)(request, user)
    except HTTPException:
        return False
    return True

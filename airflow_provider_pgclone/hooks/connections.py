"""Airflow connections as the core takes them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
from airflow.sdk import Connection

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError
from airflow_provider_pgclone.settings import EXTRA_KEY

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.database import Database
    from airflow_provider_pgclone.core.storage.s3 import S3Access

# A user who never named a connection gets what boto3 finds in the environment.
DEFAULT_AWS_CONN_ID = "aws_default"


def get_connection(conn_id: str) -> Connection:
    """Return a connection.

    :raises NotFoundError: when it does not exist.
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise NotFoundError(
            f"the connection {conn_id!r} does not exist",
            hint="Add it in Airflow, or set the environment variable "
            f"AIRFLOW_CONN_{conn_id.upper()}.",
        ) from error


def server_of(connection: Connection) -> "Database":
    """Return the database of a PostgreSQL connection, with its password or a fresh IAM token.

    :raises InvalidInputError: when it is a connection of another type.
    """
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    from airflow_provider_pgclone.core.database import Database

    if connection.conn_type not in ("postgres", "postgresql"):
        raise InvalidInputError(
            f"the connection {connection.conn_id!r} is of type {connection.conn_type!r}",
            hint="postgres_conn_id takes a connection of type postgres.",
        )
    login, password, port = connection.login, connection.password, connection.port
    extra = connection.extra_dejson
    if extra.get("iam"):
        hook = PostgresHook(postgres_conn_id=connection.conn_id)
        login, password, port = hook.get_iam_token(connection)
    parameters = {"host": connection.host, "port": port, "user": login, "password": password}
    ours = PostgresHook.ignored_extra_options | {EXTRA_KEY, "dbname"}
    return Database(
        name=connection.schema or extra.get("dbname") or "",
        parameters=_given(parameters) | _given({k: v for k, v in extra.items() if k not in ours}),
    )


def s3_access_of(conn_id: str) -> "S3Access":
    """Return how an AWS connection reaches S3.

    :raises NotFoundError: when a connection was named that does not exist.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    from airflow_provider_pgclone.core.storage.s3 import S3Access

    if conn_id != DEFAULT_AWS_CONN_ID:
        get_connection(conn_id)
    hook: Any = AwsGenericHook(aws_conn_id=conn_id, client_type="s3")
    client = hook.get_conn()
    s3_settings = getattr(hook.config, "s3", None) or {}
    return S3Access(
        session=hook.get_session(region_name=hook.region_name),
        client=client,
        endpoint_url=hook.conn_config.get_service_endpoint_url("s3"),
        region=client.meta.region_name,
        verify=hook.verify,
        virtual_hosted=s3_settings.get("addressing_style") == "virtual",
    )


def _given(parameters: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in parameters.items() if value not in (None, "")}

"""Airflow connections, turned into the core's values."""

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
from airflow.sdk import Connection

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError, ServerError
from airflow_provider_pgclone.core.visible import get_log
from airflow_provider_pgclone.settings import (
    CONNECTIONS_KEY,
    EXTRA_KEY,
    SECTION,
    is_same_id,
    near_connection_ids,
)

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.postgres import Database
    from airflow_provider_pgclone.core.storage import S3Access

log = get_log(__name__)

# If no connection is named and this one does not exist, boto3 looks for credentials itself.
DEFAULT_AWS_CONN_ID = "aws_default"
# A token of Amazon RDS is valid for 15 minutes.
TOKEN_SECONDS = 300
# One lock for all who may ask Airflow's supervisor in a thread, for the connection of a token or to
# keep the progress. Before Airflow 3.3, and in dag.test(), two threads would mix up its answers.
SUPERVISOR_LOCK = threading.Lock()


def get_connection(conn_id: str) -> Connection:
    """Return a connection.

    :raises NotFoundError: when it does not exist.
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        near = near_connection_ids(conn_id)
        meant = [f"Did you mean {' or '.join(map(repr, near))}?"] if near else []
        add = f"Add it in Airflow, or set the environment variable AIRFLOW_CONN_{conn_id.upper()}."
        raise NotFoundError(
            f"the connection {conn_id!r} does not exist", hint=" ".join([*meant, add])
        ) from error


def warn_if_misspelled(conn_id: str) -> None:
    """Warn if the section gives a connection nothing, but one of a similar id that does not exist.

    Nobody can tell all connections: they may be in backends that cannot be listed.
    """
    for near in near_connection_ids(conn_id):
        if is_same_id(near, conn_id):
            continue
        try:
            BaseHook.get_connection(near)
        except AirflowNotFoundException:
            log.warning(
                "the key %s of the section [%s] has options for the connection %r, which does not "
                "exist, and none for %r: correct the id if you mean that one",
                CONNECTIONS_KEY,
                SECTION,
                near,
                conn_id,
            )


def server_of(connection: Connection) -> "Database":
    """Return the database of a PostgreSQL connection, with its password or IAM tokens.

    :raises InvalidInputError: when the connection has another type.
    """
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    from airflow_provider_pgclone.core.postgres import Database

    if connection.conn_type not in ("postgres", "postgresql"):
        raise InvalidInputError(
            f"the connection {connection.conn_id!r} is of type {connection.conn_type!r}",
            hint="postgres_conn_id takes a connection of type postgres.",
        )
    extra = connection.extra_dejson
    parameters = {"host": connection.host, "port": connection.port, "user": connection.login}
    tokens = IamTokens(connection) if extra.get("iam") else None
    if tokens is None:
        parameters["password"] = connection.password
    elif not connection.login:  # then the Azure connection has it
        parameters["user"] = tokens.login()
    ours = PostgresHook.ignored_extra_options | {EXTRA_KEY, "dbname"}
    return Database(
        name=connection.schema or extra.get("dbname") or "",
        parameters=_given(parameters) | _given({k: v for k, v in extra.items() if k not in ours}),
        password=tokens,
    )


class IamTokens:
    """Gives the token of a connection; a new one if the last is some minutes old.

    A token opens sessions for 15 minutes, but a restore may open its last session after hours.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._login = self._token = ""
        self._taken_at: float | None = None

    def __call__(self) -> str:
        self._renew()
        return self._token

    def login(self) -> str:
        """Return the user that the token is for."""
        self._renew()
        return self._login

    def _renew(self) -> None:
        with SUPERVISOR_LOCK:
            now = time.monotonic()
            if self._taken_at is not None and now - self._taken_at < TOKEN_SECONDS:
                return
            self._login, self._token = _take_token(self._connection)
            self._taken_at = now


def _take_token(connection: Connection) -> tuple[str, str]:
    """Return a user and its token.

    :raises ServerError: when no token could be obtained.
    """
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    try:
        hook = PostgresHook(postgres_conn_id=connection.conn_id)
        login, token, _ = hook.get_iam_token(connection)
    except Exception as error:  # of boto3, of Azure's libraries and of Airflow
        raise ServerError(
            f"no IAM token for the connection {connection.conn_id!r}: {error}",
            hint="Check the cloud connection that its extra names, and its rights.",
        ) from error
    return login, token


def s3_access_of(conn_id: str) -> "S3Access":
    """Return the access to S3 of an AWS connection.

    :raises NotFoundError: when the named connection does not exist.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    from airflow_provider_pgclone.core.storage import S3Access

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

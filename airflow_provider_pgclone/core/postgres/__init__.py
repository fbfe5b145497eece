"""One PostgreSQL server: its databases, sessions, client programs, and SQL as text.

Settings of sessions are all in ``settings``. Output of programs is redacted before it is shown.
Nothing here knows dumps, keys, masks or storage.
"""

from airflow_provider_pgclone.core.postgres.clients import (
    OLDEST_CLIENT,
    ClientTools,
    check_pg_dump_arguments,
    connection_arguments,
    tool_environment,
    tools_for_dump,
    tools_for_restore,
)
from airflow_provider_pgclone.core.postgres.database import (
    APPLICATION_NAME,
    Database,
    hint_for_room,
)
from airflow_provider_pgclone.core.postgres.processes import Child, run_child
from airflow_provider_pgclone.core.postgres.redaction import (
    redact_all_but_names,
    redact_values,
    server_said,
)
from airflow_provider_pgclone.core.postgres.service import without_service
from airflow_provider_pgclone.core.postgres.service_pipe import open_service_pipe
from airflow_provider_pgclone.core.postgres.session import (
    Session,
    connect,
    database_exists,
    database_oid,
    drop_database,
    is_standby,
    to_become,
)
from airflow_provider_pgclone.core.postgres.settings import (
    CHECKSUM_TRANSACTION,
    LITERALS_TRANSACTION,
    LOADING,
    MASKING_TRANSACTION,
    NO_LOCK_TIMEOUT,
    NO_TRANSACTION_TIMEOUT,
    NO_VIEWS,
    READING_SESSION,
    SAFE_PATH,
    SAMPLING_TRANSACTION,
    SNAPSHOT_SESSION,
    USER_PATH_TRANSACTION,
    short_lock_timeout,
)
from airflow_provider_pgclone.core.postgres.sql_text import (
    LETTERS,
    REDACTED,
    has_comment,
    literal,
    outside_literals,
    qualified,
    quote,
    quote_ascii,
    without_literals,
)

__all__ = [
    "APPLICATION_NAME",
    "CHECKSUM_TRANSACTION",
    "LETTERS",
    "LITERALS_TRANSACTION",
    "LOADING",
    "MASKING_TRANSACTION",
    "NO_LOCK_TIMEOUT",
    "NO_TRANSACTION_TIMEOUT",
    "NO_VIEWS",
    "OLDEST_CLIENT",
    "READING_SESSION",
    "REDACTED",
    "SAFE_PATH",
    "SAMPLING_TRANSACTION",
    "SNAPSHOT_SESSION",
    "USER_PATH_TRANSACTION",
    "Child",
    "ClientTools",
    "Database",
    "Session",
    "check_pg_dump_arguments",
    "connect",
    "connection_arguments",
    "database_exists",
    "database_oid",
    "drop_database",
    "has_comment",
    "hint_for_room",
    "is_standby",
    "literal",
    "open_service_pipe",
    "outside_literals",
    "qualified",
    "quote",
    "quote_ascii",
    "redact_all_but_names",
    "redact_values",
    "run_child",
    "server_said",
    "short_lock_timeout",
    "to_become",
    "tool_environment",
    "tools_for_dump",
    "tools_for_restore",
    "without_literals",
    "without_service",
]

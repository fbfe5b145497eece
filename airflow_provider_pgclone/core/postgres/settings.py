"""The settings of all sessions that this package opens, by purpose.

Values are written as in SQL. psycopg and psql execute the settings as statements. Programs that
execute no statements of ours get them in ``PGOPTIONS``.
"""

from collections.abc import Mapping

# A session that waits for hours while children work must not time out.
_NO_TIMEOUTS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
# The settings of pg_dump: setup_connection() in pg_dump.c.
_READING = {
    "DateStyle": "ISO",
    "IntervalStyle": "POSTGRES",
    "extra_float_digits": "3",
    "synchronize_seqscans": "off",
    "row_security": "off",
    # Otherwise the planner evaluates constraints, which may call functions of other users.
    "constraint_exclusion": "off",
    # It takes longer to compile a query than to read a range of pages.
    "jit": "off",
}
# Masks are computed with the same settings in every session and in every dump.
_MASKING = {
    **_READING,
    "DateStyle": "'ISO, YMD'",
    "TimeZone": "'UTC'",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}
# The settings that determine the text of a value. The last one makes a query see all rows, or fail.
_CHECKSUMS = {
    "DateStyle": "'ISO, YMD'",
    "IntervalStyle": "postgres",
    "TimeZone": "'UTC'",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "'C'",
    "quote_all_identifiers": "off",
    "row_security": "off",
    "jit": "DEFAULT",  # whole tables are read
}
# What a session that loads a database sets if it may, since the database or the role may set
# something else that makes the loading fail, or changes what is loaded. All but the last group may
# be set by every user. What pg_restore sets itself is here where other sessions need it too.
LOADING: Mapping[str, str] = {
    **_NO_TIMEOUTS,
    "idle_session_timeout": "0",  # pg_restore may wait for hours for data of a slow storage
    "transaction_timeout": "0",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "synchronous_commit": "off",
    "client_min_messages": "warning",
    "exit_on_error": "off",  # an error that is harmless would end the session
    # Otherwise what does not name its tablespace goes to another one, where the user may lack room.
    "default_tablespace": "",
    "check_function_bodies": "off",
    # How values and statements of the archive are read.
    "array_nulls": "on",
    "backslash_quote": "safe_encoding",
    "IntervalStyle": "postgres",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    # Otherwise REFRESH MATERIALIZED VIEW cannot read views.
    "restrict_nonsystem_relation_kind": "",
    # Event triggers and triggers of a login belong to those who use the database.
    "event_triggers": "off",
    "session_replication_role": "origin",
    "temp_file_limit": "-1",
    # So long a statement waits for an autovacuum, which then ends: ProcSleep() in proc.c.
    "deadlock_timeout": "100ms",
}


def _statements(settings: Mapping[str, str], scope: str = "") -> str:
    return "; ".join(f"SET {scope}{name} = {value}" for name, value in settings.items())


# Only PostgreSQL 17 and newer have this setting.
NO_TRANSACTION_TIMEOUT = (
    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings "
    "WHERE name = 'transaction_timeout'"
)
# Protects against functions that a malicious owner hides in a view: CVE-2024-7348.
NO_VIEWS = (
    "SELECT pg_catalog.set_config(name, 'view, foreign-table', false) FROM pg_catalog.pg_settings "
    "WHERE name = 'restrict_nonsystem_relation_kind'"
)
# The first statement of every session. The owner of a database or a role, and everybody with CREATE
# on a schema of the path, could otherwise have us call a function or an operator of theirs in place
# of PostgreSQL's: CVE-2018-1058. SET looks up neither, so that nothing of theirs runs before it.
SAFE_PATH = "SET search_path = ''"
PATIENT_SESSION = _statements(
    {
        **_NO_TIMEOUTS,
        "idle_session_timeout": "0",
        "client_min_messages": "warning",
        # The estimates of queries of the catalogs are high, and to compile one takes seconds.
        "jit": "off",
        # What must not write says so itself, in its transaction.
        "default_transaction_read_only": "off",
    }
)
SNAPSHOT_SESSION = _statements({"constraint_exclusion": "off"})
READING_SESSION = _statements({**_READING, **_NO_TIMEOUTS})
MASKING_TRANSACTION = _statements(_MASKING, "LOCAL ")
CHECKSUM_TRANSACTION = _statements(_CHECKSUMS, "LOCAL ")
# A query fails rather than returns fewer rows because of a policy, as in pg_dump.
SAMPLING_TRANSACTION = _statements({"row_security": "off"}, "LOCAL ")
# Literals of users are read in the standard way, whatever the database sets.
LITERALS_TRANSACTION = _statements({"standard_conforming_strings": "on"}, "LOCAL ")
# The path of the database or the role. Beside it only SQL of the user's runs, which means it, and
# queries in which every function and operator has its schema.
USER_PATH_TRANSACTION = "SET LOCAL search_path TO DEFAULT"


# How long a session waits for a lock behind an ALTER TABLE that waits for another session of ours.
# A migration gives up before, by its ``lock_timeout``, and must not end a dump of hours. One that
# does not would wait for the end of the dump, and the dump for the end of that.
ALTERING_SECONDS = 15
NO_LOCK_TIMEOUT = "SET LOCAL lock_timeout = 0"


def short_lock_timeout() -> str:
    """Return the statement after which a transaction waits for no lock longer than that."""
    return f"SET LOCAL lock_timeout = '{ALTERING_SECONDS}s'"


def as_options(settings: Mapping[str, str]) -> str:
    """Return settings in the form of ``PGOPTIONS``, where a backslash keeps a space in a value.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS
    """
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def _escaped(value: str) -> str:
    return "".join(f"\\{one}" if one.isspace() or one == "\\" else one for one in value)

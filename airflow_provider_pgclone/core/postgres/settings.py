"""The settings of all sessions that this package opens, by purpose.

Values are written as in SQL. psycopg and psql execute the settings as statements. Programs that
execute no statements of ours get them in ``PGOPTIONS``.
"""

from collections.abc import Iterable, Mapping

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
}
# Masks are computed with the same settings in every session and in every dump.
_MASKING = {
    **_READING,
    "DateStyle": "'ISO, YMD'",
    "TimeZone": "'UTC'",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    # It takes longer to compile a mask than to read a range of pages.
    "jit": "off",
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
}
_LOADING = {
    **_NO_TIMEOUTS,
    "default_transaction_read_only": "off",
    "synchronous_commit": "off",
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
    {**_NO_TIMEOUTS, "idle_session_timeout": "0", "client_min_messages": "warning"}
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


def loading_options(more: Iterable[str]) -> str:
    """Return the settings of a session that loads a database, in the form of ``PGOPTIONS``.

    :param more: further settings, as ``name=value`` without spaces.
    """
    settings = [*(f"{name}={value}" for name, value in _LOADING.items()), *more]
    return " ".join(f"-c {setting}" for setting in settings)

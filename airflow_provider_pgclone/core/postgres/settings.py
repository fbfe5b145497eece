"""The settings of every session that this package opens, for each purpose.

Each value is as SQL writes it. psycopg and psql execute them as statements; a program that takes no
statements gets them by ``PGOPTIONS``.
"""

from collections.abc import Iterable, Mapping

# A session that waits for hours while children work must not time out.
_NO_TIMEOUTS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
# As pg_dump sets them: setup_connection() in pg_dump.c.
_READING = {
    "DateStyle": "ISO",
    "IntervalStyle": "POSTGRES",
    "extra_float_digits": "3",
    "synchronize_seqscans": "off",
    "row_security": "off",
    "search_path": "''",
    # Otherwise the planner looks at constraints, and calls functions of their owners.
    "constraint_exclusion": "off",
}
# What masks are made with: the same in all sessions of a dump, and from dump to dump.
_MASKING = {
    **_READING,
    "DateStyle": "'ISO, YMD'",
    "TimeZone": "'UTC'",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    # To compile a mask takes longer than to read a range of pages.
    "jit": "off",
}
# What the text of a value depends on, and what would hide rows or find functions of others.
_CHECKSUMS = {
    "DateStyle": "'ISO, YMD'",
    "IntervalStyle": "postgres",
    "TimeZone": "'UTC'",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "'C'",
    "quote_all_identifiers": "off",
    "row_security": "off",
    "search_path": "''",
}
_LOADING = {
    **_NO_TIMEOUTS,
    "default_transaction_read_only": "off",
    "synchronous_commit": "off",
}


def _statements(settings: Mapping[str, str], scope: str = "") -> str:
    return "; ".join(f"SET {scope}{name} = {value}" for name, value in settings.items())


# PostgreSQL 17 and newer have it.
NO_TRANSACTION_TIMEOUT = (
    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings "
    "WHERE name = 'transaction_timeout'"
)
# Against functions that a malicious owner hides in a view: CVE-2024-7348.
NO_VIEWS = (
    "SELECT pg_catalog.set_config(name, 'view, foreign-table', false) FROM pg_catalog.pg_settings "
    "WHERE name = 'restrict_nonsystem_relation_kind'"
)
PATIENT_SESSION = _statements(
    {**_NO_TIMEOUTS, "idle_session_timeout": "0", "client_min_messages": "warning"}
)
# Functions that somebody else has put where they are found first: CVE-2018-1058.
SNAPSHOT_SESSION = _statements({"search_path": "''", "constraint_exclusion": "off"})
READING_SESSION = _statements({**_READING, **_NO_TIMEOUTS})
MASKING_TRANSACTION = _statements(_MASKING, "LOCAL ")
CHECKSUM_TRANSACTION = _statements(_CHECKSUMS, "LOCAL ")
CATALOG_TRANSACTION = _statements({"search_path": "''"}, "LOCAL ")
# Policies would hide rows: rather fail than see less, as pg_dump does.
SAMPLING_TRANSACTION = _statements({"search_path": "''", "row_security": "off"}, "LOCAL ")
# How the literals of users are read, whatever the database says.
LITERALS_TRANSACTION = _statements({"standard_conforming_strings": "on"}, "LOCAL ")
# The user's own path, by which pg_dump finds names without a schema.
USER_PATH_TRANSACTION = "SET LOCAL search_path TO DEFAULT"


def loading_options(more: Iterable[str]) -> str:
    """Return the settings of a session that loads a database, as ``PGOPTIONS`` takes them.

    :param more: others, as ``name=value`` without spaces.
    """
    settings = [*(f"{name}={value}" for name, value in _LOADING.items()), *more]
    return " ".join(f"-c {setting}" for setting in settings)

"""Settings of a session that reads rows, as pg_dump sets them: setup_connection() in pg_dump.c."""

_SETTINGS = {
    "DateStyle": "ISO",
    "IntervalStyle": "POSTGRES",
    "extra_float_digits": "3",
    "synchronize_seqscans": "off",
    "row_security": "off",
    "search_path": "''",
    # Else constraints are looked at to plan a query, and call functions of their owners.
    "constraint_exclusion": "off",
}
SESSION_SETTINGS = "; ".join(f"SET {name} = {value}" for name, value in _SETTINGS.items())
# What masks are made by: the same in all sessions of a dump, and from dump to dump.
_MASK_SETTINGS = {
    **_SETTINGS,
    "DateStyle": "'ISO, YMD'",
    "TimeZone": "'UTC'",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    # To compile a mask takes longer than a range of pages.
    "jit": "off",
}
MASK_SETTINGS = "; ".join(f"SET LOCAL {name} = {value}" for name, value in _MASK_SETTINGS.items())
# Against functions that a malicious owner hides in a view: CVE-2024-7348.
NO_VIEWS = (
    "SELECT pg_catalog.set_config(name, 'view, foreign-table', false) FROM pg_catalog.pg_settings "
    "WHERE name = 'restrict_nonsystem_relation_kind'"
)

"""The tables of a live database, and which of them a user selects.

Here are the catalog that is read from the system catalogs, the patterns that select tables and
columns, and the queries that read the rows of a table. Masking rules do not belong here, and
neither does anything that runs pg_dump, writes an archive or changes a database.
"""

from airflow_provider_pgclone.core.catalog.changes import (
    Families,
    check_not_rewritten,
    check_same_names,
    check_same_schemas,
)
from airflow_provider_pgclone.core.catalog.families import Family, families, owner
from airflow_provider_pgclone.core.catalog.holding import (
    Held,
    begin_holding,
    holds_casts,
    selected_of_others,
    tables_of_others,
)
from airflow_provider_pgclone.core.catalog.missing_rights import (
    MissingRight,
    describe_missing,
    missing_rights,
)
from airflow_provider_pgclone.core.catalog.patterns import (
    ColumnPattern,
    display_name,
    parse_column_pattern,
    parse_table_pattern,
)
from airflow_provider_pgclone.core.catalog.plannable import unplannable_tables
from airflow_provider_pgclone.core.catalog.read import read_catalog
from airflow_provider_pgclone.core.catalog.rows import (
    Masked,
    Table,
    named_rows_query,
    rows_query,
    table_name,
    tables_in_scope,
)
from airflow_provider_pgclone.core.catalog.selection import (
    Selection,
    check_encodable,
    check_schemas,
    excluded_tables,
)
from airflow_provider_pgclone.core.catalog.tables import (
    Catalog,
    CatalogTable,
    Check,
    Column,
    ColumnType,
    ForeignKey,
    Index,
    Kind,
)
from airflow_provider_pgclone.core.catalog.trust import (
    EXCHANGEABLE,
    NOT_TRUSTED,
    RUNS_KEYS,
    SCHEMA_OWNER,
    TYPES_BELOW,
    UNTRUSTED_HINT,
    check_operators,
    check_trusted_owners,
    trusted_arguments,
)
from airflow_provider_pgclone.core.catalog.unreadable import (
    Unreadable,
    check_readable_tables,
    unreadable_tables,
)

__all__ = [
    "EXCHANGEABLE",
    "NOT_TRUSTED",
    "RUNS_KEYS",
    "SCHEMA_OWNER",
    "TYPES_BELOW",
    "UNTRUSTED_HINT",
    "Catalog",
    "CatalogTable",
    "Check",
    "Column",
    "ColumnPattern",
    "ColumnType",
    "Families",
    "Family",
    "ForeignKey",
    "Held",
    "Index",
    "Kind",
    "Masked",
    "MissingRight",
    "Selection",
    "Table",
    "Unreadable",
    "begin_holding",
    "check_encodable",
    "check_not_rewritten",
    "check_operators",
    "check_readable_tables",
    "check_same_names",
    "check_same_schemas",
    "check_schemas",
    "check_trusted_owners",
    "describe_missing",
    "display_name",
    "excluded_tables",
    "families",
    "holds_casts",
    "missing_rights",
    "named_rows_query",
    "owner",
    "parse_column_pattern",
    "parse_table_pattern",
    "read_catalog",
    "rows_query",
    "selected_of_others",
    "table_name",
    "tables_in_scope",
    "tables_of_others",
    "trusted_arguments",
    "unplannable_tables",
    "unreadable_tables",
]

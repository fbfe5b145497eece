"""The steps by which a dump learns what to read in the place of personal data, or why it must not.

Nothing was written yet when one of them refuses.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from airflow_provider_pgclone.core.archive import TableName
from airflow_provider_pgclone.core.database import Database, fetch_row
from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.masking.catalog import CatalogTable, read_catalog
from airflow_provider_pgclone.core.masking.planning import (
    MaskedTable,
    keyed_columns,
    plan_tables,
)
from airflow_provider_pgclone.core.masking.policy import check_policy
from airflow_provider_pgclone.core.masking.reported import Finding, find_unmasked
from airflow_provider_pgclone.core.masking.resolving import (
    Resolved,
    resolve_masking,
    unclassified,
)
from airflow_provider_pgclone.core.masking.row_filter import RowFilter
from airflow_provider_pgclone.core.masking.scope import tables_in_scope
from airflow_provider_pgclone.core.masking.spec import without_values
from airflow_provider_pgclone.core.masking.trial import check_volatile, try_masks, try_references
from airflow_provider_pgclone.core.masking.trust import (
    check_functions,
    check_readable_tables,
    tables_of_strangers,
)
from airflow_provider_pgclone.core.plan import Masked
from airflow_provider_pgclone.core.scope import DumpContent

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskPlan:
    """What masking does to a dump.

    :param tables: what is read of those tables that it is about, by their OIDs.
    :param labels: their names.
    :param in_scope: all tables whose rows it has looked at; the dump may have no others.
    :param strangers: what a query of a table would call of somebody else, by its OID: pg_dump alone
        may read it.
    :param facts: what the account of the dump says of it; never a value of a row.
    """

    tables: Mapping[int, Masked] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)
    in_scope: frozenset[TableName] | None = None
    strangers: Mapping[int, str] = field(default_factory=dict)
    facts: Mapping[str, Any] | None = None

    @property
    def tables_are_masked(self) -> bool:
        """Whether any column of what is dumped is masked."""
        return self.facts is not None and bool(self.facts["columns"])


def plan_masking(
    connection: psycopg.Connection, database: Database, content: DumpContent, encoding: str
) -> MaskPlan:
    """Plan the masks of a dump, in its snapshot, and try them out.

    :raises InvalidInputError: when what is asked for cannot be, or does not suffice.
    :raises UnsupportedError: when it cannot be told that a constraint holds, or the database has
        another encoding than UTF-8.
    """
    masking = content.masking
    strangers = tables_of_strangers(connection)
    if not masking:
        return MaskPlan(strangers=strangers)
    if encoding != "UTF8":
        raise UnsupportedError(
            f"database {database.name!r} has the encoding {encoding}, and masks need UTF8",
            hint="Copy it into a database of the encoding UTF8, and dump that one.",
        )
    # Literals are read so below, whatever the database says.
    connection.execute("SET LOCAL standard_conforming_strings = on")
    catalog = read_catalog(connection)
    tables = tables_in_scope(connection, catalog, database, content)
    labels = {oid: table.label for oid, table in catalog.tables.items()}
    resolved = resolve_masking(masking, catalog, _instant(connection))
    check_volatile(connection, resolved)
    row_filter = RowFilter(resolved, {table.oid for table in tables}, follow_fks=masking.follow_fks)
    planned = plan_tables(resolved, tables, row_filter)
    _check_key(planned, has_key=masking.key is not None)
    found = find_unmasked(connection, content)
    in_scope = [table.oid for table in tables]
    queried = in_scope if masking.rows or masking.policy == "suspects" else list(planned)
    check_readable_tables(strangers, labels, queried)
    check_functions(connection, planned.values(), queried)
    check_policy(connection, masking.policy, resolved, tables, found)
    try_masks(connection, planned.values())
    if masking.rows and not masking.follow_fks:
        try_references(connection, tables, resolved, row_filter)
    facts = _facts(masking.policy, resolved, tables, planned, found)
    _log(facts)
    return MaskPlan(
        tables={oid: one.masked for oid, one in planned.items()},
        labels={oid: one.table.label for oid, one in planned.items()},
        in_scope=frozenset((table.schema, table.name) for table in tables),
        strangers=strangers,
        facts={**facts, "follow_fks": masking.follow_fks, "is_keyed": masking.key is not None},
    )


def _instant(connection: psycopg.Connection) -> datetime:
    """Return the moment of the transaction, whatever style of dates the session has."""
    (seconds,) = fetch_row(connection, "SELECT extract(epoch FROM now())::float8", [])
    return datetime.fromtimestamp(seconds, UTC)


def _check_key(planned: Mapping[int, MaskedTable], *, has_key: bool) -> None:
    keyed = [] if has_key else keyed_columns(planned.values())
    if keyed:
        raise InvalidInputError(
            f"the masks of {', '.join(keyed[:5])} need a key, and none was given",
            hint="Set mask_key_conn_id to a connection whose password is the key, or mask_key.",
        )


def _facts(
    policy: str | None,
    resolved: Resolved,
    tables: Sequence[CatalogTable],
    planned: Mapping[int, MaskedTable],
    found: Sequence[Finding],
) -> dict[str, Any]:
    def named(table: CatalogTable, *more: str) -> list[str]:
        root = resolved.catalog.root(table)  # partitions have its rules
        return [root.schema, root.name, *more]

    columns = [
        named(one.table, name, rule.label)
        for one in planned.values()
        for name, rule in one.rules.items()
    ]
    kept = [
        named(table, column.name)
        for table in tables
        for column in table.columns
        if resolved.is_kept(table, column.name)
    ]
    rows = [
        [table.schema, table.name, without_values(condition)]
        for table in tables
        for condition in resolved.conditions_of(table)
    ]
    opened = [named(table, name) for table, name in unclassified(resolved, tables)]
    return {
        "policy": policy,
        "columns": _distinct(columns),
        "kept": _distinct(kept),
        "unclassified": _distinct(opened),
        "rows": _distinct(rows),
        "reported": [[one.what, one.subject] for one in found],
    }


def _distinct(lists: Iterable[list[str]]) -> list[list[str]]:
    return [list(one) for one in dict.fromkeys(map(tuple, lists))]


def _log(facts: Mapping[str, Any]) -> None:
    tables = {(schema, table) for schema, table, *_ in facts["columns"]}
    log.info(
        "masking %d columns of %d tables; %d are declared safe, %d are neither",
        len(facts["columns"]),
        len(tables),
        len(facts["kept"]),
        len(facts["unclassified"]),
    )
    for what in dict.fromkeys(what for what, _ in facts["reported"]):
        subjects = [subject for kind, subject in facts["reported"] if kind == what]
        log.warning("not masked, and dumped as it is: %s: %s", what, ", ".join(subjects[:10]))

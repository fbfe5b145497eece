"""Plans what a dump reads in place of personal data, or refuses the dump.

All of its steps run before anything is written.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_provider_pgclone.core.archive import MaskingFacts, TableName
from airflow_provider_pgclone.core.catalog import (
    CatalogTable,
    Held,
    Masked,
    Selection,
    Unreadable,
    check_operators,
    check_readable_tables,
    read_catalog,
    tables_in_scope,
    unplannable_tables,
    unreadable_tables,
)
from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.masking.planning.assignment import Assignment, assign_rules
from airflow_provider_pgclone.core.masking.planning.functions import (
    check_functions,
    check_named_types,
    check_types,
)
from airflow_provider_pgclone.core.masking.planning.policy import check_policy
from airflow_provider_pgclone.core.masking.planning.read_beside import (
    TablesByName,
    lock_what_is_read,
)
from airflow_provider_pgclone.core.masking.planning.request import Masking
from airflow_provider_pgclone.core.masking.planning.row_filter import RowFilter
from airflow_provider_pgclone.core.masking.planning.table_masks import (
    MaskedTable,
    keyed_columns,
    plan_tables,
)
from airflow_provider_pgclone.core.masking.planning.trial import try_masks, try_references
from airflow_provider_pgclone.core.masking.planning.user_sql import (
    check_materialized_views,
    check_schemas_of_called,
    check_volatile,
)
from airflow_provider_pgclone.core.masking.rules import without_values
from airflow_provider_pgclone.core.masking.unmasked import UnmaskedObject, find_unmasked
from airflow_provider_pgclone.core.postgres import LITERALS_TRANSACTION, Session
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

_NAMES_A_LINE = 50


@dataclass(frozen=True)
class MaskPlan:
    """How a dump is masked.

    :param tables: what is read of each masked or filtered table, by its OID.
    :param names: the names of these tables in messages, by their OIDs.
    :param in_scope: all tables that masking has considered; a masked dump must not hold the rows of
        any other. ``None`` without masking.
    :param unreadable: the tables that only pg_dump may read, by their OIDs, and why.
    :param read: the tables that masks and conditions read beside their own, which are locked.
    :param facts: for the manifest, without values of rows. ``None`` without masking.
    """

    tables: Mapping[int, Masked] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    in_scope: frozenset[TableName] | None = None
    unreadable: Mapping[int, Unreadable] = field(default_factory=dict)
    read: frozenset[TableName] = frozenset()
    facts: MaskingFacts | None = None

    @property
    def masks_columns(self) -> bool:
        """Whether the dump has a masked column."""
        return self.facts is not None and bool(self.facts.columns)


def plan_masking(
    session: Session,
    selection: Selection,
    masking: Masking,
    encoding: str,
    held: Held,
) -> MaskPlan:
    """Plan the masks of a dump in its snapshot, and try them.

    :param held: what the transaction has locked.
    :raises InvalidInputError: when the masks or conditions do not work, or the policy needs more.
    :raises UnsupportedError: when nothing can check that a constraint holds, masks would run
        untrusted functions, or the database is not in UTF-8.
    """
    unreadable = unreadable_tables(session, held)
    if not masking:
        return MaskPlan(unreadable=unreadable)
    if encoding != "UTF8":
        raise UnsupportedError(
            f"database {session.database.name!r} has the encoding {encoding}, and masks need UTF8",
            hint="Copy it into a database with the encoding UTF8, and dump that one.",
        )
    session.execute(LITERALS_TRANSACTION)
    catalog = read_catalog(session, unreadable)
    in_scope = [table.oid for table in tables_in_scope(session, catalog, selection)]
    assignment = assign_rules(masking, catalog, in_scope, _instant(session))
    check_volatile(session, assignment.user_sql)
    check_schemas_of_called(session, assignment.user_sql)
    row_filter = RowFilter(assignment, follow_fks=masking.follow_fks)
    planned = plan_tables(assignment, row_filter)
    _check_key(planned, has_key=masking.key is not None)
    unmasked = find_unmasked(session, selection)
    queried = _queried(masking, assignment, row_filter, planned)
    check_readable_tables(unreadable, sorted(queried))
    check_readable_tables(unplannable_tables(session, queried), sorted(queried))
    check_functions(session, planned.values(), queried, held)
    check_types(session, planned, queried, assignment, held)
    check_named_types(session, assignment.user_sql, held)
    if masking.rows or masking.follow_fks:
        check_operators(session, catalog, row_filter.foreign_keys, held.schemas)
    check_materialized_views(session, assignment.user_sql)
    check_policy(session, masking.policy, assignment, unmasked)
    try_masks(session, planned.values())
    if masking.rows and not masking.follow_fks:
        try_references(session, assignment, row_filter)
    read = lock_what_is_read(session, catalog, planned)
    facts = _facts(masking, assignment, planned, unmasked)
    _log(facts)
    if masking.masks and not facts.columns:
        log.warning("nothing is masked: no mask is for a column of the tables that are taken")
    return MaskPlan(
        tables=read.masked,
        names={oid: one.table.display_name for oid, one in planned.items()},
        in_scope=frozenset((one.table.schema, one.table.name) for one in assignment.in_scope),
        unreadable=unreadable,
        read=read.tables,
        facts=facts,
    )


def _queried(
    masking: Masking, assignment: Assignment, row_filter: RowFilter, planned: Collection[int]
) -> frozenset[int]:
    """Return the OIDs of the tables that masks, conditions and samples may query."""
    catalog = assignment.catalog
    in_scope = [one.table for one in assignment.in_scope]
    texts = [one.sql for one in assignment.user_sql]
    whole = TablesByName(catalog.tables.values()).of(texts)
    if masking.rows:  # conditions read the tables that foreign keys refer to, with partitions
        parents = [catalog.tables.get(key.parent) for key in catalog.foreign_keys]
        whole += [one for one in (*parents, *in_scope) if one is not None]
    elif masking.follow_fks:  # an excluded table leaves rows out, too
        whole += [catalog.tables[key.parent] for key in row_filter.foreign_keys]
    if masking.rows or masking.follow_fks:
        whole += [catalog.root(one) for one in whole]
    oids = {one.oid for one in whole}
    below = (
        one.oid
        for one in catalog.tables.values()
        if any(above.oid in oids for above in catalog.ancestors(one))
    )
    queried = (one.oid for one in in_scope) if masking.queries_all else planned
    return frozenset((*queried, *oids, *below))


def _instant(session: Session) -> datetime:
    """Return the start time of the transaction, whatever style of dates the session has."""
    (seconds,) = session.fetch_row("SELECT extract(epoch FROM now())::float8")
    return datetime.fromtimestamp(seconds, UTC)


def _check_key(planned: Mapping[int, MaskedTable], *, has_key: bool) -> None:
    keyed = [] if has_key else keyed_columns(planned.values())
    if keyed:
        raise InvalidInputError(
            f"the masks of {', '.join(keyed[:5])} need a key, and none was given",
            hint="Set mask_key_conn_id to a connection whose password is the key, or mask_key.",
        )


def _facts(
    masking: Masking,
    assignment: Assignment,
    planned: Mapping[int, MaskedTable],
    unmasked: Sequence[UnmaskedObject],
) -> MaskingFacts:
    def named(table: CatalogTable, column: str, *more: str) -> tuple[str, ...]:
        root = assignment.catalog.root(table)  # its rules apply to its partitions
        return root.schema, root.name, column, *more

    assigned = assignment.in_scope

    return MaskingFacts(
        columns=_distinct(
            named(one.table, name, rule.display_name)
            for one in planned.values()
            for name, rule in one.rules.items()
        ),
        kept=_distinct(
            named(one.table, column.name)
            for one in assigned
            for column in one.table.columns
            if column.name in one.kept
        ),
        unclassified=_distinct(
            named(one.table, name) for one in assigned for name in one.unclassified
        ),
        rows=_distinct(
            (one.table.schema, one.table.name, without_values(condition))
            for one in assigned
            for condition in one.conditions
        ),
        reported=tuple((one.what, one.subject) for one in unmasked),
        policy=masking.policy,
        follow_fks=masking.follow_fks,
        is_keyed=masking.key is not None,
    )


def _distinct(names: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(dict.fromkeys(names))


def _log(facts: MaskingFacts) -> None:
    tables = {(schema, table) for schema, table, *_ in facts.columns}
    log.info(
        "columns that are masked: %d, in %d tables; declared safe: %d; neither: %d",
        len(facts.columns),
        len(tables),
        len(facts.kept),
        len(facts.unclassified),
    )
    for what in dict.fromkeys(what for what, _ in facts.reported):
        subjects = [subject for kind, subject in facts.reported if kind == what]
        for start in range(0, len(subjects), _NAMES_A_LINE):
            named = ", ".join(subjects[start : start + _NAMES_A_LINE])
            log.warning("not masked, and taken as it is: %s: %s", what, named)

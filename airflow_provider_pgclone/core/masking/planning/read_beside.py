"""Finds and locks the tables that masks and conditions read beside their own.

pg_dump may end hours before masked rows are read. Then somebody could empty a table that a
condition looks into, or exchange it for another one.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from airflow_provider_pgclone.core.archive import TableName
from airflow_provider_pgclone.core.catalog import Catalog, CatalogTable, Masked, display_name
from airflow_provider_pgclone.core.errors import BusyError
from airflow_provider_pgclone.core.masking.planning.table_masks import MaskedTable
from airflow_provider_pgclone.core.masking.planning.user_sql import (
    MAX_NAME_BYTES,
    may_name,
    may_run_functions,
)
from airflow_provider_pgclone.core.postgres import MASKING_TRANSACTION, NO_VIEWS, Session
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

_WORD = re.compile(r"\w+", re.ASCII)
# Rights that suffice to query a table, such as those on some columns, may not suffice to lock it.
_FOUND = """
SELECT named.schema, named.name, c.oid IS NOT NULL, relkind IN ('r', 'p'),
    coalesce(has_table_privilege(c.oid, 'SELECT'), false)
FROM unnest(%s::text[], %s::text[]) AS named (schema, name)
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = relnamespace)
    ON nspname = named.schema AND relname = named.name
"""


@dataclass(frozen=True)
class ReadBeside:
    """What masks and conditions read beside their own tables, and what is read of each of these.

    :param tables: the names of the tables that are read beside.
    :param masked: what is read of each masked or filtered table, by its OID.
    """

    tables: frozenset[TableName]
    masked: Mapping[int, Masked]


def lock_what_is_read(
    session: Session, catalog: Catalog, planned: Mapping[int, MaskedTable]
) -> ReadBeside:
    """Lock the tables that masks and conditions read beside their own, until the transaction ends.

    The plan of the server shows most of them. It does not show partitioned tables, nor what the
    planner leaves out as it knows the answer, but COPY locks these too. What functions read is not
    known, and materialized views cannot be locked.

    :raises BusyError: when one of them is not in the snapshot.
    """
    tables, names = catalog.tables, TablesByName(catalog.tables.values())
    scanned: dict[int, set[TableName]] = {}
    read: dict[int, set[TableName]] = {}
    for oid, one in planned.items():
        texts = _texts(one)
        if not texts:
            continue
        scanned[oid] = {*_scanned(session, one)} - {_name(one.table)}
        found = [*names.of(texts), *(names.by_name.get(name) for name in scanned[oid])]
        known = [table for table in found if table is not None]
        above = [root for table in (*known, tables[oid]) for root in catalog.ancestors(table)]
        read[oid] = (scanned[oid] | {_name(table) for table in (*known, *above)}) - {
            _name(one.table)
        }
    lockable = _lock(session, set().union(*read.values()), set().union(*scanned.values()))
    return ReadBeside(
        frozenset(lockable.union(*scanned.values())),
        {
            oid: replace(
                one.masked,
                reads=tuple(sorted(read.get(oid, set()) & lockable)),
                may_read_more=_may_read_more(one) or not read.get(oid, set()) <= lockable,
            )
            for oid, one in planned.items()
        },
    )


class TablesByName:
    """Finds the tables that SQL may name, in a time that does not grow with the number of tables.

    :param tables: all that there are.
    """

    def __init__(self, tables: Collection[CatalogTable]) -> None:
        self.by_name = {_name(one): one for one in tables}
        self._by_word: dict[str, list[CatalogTable]] = {}
        for one in tables:
            words = _WORD.findall(one.name.lower())
            # One that has no word, such as in other letters, is looked for in each text. So is one
            # that PostgreSQL may have cut, as :func:`may_name` takes it: the text has more of it.
            is_cut = len(one.name.encode()) >= MAX_NAME_BYTES - 3
            self._by_word.setdefault("" if is_cut or not words else words[0], []).append(one)

    def of(self, texts: Sequence[str]) -> list[CatalogTable]:
        """Return the tables that one of the texts may name: rather one too many."""
        words = {"", *(word for text in texts for word in _WORD.findall(text.lower()))}
        return [
            table
            for word in words
            for table in self._by_word.get(word, ())
            if any(may_name(text, table.name) for text in texts)
        ]


def _texts(one: MaskedTable) -> list[str]:
    """Return the SQL of a table by which others may be read."""
    condition = [] if one.masked.condition is None else [one.masked.condition]
    return condition + [rule["expression"] for rule in one.rules.values() if rule.name == "sql"]


def _may_read_more(one: MaskedTable) -> bool:
    """Tell whether functions may be called whose tables are not known."""
    casts = any(one.table.by_name[name].type.is_domain for name in one.rules)
    return casts or any(may_run_functions(text) for text in _texts(one))


def _name(table: CatalogTable) -> TableName:
    return table.schema, table.name


def _scanned(session: Session, one: MaskedTable) -> Iterator[TableName]:
    with session.transaction(rolled_back=True):
        session.execute(f"{MASKING_TRANSACTION}; {NO_VIEWS}")
        query = f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) {one.rows}".encode()
        ((plan,),) = session.execute(query, prepare=True)
    return _relations(plan)


def _relations(plan: Any) -> Iterator[TableName]:
    """Yield the names of what a plan scans."""
    if isinstance(plan, list):
        for one in plan:
            yield from _relations(one)
    elif isinstance(plan, dict):
        if "Relation Name" in plan:
            yield plan["Schema"], plan["Relation Name"]
        yield from _relations([*plan.values()])


def _lock(
    session: Session, names: Collection[TableName], scanned: Collection[TableName]
) -> set[TableName]:
    """Lock tables as far as the user may, and return the names of these.

    :param scanned: those of which it is told if they cannot be locked.
    """
    asked = [list(part) for part in zip(*sorted(names), strict=True)] or [[], []]
    lockable, unlocked = set[TableName](), []
    for schema, name, exists, is_table, may_read in session.execute(_FOUND, asked):
        if not exists:
            raise BusyError(
                f"the table {display_name(schema, name)}, which masks or conditions read, was made "
                "or renamed while the dump was starting",
                hint="Try again.",
            )
        if is_table and may_read:
            lockable.add((schema, name))
        elif is_table and (schema, name) in scanned:
            unlocked.append(display_name(schema, name))
    if unlocked:
        log.warning(
            "masks or conditions read %s, which the user of the connection has no right to lock: "
            "let nobody empty or alter it while the dump runs",
            ", ".join(sorted(unlocked)),
        )
    if lockable:
        some = sql.SQL(", ONLY ").join(sql.Identifier(*name) for name in sorted(lockable))
        session.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(some))
    return lockable

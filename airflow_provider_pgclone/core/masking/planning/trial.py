"""Masks tried out in the snapshot of a dump, before anything is written.

That each fits its column is known by its type. What only the rows tell, such as a check constraint,
is asked of all of them; only tables that have such constraints on masked columns are read for it.
No answer and no error carries a value of a row.
"""

import logging
from collections.abc import Iterable

import psycopg

from airflow_provider_pgclone.core.catalog import Index
from airflow_provider_pgclone.core.errors import InvalidInputError, PgCloneError, UnsupportedError
from airflow_provider_pgclone.core.masking.planning.assignment import TableAssignment, UserSql
from airflow_provider_pgclone.core.masking.planning.row_filter import RowFilter, alias_of
from airflow_provider_pgclone.core.masking.planning.table_masks import MaskedTable
from airflow_provider_pgclone.core.masking.planning.user_sql import volatile_functions
from airflow_provider_pgclone.core.masking.rules import KEY_SETTING, constant, known_paths
from airflow_provider_pgclone.core.postgres import (
    MASKING_TRANSACTION,
    NO_VIEWS,
    Session,
    literal,
    qualified,
    quote_ascii,
)

log = logging.getLogger(__name__)

_DOCUMENTS_LOOKED_AT = 10_000


def check_volatile(session: Session, user_sql: Iterable[UserSql]) -> None:
    """Refuse SQL that may return something else each time: rows would not fit together.

    :raises InvalidInputError: naming the function.
    """
    for one in user_sql:
        found = volatile_functions(session, one.sql)
        if found:
            raise InvalidInputError(
                f"{one.subject} calls {found[0]}, which gives something else each time",
                hint="Choose by what the row has, such as hashtext(id::text) % 10 = 0.",
            )


def try_masks(
    session: Session,
    planned: Iterable[MaskedTable],
) -> None:
    """Refuse masks and conditions that PostgreSQL does, and those that break a constraint.

    :param session: a session in the snapshot, which knows the key.
    :raises InvalidInputError: naming the column, constraint or table.
    """
    tables = list(planned)
    for one in tables:
        _try_types(session, one)
    for one in tables:
        _warn_of_paths(session, one)
        _try_rows(session, one)
        for index in one.unique:
            _try_unique(session, one, index)


def _try_types(session: Session, one: MaskedTable) -> None:
    for name, rule in one.rules.items():
        if rule.name == "constant":
            made = constant(rule, one.table.by_name[name])
            _run(session, f"SELECT {made}", f"the constant of the column {_label(one, name)}")
        if rule.name == "sql":  # where one value alone can stand
            made = rule["expression"]
            query = f"SELECT FROM {_source(one)} WHERE ({made}) IS NULL LIMIT 0"
            _run(session, query, f"the mask of the column {_label(one, name)}", shows=True)
    if _passes(session, f"{one.rows} LIMIT 0"):
        return
    # Anew, one by one, to name what is wrong.
    if one.masked.condition is not None:
        bare = f"SELECT FROM {_source(one)} WHERE {one.masked.condition} LIMIT 0"
        _run(session, bare, f"the condition of the rows of {one.table.display_name}", shows=True)
    for name, made in _values(one).items():
        subject = f"the mask of the column {_label(one, name)}"
        _run(session, f"SELECT {made} FROM {_source(one)} LIMIT 0", subject, shows=True)
    _run(session, f"{one.rows} LIMIT 0", f"the masks of {one.table.display_name}", shows=True)


def _warn_of_paths(session: Session, one: MaskedTable) -> None:
    """Tell of json paths that none of the first documents has: they may be misspelt."""
    for name, rule in one.rules.items():
        if rule.name != "json" or one.table.by_name[name].type.element_sql is not None:
            continue
        paths = known_paths(rule)
        reference = quote_ascii(name)
        exist = ", ".join(
            f"count(*) FILTER (WHERE jsonb_path_exists({reference}::jsonb, {literal(path)}))"
            for path in paths.values()
        )
        rows = f"SELECT {reference} FROM {_source(one)} WHERE {reference} IS NOT NULL"
        query = f"SELECT count(*), {exist} FROM ({rows} LIMIT {_DOCUMENTS_LOOKED_AT}) AS d"
        subject = f"the json paths of the column {_label(one, name)}"
        total, *found = _run(session, query, subject) if paths else (0,)
        missing = [path for path, count in zip(paths, found, strict=True) if not count]
        if total and missing:
            log.warning(
                "no document of %s that was looked at has the path %s: is it misspelt?",
                _label(one, name),
                ", ".join(missing),
            )


def _try_rows(session: Session, one: MaskedTable) -> None:
    """Ask whether check constraints, domains and NOT NULL hold of all masked rows."""
    tests = {f"the constraint {check.name}": f"NOT ({check.sql})" for check in one.checks}
    for name in one.not_null:
        tests[f"NOT NULL of {name}"] = f"{quote_ascii(name)} IS NULL"
    domains = [name for name in one.rules if one.table.by_name[name].type.is_domain]
    for name in domains:  # its cast fails by itself
        subject = f"the mask of the column {_label(one, name)}"
        made = _values(one)[name]
        where = f" WHERE {one.masked.condition}" if one.masked.condition else ""
        _run(session, f"SELECT count({made}) FROM {_source(one)}{where}", subject)
    if not tests and not one.computed:
        return
    answers = [f"coalesce(bool_or({test}), false)" for test in tests.values()]
    # Computed for each row, to see that it can be.
    answers += [f"count({made}) < 0" for made in one.computed]
    subject = f"what is computed of the masked columns {', '.join(sorted(one.rules))}"
    query = f"SELECT {', '.join(answers)} FROM ({_whole_rows(one)}) AS m"
    found = _run(session, query, f"{subject} of {one.table.display_name}")[: len(tests)]
    for test, is_broken in zip(tests, found, strict=True):
        if is_broken:
            columns = ", ".join(sorted(one.rules))
            raise InvalidInputError(
                f"masked rows of {one.table.display_name} break {test}; its masked columns are "
                f"{columns}",
                hint="Give the columns of the constraint other rules.",
            )


def _try_unique(session: Session, one: MaskedTable, index: Index) -> None:
    conditions = [] if index.predicate is None else [f"({index.predicate})"]
    if not index.nulls_are_equal:
        conditions += [f"({key}) IS NOT NULL" for key in index.keys]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    keys = ", ".join(f"({key})" for key in index.keys)
    query = (
        f"SELECT EXISTS (SELECT FROM ({_whole_rows(one)}) AS m{where} "
        f"GROUP BY {keys} HAVING count(*) > 1)"
    )
    (is_broken,) = _run(session, query, f"the masks of {one.table.display_name}")
    if is_broken:
        columns = ", ".join(name for name in index.columns if name in one.rules)
        raise InvalidInputError(
            f"the masks of {one.table.display_name} make rows equal that the unique index "
            f"{index.name} keeps apart: {columns or 'a generated column'}",
            hint="Use a rule that keeps values apart, such as hash, email, digits or uuid.",
        )


def try_references(
    session: Session,
    assigned: Iterable[TableAssignment],
    row_filter: RowFilter,
) -> None:
    """Refuse conditions that leave out rows to which others refer that are read.

    :raises InvalidInputError: naming both tables.
    """
    catalog = row_filter.catalog
    for table in (one.table for one in assigned):
        for key in row_filter.foreign_keys_of(table):
            parent = catalog.tables.get(key.parent)
            if parent is None or not row_filter.is_filtered(parent):
                continue
            own = row_filter.condition(table)
            where = f"NOT {row_filter.has_parent(table, key)}"
            source = f"{qualified(table.schema, table.name)} AS {alias_of(table, catalog)}"
            query = f"SELECT FROM ONLY {source} WHERE {where}{f' AND {own}' if own else ''}"
            subject = f"the conditions of {table.display_name} and {parent.display_name}"
            (is_broken,) = _run(session, f"SELECT EXISTS ({query})", subject)
            if is_broken:
                raise InvalidInputError(
                    f"rows of {table.display_name} refer to rows of {parent.display_name} that are "
                    "left out",
                    hint="Set follow_fks to true, or give the first a condition of its own.",
                )


def _label(one: MaskedTable, column: str) -> str:
    return f"{one.table.display_name}.{column}"


def _source(one: MaskedTable) -> str:
    return f"ONLY {qualified(one.table.schema, one.table.name)} AS {one.masked.alias}"


def _values(one: MaskedTable) -> dict[str, str]:
    """Return the SQL of each masked column."""
    found = dict(zip(one.columns, one.masked.values, strict=True))
    return {name: found[name] for name in one.rules}


def _whole_rows(one: MaskedTable) -> str:
    """Return the query of the masked rows with what is generated of them."""
    generated = "".join(
        f", ({column.generation}) AS {quote_ascii(column.name)}"
        for column in one.table.columns
        if column.generation is not None
    )
    rows = f"{one.rows} OFFSET 0"
    return f"SELECT stored.*{generated} FROM ({rows}) AS stored" if generated else rows


def _passes(session: Session, query: str) -> bool:
    try:
        _run(session, query, "")
    except PgCloneError:
        return False
    return True


def _run(session: Session, query: str, subject: str, *, shows: bool = False) -> tuple[object, ...]:
    """Run a query and return its first row, if any.

    :param subject: what an error is about.
    :param shows: whether PostgreSQL's words may be shown where they are about names and syntax.
    """
    try:
        with session.transaction(rolled_back=True):
            session.execute(f"{MASKING_TRANSACTION}; {NO_VIEWS}")
            # One statement, whatever the user's SQL has in it: the extended protocol takes no more.
            return session.execute(query.encode(), prepare=True).fetchone() or ()
    except psycopg.Error as error:
        refusal = _refusal(error, subject, shows=shows)
    raise refusal  # out here it does not carry the error, which may quote a row


def _refusal(error: psycopg.Error, subject: str, *, shows: bool) -> PgCloneError:
    if isinstance(error, psycopg.OperationalError):  # such as a lost connection
        raise error
    if isinstance(error, psycopg.errors.UndefinedObject) and KEY_SETTING in str(error):
        return UnsupportedError(
            "the session was not given the mask key",
            hint="A pooler that drops the options of a session, as pgbouncer does, cannot be used "
            "to mask: connect past it.",
        )
    # Even where no row was read: PostgreSQL may run a function to plan a statement.
    is_of_syntax = error.diag.statement_position is not None and error.diag.context is None
    said = error.diag.message_primary if shows and is_of_syntax else type(error).__name__
    return InvalidInputError(
        f"{subject} does not work: {said}",
        hint="Names of functions and types need their schema, unless they are PostgreSQL's own.",
    )

"""Tries masks in the snapshot of a dump, before anything is written.

The types of columns tell whether masks fit. Only tables whose masked columns have constraints are
read as a whole, to see whether their masked rows meet them. No result and no error contains a value
of a row.
"""

from collections.abc import Collection, Mapping

import psycopg

from airflow_provider_pgclone.core.catalog import Index
from airflow_provider_pgclone.core.errors import InvalidInputError, PgCloneError, UnsupportedError
from airflow_provider_pgclone.core.masking.planning.assignment import Assignment
from airflow_provider_pgclone.core.masking.planning.row_filter import RowFilter, alias_of
from airflow_provider_pgclone.core.masking.planning.table_masks import MaskedTable
from airflow_provider_pgclone.core.masking.rules import SECRETS, constant, known_paths
from airflow_provider_pgclone.core.postgres import (
    MASKING_TRANSACTION,
    NO_VIEWS,
    Session,
    literal,
    qualified,
    quote_ascii,
)
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)

_SAMPLED_DOCUMENTS = 10_000
_HINTS: Mapping[type[psycopg.Error], str] = {
    psycopg.errors.DatatypeMismatch: "Correct it. A condition is true or false, such as n > 0.",
    psycopg.errors.UndefinedColumn: "Correct it, so that it names columns of the table.",
    psycopg.errors.SyntaxError: "Correct it. It stands in parentheses, in a longer statement.",
    psycopg.errors.InvalidTextRepresentation: "A value in it is none of its type, such as a label "
    "that an enum does not have.",
}


def try_masks(session: Session, planned: Collection[MaskedTable]) -> None:
    """Refuse masks and conditions that PostgreSQL rejects, and masks that violate a constraint.

    :param session: a session in the snapshot of the dump, with the secrets of the mask key.
    :raises InvalidInputError: naming the column, constraint or table.
    """
    for one in planned:
        _try_types(session, one)
    for one in planned:
        _warn_of_paths(session, one)
        _try_rows(session, one)
        for index in one.unique:
            _try_unique(session, one, index)


def try_references(session: Session, assignment: Assignment, row_filter: RowFilter) -> None:
    """Refuse conditions that leave out rows to which other rows of the dump refer.

    :raises InvalidInputError: naming both tables.
    """
    catalog = assignment.catalog
    for table in (one.table for one in assignment.in_scope):
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
                    hint="Set follow_fks to true, or give the first table a condition of its own.",
                )


def _try_types(session: Session, one: MaskedTable) -> None:
    for name, rule in one.rules.items():
        if rule.name == "constant":
            masked = constant(rule, one.table.by_name[name])
            _run(session, f"SELECT {masked}", f"the constant of the column {_label(one, name)}")
        if rule.name == "sql":  # it must be valid where only one value is allowed
            masked = rule["expression"]
            query = f"SELECT FROM {_source(one)} WHERE ({masked}) IS NULL LIMIT 0"
            _run(session, query, f"the mask of the column {_label(one, name)}", shows=True)
    if _passes(session, f"{one.rows} LIMIT 0"):
        return
    # Try them again one by one, to name the one that fails.
    if one.masked.condition is not None:
        bare = f"SELECT FROM {_source(one)} WHERE {one.masked.condition} LIMIT 0"
        _run(session, bare, f"the condition of the rows of {one.table.display_name}", shows=True)
    for name, masked in _values(one).items():
        subject = f"the mask of the column {_label(one, name)}"
        _run(session, f"SELECT {masked} FROM {_source(one)} LIMIT 0", subject, shows=True)
    _run(session, f"{one.rows} LIMIT 0", f"the masks of {one.table.display_name}", shows=True)


def _warn_of_paths(session: Session, one: MaskedTable) -> None:
    """Warn of json paths that none of the first documents has: they may be misspelled."""
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
        query = f"SELECT count(*), {exist} FROM ({rows} LIMIT {_SAMPLED_DOCUMENTS}) AS d"
        subject = f"the json paths of the column {_label(one, name)}"
        total, *found = _run(session, query, subject) if paths else (0,)
        missing = [path for path, count in zip(paths, found, strict=True) if not count]
        if total and missing:
            log.warning(
                "no sampled document of %s has the path %s: is it misspelled?",
                _label(one, name),
                ", ".join(missing),
            )


def _try_rows(session: Session, one: MaskedTable) -> None:
    """Refuse masked rows that violate a check constraint, a domain or NOT NULL."""
    tests = {f"the constraint {check.name}": f"NOT ({check.sql})" for check in one.checks}
    for name in one.not_null:
        tests[f"NOT NULL of {name}"] = f"{quote_ascii(name)} IS NULL"
    domains = [name for name in one.rules if one.table.by_name[name].type.is_domain]
    for name in domains:  # the cast to the domain fails
        subject = f"the mask of the column {_label(one, name)}"
        masked = _values(one)[name]
        where = f" WHERE {one.masked.condition}" if one.masked.condition else ""
        _run(session, f"SELECT count({masked}) FROM {_source(one)}{where}", subject)
    if not tests and not one.computed:
        return
    answers = [f"coalesce(bool_or({test}), false)" for test in tests.values()]
    # These are computed for each row, to see whether that fails.
    answers += [f"count({computed}) < 0" for computed in one.computed]
    subject = f"what is computed from the masked columns {', '.join(sorted(one.rules))}"
    query = f"SELECT {', '.join(answers)} FROM ({_whole_rows(one)}) AS m"
    found = _run(session, query, f"{subject} of {one.table.display_name}")[: len(tests)]
    for test, is_broken in zip(tests, found, strict=True):
        if is_broken:
            columns = ", ".join(sorted(one.rules))
            raise InvalidInputError(
                f"masked rows of {one.table.display_name} violate {test}; its masked columns are "
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
            f"the masks of {one.table.display_name} create duplicates in the unique index "
            f"{index.name}: {columns or 'a generated column'}",
            hint="Use a rule that keeps values apart, such as hash, email, digits or uuid.",
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
    """Return the query of the masked rows with their generated columns."""
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
    """Run a query and return its first row, or nothing.

    :param subject: what an error names.
    :param shows: whether an error may show PostgreSQL's message about names or syntax.
    """
    try:
        with session.transaction(rolled_back=True):
            session.execute(f"{MASKING_TRANSACTION}; {NO_VIEWS}")
            # The extended protocol takes only one statement, whatever the user's SQL contains.
            return session.execute(query.encode(), prepare=True).fetchone() or ()
    except psycopg.Error as error:
        refusal = _refusal(error, subject, shows=shows)
    raise refusal  # not in the except block: the error may contain a row


def _refusal(error: psycopg.Error, subject: str, *, shows: bool) -> PgCloneError:
    if isinstance(error, psycopg.OperationalError):  # such as a lost connection
        raise error
    if isinstance(error, psycopg.errors.UndefinedObject) and SECRETS in str(error):
        return UnsupportedError(
            "the session did not get the mask key",
            hint="A pooler that drops the options of sessions, such as pgbouncer, cannot be used "
            "to mask. Connect to the server directly.",
        )
    # Other messages may contain a row, even before one is read: planning may run functions.
    is_of_syntax = error.diag.statement_position is not None and error.diag.context is None
    reason = error.diag.message_primary if shows and is_of_syntax else type(error).__name__
    return InvalidInputError(
        f"{subject} does not work: {reason}",
        hint=_HINTS.get(
            type(error),
            "Correct it. Names of tables, functions and types need their schema, unless they are "
            "PostgreSQL's own.",
        ),
    )

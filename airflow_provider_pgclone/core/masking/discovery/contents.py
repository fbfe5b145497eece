"""Finds personal data in the rows of a table; PostgreSQL searches, and returns only counts.

Values never reach this process, so they cannot get into a log or an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.catalog import CatalogTable, Column
from airflow_provider_pgclone.core.errors import ServerError
from airflow_provider_pgclone.core.postgres import SAMPLING_TRANSACTION, Session

SAMPLED_ROWS = 1000
# Of many partitions only the last ones are sampled, which are usually the newest.
_SAMPLED_PARTITIONS = 50
_LEAST_ROWS = 20  # of each partition
# The end of a longer value is mostly more of the same.
SAMPLED_CHARS = 4000
_ELEMENTS_OF_TEXT = ("text", "json", "other")
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_HEX = "[0-9a-fA-F]{1,4}"
_CARD = (
    r"(4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|6[0-9]{3})[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{1,4}"
    r"|3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}"
)


@dataclass(frozen=True)
class Content:
    """One kind of personal data, as it appears in values.

    :param what: its name, in the plural.
    :param rules: the rules that mask it if a value holds nothing else, the best first.
    :param expression: a regular expression of PostgreSQL.
    :param before: the set of characters that may not stand before it.
    :param after: the set of characters that may not stand after it.
    :param has_check_digit: whether its last digit must be a Luhn check digit.
    """

    what: str
    rules: tuple[str, ...]
    expression: str
    before: str = "[:alnum:]"
    after: str = "[:alnum:]"
    has_check_digit: bool = False

    def anywhere(self, value: sql.Composable) -> sql.Composed:
        """Return the SQL that tells whether a text contains it."""
        pattern = f"(^|[^{self.before}])({self.expression})($|[^{self.after}])"
        return self._condition(value, pattern)

    def alone(self, value: sql.Composable) -> sql.Composed:
        """Return the SQL that tells whether a text is nothing else than this."""
        return self._condition(value, rf"^\s*()({self.expression})\s*$")

    def _condition(self, value: sql.Composable, pattern: str) -> sql.Composed:
        found = sql.SQL("{} ~ {}").format(value, pattern)
        if not self.has_check_digit:
            return found
        return sql.SQL("({} AND {})").format(found, _has_luhn_digit(value, pattern))


def _has_luhn_digit(value: sql.Composable, pattern: str) -> sql.Composed:
    """Return the SQL that checks the last digit of card numbers: ISO/IEC 7812-1, annex B."""
    return sql.SQL(
        "(SELECT coalesce(bool_or((SELECT sum("
        "CASE WHEN place % 2 = 1 THEN digit ELSE digit * 2 - digit / 5 * 9 END) % 10 = 0 "
        "FROM (SELECT place, substr(reverse(digits), place, 1)::int AS digit "
        "FROM generate_series(1, length(digits)) AS place) AS one)), false) "
        "FROM (SELECT regexp_replace(parts[2], '[^0-9]', '', 'g') AS digits "
        "FROM regexp_matches({}, {}, 'g') AS parts) AS numbers)"
    ).format(value, pattern)


CONTENTS: tuple[Content, ...] = (
    Content(
        "e-mail addresses",
        ("email", "hash", "text"),
        r"[^[:space:]@\"',;:<>(){}]+@[[:alnum:]-]+(\.[[:alnum:]-]+)+",
        before="@",
        after="@",
    ),
    Content(
        "IBANs",
        ("digits", "hash", "text"),
        "[A-Z]{2}[0-9]{2}( ?[A-Z0-9]{4}){2,7}( ?[A-Z0-9]{1,3})?",
    ),
    Content("card numbers", ("digits", "hash", "text"), _CARD, has_check_digit=True),
    Content(
        "social security numbers",
        ("digits", "hash", "text"),
        "(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}",
        before="[:alnum:]-",
        after="[:alnum:]-",
    ),
    Content(
        "phone numbers",
        ("phone", "hash", "text"),
        r"\+[1-9][0-9 ()./-]{6,18}[0-9]"
        r"|\(?[2-9][0-9]{2}\)?[ .-]?[2-9][0-9]{2}[ .-][0-9]{4}"
        r"|\(?0[1-9][0-9]{0,4}\)?[ /-]+[0-9]([ .-]?[0-9]){4,11}"
        r"|0[1-9][0-9]{7,12}",
        before="[:alnum:].:-",
        after="[:alnum:].:-",
    ),
    Content(
        "IP addresses",
        ("ip", "digits", "text"),
        rf"({_OCTET}\.){{3}}{_OCTET}(/[0-9]{{1,2}})?"
        rf"|({_HEX}:){{7}}{_HEX}|({_HEX}:){{1,6}}(:{_HEX}){{1,6}}|({_HEX}:){{2,7}}:",
        before="[:alnum:].:",
        after="[:alnum:]:",
    ),
    Content(
        "hardware addresses",
        ("hash", "text"),
        "([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}",
        before="[:alnum:]:-",
        after="[:alnum:]:-",
    ),
)


@dataclass(frozen=True)
class SampleCounts:
    """The numbers of sampled values of a column that look personal.

    :param values: the number of all sampled values that are not null.
    :param hits: the number of values that contain each of :data:`CONTENTS`.
    :param alone: the number of values that are nothing else.
    """

    values: int
    hits: tuple[int, ...]
    alone: tuple[int, ...]

    def found(self) -> "tuple[Content, bool] | None":
        """Return the most frequent content, and whether values of the column hold nothing else."""
        most = max(self.hits)
        if most == 0:
            return None
        number = self.hits.index(most)
        return CONTENTS[number], self.alone[number] == most and most * 2 >= self.values

    def count(self, content: Content) -> int:
        return self.hits[CONTENTS.index(content)]


def is_searchable(column: Column) -> bool:
    """Tell whether the values of a column can be searched as text."""
    return column.type.kind in _ELEMENTS_OF_TEXT


def is_number(column: Column) -> bool:
    """Tell whether a column may hold card numbers as integers."""
    return column.type.kind == "integer" and column.type.element_sql is None


def read_contents(
    session: Session, leaves: Sequence[CatalogTable], columns: Sequence[Column]
) -> Mapping[str, SampleCounts]:
    """Count what the first rows of a table hold, in the current transaction.

    :param leaves: the tables that hold the rows: the table itself, or its partitions.
    :raises ServerError: when its values cannot be read as text; it names the table.
    """
    columns = [column for column in columns if is_searchable(column) or is_number(column)]
    if not columns or not leaves:
        return {}
    names = [sql.Identifier(f"c{number}") for number in range(len(columns))]
    counts = sql.SQL(", ").join(
        _counts(name, column) for name, column in zip(names, columns, strict=True)
    )
    texts = [
        sql.SQL("left(nullif(format('%s', {}), ''), {}) AS {}").format(
            sql.Identifier(column.name), SAMPLED_CHARS, name
        )
        for name, column in zip(names, columns, strict=True)
    ]
    query = sql.SQL("SELECT {} FROM ({}) AS sample").format(counts, sample(leaves, texts))
    row = fetch_counts(session, leaves[0], query)
    half = len(CONTENTS)
    return {
        column.name: SampleCounts(count, tuple(found[:half]), tuple(found[half:]))
        for column, (count, *found) in zip(columns, row, strict=True)
    }


def sample(
    leaves: Sequence[CatalogTable], texts: Sequence[sql.Composable], most: int = SAMPLED_ROWS
) -> sql.Composed:
    """Return the SQL of the first rows of some tables.

    :param most: the number of rows; more if there are many tables.
    """
    chosen = leaves[-_SAMPLED_PARTITIONS:]
    rows = max(most // len(chosen), _LEAST_ROWS)
    return sql.SQL(" UNION ALL ").join(
        sql.SQL("(SELECT {} FROM ONLY {} LIMIT {})").format(
            sql.SQL(", ").join(texts), sql.Identifier(leaf.schema, leaf.name), rows
        )
        for leaf in chosen
    )


def _counts(name: sql.Identifier, column: Column) -> sql.Composed:
    if is_number(column):
        hits = [one.alone(name) if one.has_check_digit else sql.SQL("false") for one in CONTENTS]
        conditions = [*hits, *hits]
    else:
        conditions = [
            *(content.anywhere(name) for content in CONTENTS),
            *(content.alone(name) for content in CONTENTS),
        ]
    counted = [sql.SQL("count(*) FILTER (WHERE {})").format(one) for one in conditions]
    return sql.SQL("ARRAY[count({}), {}]").format(name, sql.SQL(", ").join(counted))


def fetch_counts(
    session: Session, table: CatalogTable, query: sql.Composed
) -> tuple[list[int], ...]:
    """Return the only row of a query.

    :raises ServerError: it names the table, and never contains a value of its rows.
    """
    try:
        with session.transaction(rolled_back=True):
            session.execute(SAMPLING_TRANSACTION)
            return session.fetch_row(query)
    except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege):
        raise  # not about values of the rows
    except psycopg.Error as error:
        reason = f"{type(error).__name__} ({error.sqlstate})"
    # Raised outside of the except block: the server's error may contain values of a row.
    raise ServerError(
        f"the rows of table {table.display_name} cannot be searched: {reason}",
        hint="Exclude the table, and decide on its columns by hand.",
    )

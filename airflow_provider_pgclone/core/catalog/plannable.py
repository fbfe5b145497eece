"""Finds the tables of which PostgreSQL cannot plan a query.

Planning inlines SQL functions in the expressions of a table's indexes and statistics. If such a
function names an object without its schema, that fails in our sessions, whose search path is empty:
inline_function() in clauses.c. COPY of a table, not of a query, is not planned, so pg_dump can read
the table.
"""

from collections.abc import Iterable

import psycopg
from psycopg import sql

from airflow_provider_pgclone.core.catalog.patterns import display_name
from airflow_provider_pgclone.core.catalog.unreadable import Unreadable
from airflow_provider_pgclone.core.postgres import Session

# What get_relation_info() in plancat.c reads of a table without its children.
_WITH_EXPRESSIONS = """
SELECT c.oid, nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'm') AND (%(oids)s::oid[] IS NULL OR c.oid = ANY(%(oids)s)) AND (
    EXISTS (SELECT FROM pg_index
        WHERE indrelid = c.oid AND (indexprs IS NOT NULL OR indpred IS NOT NULL))
    OR EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = c.oid AND stxexprs IS NOT NULL)
)
ORDER BY nspname, relname
"""


def unplannable_tables(
    session: Session, oids: Iterable[int] | None = None
) -> dict[int, Unreadable]:
    """Return those of the tables of which a query cannot be planned, by their OIDs.

    Planning runs functions of the table, so a caller first asks which tables are unreadable.

    :param oids: the tables in question; ``None`` means all tables and materialized views.
    """
    found: dict[int, Unreadable] = {}
    arguments = {"oids": None if oids is None else list(oids)}
    for oid, schema, name in session.execute(_WITH_EXPRESSIONS, arguments).fetchall():
        query = sql.SQL("EXPLAIN SELECT FROM ONLY {}").format(sql.Identifier(schema, name))
        try:
            with session.transaction(rolled_back=True):
                session.execute(query)
        except psycopg.OperationalError:  # such as a cancel
            raise
        except psycopg.Error as error:
            found[oid] = Unreadable(
                f"PostgreSQL cannot plan a query of {display_name(schema, name)}: "
                f"{error.diag.message_primary}",
                "Write the schema before each name in the SQL functions that its indexes and "
                "statistics call, or set a search_path for these functions.",
            )
    return found

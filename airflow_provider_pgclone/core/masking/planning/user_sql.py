"""Prepares SQL that the user wrote, so that it means the same in all sessions of a dump.

What it calls must be what the user meant, too: nobody who is not trusted may put something else in
its place.
"""

import re
import string
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from airflow_provider_pgclone.core.catalog import (
    NOT_TRUSTED,
    SCHEMA_OWNER,
    display_name,
    trusted_arguments,
)
from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.postgres import (
    LETTERS,
    Session,
    has_comment,
    outside_literals,
    without_literals,
)

# https://www.postgresql.org/docs/current/functions-datetime.html#FUNCTIONS-DATETIME-CURRENT
_PRECISION = r"(?:\s*\(\s*\d\s*\))?"
_CURRENT = (
    (re.compile(rf"\bcurrent_timestamp\b{_PRECISION}", re.IGNORECASE), "timestamptz"),
    (
        re.compile(
            r"(?<!\w)(?:pg_catalog\s*\.\s*)?\b(?:now|transaction_timestamp|statement_timestamp"
            r"|clock_timestamp)\s*\(\s*\)",
            re.IGNORECASE,
        ),
        "timestamptz",
    ),
    (re.compile(rf"\blocaltimestamp\b{_PRECISION}", re.IGNORECASE), "timestamp"),
    (re.compile(r"\bcurrent_date\b", re.IGNORECASE), "date"),
    (re.compile(rf"\bcurrent_time\b{_PRECISION}", re.IGNORECASE), "timetz"),
    (re.compile(rf"\blocaltime\b{_PRECISION}", re.IGNORECASE), "time"),
)
_MOMENT = re.compile(
    rf"(?:'|\$[{LETTERS}0-9]*\$)\s*(?:now|today|tomorrow|yesterday)\s*(?:['$\d+-])", re.IGNORECASE
)
_ESCAPED_NAME = re.compile(r'\bu&\s*"', re.IGNORECASE)
_NAME = rf'(?:[{LETTERS}][{LETTERS}0-9$]*|"(?:[^"]|"")*")'
_EACH_NAME = re.compile(_NAME)
# A space beyond ASCII is a letter.
_SPACES = " \t\n\r\f\v"
_DOTTED = re.compile(rf"{_NAME}(?:[{_SPACES}]*\.[{_SPACES}]*{_NAME})*")
# In UTF-8, PostgreSQL folds no others: downcase_identifier() in scansup.c. It cuts what is longer.
_FOLDED = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
MAX_NAME_BYTES = 63
# https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-INTERPOLATION
# psql sets only variables in capital letters.
_PSQL_VARIABLE = re.compile(r"(?<!:):(?:['\"{]|[A-Z])")
# Who may create a function in a schema may create one that fits the arguments of a call better. The
# owner of the schema can take that right at any time. Members of a role that has it are trusted as
# the role is: they could do all that it may.
_MAY_CREATE = f"""
SELECT nspname, rolname
FROM pg_namespace n
CROSS JOIN LATERAL (
    SELECT {SCHEMA_OWNER}
    UNION SELECT CASE grantee WHEN 'pg_database_owner'::regrole THEN datdba ELSE grantee END
    FROM aclexplode(coalesce(nspacl, acldefault('n', nspowner)))
    JOIN pg_database ON datname = current_database()
    WHERE privilege_type = 'CREATE'
) AS creator (oid)
-- PUBLIC has no row.
JOIN pg_roles r ON r.oid = creator.oid OR creator.oid = 0 AND rolname !~ '^pg_'
WHERE nspname = ANY(%(called)s) AND nspname <> 'pg_catalog' AND {NOT_TRUSTED}
ORDER BY nspname, rolname
"""
_MATERIALIZED_VIEWS = f"""
SELECT nspname, relname, rolname
FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_roles ON pg_roles.oid = relowner
WHERE relkind = 'm' AND {NOT_TRUSTED}
ORDER BY 1, 2
"""


@dataclass(frozen=True)
class UserSql:
    """SQL that the user wrote.

    :param subject: its name in an error.
    """

    subject: str
    sql: str


def may_name(text: str, name: str) -> bool:
    """Tell whether SQL may name a table or a column: rather one too many."""
    found = re.escape(name.replace('"', '""'))
    # PostgreSQL cuts a long name, at the start of a character of up to four bytes.
    end = r"(?![\w$])" if len(name.encode()) < MAX_NAME_BYTES - 3 else ""
    return re.search(rf"(?<![\w$]){found}{end}", text, re.IGNORECASE) is not None


def at_instant(text: str, instant: datetime) -> str:
    """Return SQL in which the current time is the same in all sessions of a dump.

    Sessions start one after the other. If each had its own time, a row that one of them leaves out
    could be missing for a row that another one reads.

    :raises InvalidInputError: when the SQL is not one expression, or could mean something else to
        psql or in another session.
    """
    bare = without_literals(text)
    _check_one_expression(text, bare)
    if _PSQL_VARIABLE.search(bare):
        raise InvalidInputError(
            f"{bare.strip()!r} has a colon that psql takes for a variable",
            hint="Write a space after the colon.",
        )
    now = f"('{instant.isoformat()}'::timestamptz)"

    def replaced(code: str) -> str:
        for pattern, cast in _CURRENT:
            code = pattern.sub(now if cast == "timestamptz" else f"({now}::{cast})", code)
        return code

    return outside_literals(text, replaced)


def schemas_of_called(text: str) -> set[str]:
    """Return the schemas that SQL names before functions and operators."""
    schemas = set()
    for before, names, after in _dotted_names(text):
        if after.startswith("(") and len(names) > 1:
            schemas.add(names[-2])
        # A database may stand before the schema.
        if before == "operator(" and after.startswith("."):
            schemas.add(names[-1])
    return schemas


def may_run_functions(text: str) -> bool:
    """Tell whether SQL may run functions that are not PostgreSQL's own: rather one too many.

    A cast to a type of a schema runs those of its domain, too.
    """
    is_cast = any(is_type for _, _, is_type in types_named(text))
    return is_cast or bool(schemas_of_called(text) - {"pg_catalog"})


def whole_names(text: str) -> set[str]:
    """Return the names after which SQL names no part: of what may be a table, whole rows."""
    return {names[-1] for _, names, _ in _dotted_names(text)}


def types_named(text: str) -> set[tuple[str, str, bool]]:
    """Return what may be a schema and a type in it: rather one too many.

    :return: also, whether SQL surely names a type there, not a table or a column.
    """
    found: set[tuple[str, str, bool]] = set()
    for before, names, after in _dotted_names(text):
        is_type = before.endswith("::") or before == "as" or after.startswith("'")
        found.update((schema, name, is_type) for schema, name in pairwise(names))
    return found


def check_schemas_of_called(session: Session, user_sql: Collection[UserSql]) -> None:
    """Refuse SQL that calls functions of schemas in which people create who are not trusted.

    The planner chooses the function anew in each session of a dump.

    :raises UnsupportedError: naming the schema and one of them.
    """
    for one in user_sql:
        called = sorted(schemas_of_called(one.sql))
        found = session.execute(_MAY_CREATE, trusted_arguments(session, called=called)).fetchone()
        if found is not None:
            schema, role = found
            raise UnsupportedError(
                f"{one.subject} calls a function or operator of the schema {schema}, in which "
                f"{role} may create another one that is called in its place, with the rights of "
                "this dump",
                hint=f"Move it to a schema of its own, revoke CREATE on the schema from {role}, or "
                f"from PUBLIC if that has it, or name {role} in trusted_owners.",
            )


def check_materialized_views(session: Session, user_sql: Collection[UserSql]) -> None:
    """Refuse SQL that may read a materialized view of others, since it cannot be locked.

    :raises UnsupportedError: naming the view and its owner.
    """
    rows = session.execute(_MATERIALIZED_VIEWS, trusted_arguments(session))
    for schema, name, owner in rows:
        for one in user_sql:
            if may_name(one.sql, name):
                raise UnsupportedError(
                    f"{one.subject} may read the materialized view {display_name(schema, name)}, "
                    f"whose owner {owner} could have it run a function with the rights of this "
                    "dump",
                    hint=f"Read the tables below it, or name {owner} in trusted_owners.",
                )


def check_volatile(session: Session, user_sql: Iterable[UserSql]) -> None:
    """Refuse SQL that may return another value each time: rows would not fit together.

    :raises InvalidInputError: naming the function.
    """
    for one in user_sql:
        found = _volatile_functions(session, one.sql)
        if found:
            raise InvalidInputError(
                f"{one.subject} calls {found[0]}, which returns another value each time",
                hint="Use values of the row instead, such as hashtext(id::text) % 10 = 0.",
            )


def _check_one_expression(text: str, bare: str) -> None:
    """Refuse SQL that could reach beyond the parentheses around it, or change with the session."""
    depth = 0
    for character in bare:
        depth += (character in "([") - (character in ")]")
        if depth < 0:
            break
    if depth != 0 or ";" in bare:
        raise InvalidInputError(
            f"{bare.strip()!r} is not one expression",
            hint="Close each parenthesis that it opens, and no others; leave out semicolons.",
        )
    if has_comment(text):
        raise InvalidInputError(
            f"{bare.strip()!r} has a comment",
            hint="Remove the comment: it could hide the SQL after it.",
        )
    if _ESCAPED_NAME.search(bare):
        raise InvalidInputError(
            f"{bare.strip()!r} has a name with Unicode escapes",
            hint="Write the name itself.",
        )
    if _MOMENT.search(text):
        raise InvalidInputError(
            f"{bare.strip()!r} has a moment as a literal, which differs between sessions",
            hint="Write now() or current_date.",
        )


def _volatile_functions(session: Session, text: str) -> list[str]:
    names = [names[-1] for _, names, after in _dotted_names(text) if after.startswith("(")]
    rows = session.execute(
        "SELECT DISTINCT proname::text FROM pg_proc WHERE proname = ANY(%s) AND provolatile = 'v' "
        "ORDER BY 1",
        [names],
    )
    return [name for (name,) in rows]


def _dotted_names(text: str) -> Iterator[tuple[str, list[str], str]]:
    """Yield names with dots between them, each as the catalogs have it.

    :return: also, the name before with all that comes after it, and what comes after them.
    """
    bare = without_literals(text)
    found = list(_DOTTED.finditer(bare))
    before = bare[: found[0].start()].strip(_SPACES) if found else ""
    for one, end in zip(found, [*(one.start() for one in found[1:]), len(bare)], strict=True):
        names = [_plain(name) for name in _EACH_NAME.findall(one[0])]
        after = bare[one.end() : end].strip(_SPACES)
        yield before, names, after
        before = f"{names[-1]}{after}"


def _plain(name: str) -> str:
    """Return a name as the catalogs have it."""
    plain = name[1:-1].replace('""', '"') if name[0] == '"' else name.translate(_FOLDED)
    return plain.encode()[:MAX_NAME_BYTES].decode(errors="ignore")

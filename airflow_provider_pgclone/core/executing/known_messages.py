"""Which messages of the server hold no value of a row, though they come while it reads rows.

The words of a message do not tell: they are in the language of the server, and a value may stand
among them without quotes, as in ``date field value out of range: 1987-77-01``. So a message is
withheld unless it is known. The server sends with each error where in its source it is raised, in
every language, and no function of a user can write that: what ``RAISE`` says comes from pl_exec.c.

pg_restore does not pass this on, nor the SQLSTATE. Of what it repeats, only those messages are
known that are in English and wholly as the source of PostgreSQL has them.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psycopg

from airflow_provider_pgclone.core.archive import TocEntry
from airflow_provider_pgclone.core.postgres import REDACTED, Session, server_said

HINT_OF_WITHHELD = (
    "The log of the server has its whole message, which is not shown here because it may quote "
    "values of rows."
)
_HINT = "HINT: "
_BUILDING = ("INDEX ", "CONSTRAINT ", "CHECK CONSTRAINT ", "FK CONSTRAINT ")
_READING_ROWS = (
    *("TABLE DATA ", "MATERIALIZED VIEW DATA ", "BLOBS ", "STATISTICS DATA "),
    *_BUILDING,
)
# As pg_restore begins the errors of rows that it sends.
_SENDING_ROWS = ("COPY failed for table ", "error returned by ")
# The author of a function wrote the text of such an error.
RAISED = re.compile(r"PL/pgSQL.*\b(?:RAISE|ASSERT|EXECUTE)\b|PL/(?!pgSQL)|Traceback", re.DOTALL)
_LOCATION = re.compile(r"(?:CONTEXT: +)?(COPY .+?, line \d+(?:, column [^:]+)?)(?::|$)")
_WORD = re.compile(r'"(?:[^"]|"")+"|[\w$]+')

# These see the text of a statement and the catalog, and no rows.
_OF_DEFINITIONS = frozenset(("index.c", "indexcmds.c", "tablecmds.c"))
_TOO_LARGE = "54000"  # which tells sizes
_DISK = ("53100", "53400", "58030")
_MEMORY = ("53200",)
# By the file of PostgreSQL's source, the SQLSTATE of the messages in it that hold only the names of
# objects, files and sizes. The detail of some has the row, and is never shown.
_PLACES: Mapping[str, Sequence[str]] = {
    # constraints
    "execMain.c": ("23502", "23514"),
    "execExprInterp.c": ("23502", "23514"),
    "domains.c": ("23502", "23514"),
    "execPartition.c": ("23514",),
    "partbounds.c": ("23514",),
    "execIndexing.c": ("23P01",),
    "ri_triggers.c": ("23503",),
    "tuplesort.c": ("23505",),
    "tuplesortvariants.c": ("23505",),
    "nbtinsert.c": ("23505", _TOO_LARGE),
    # rights, and what a statement waits for
    "aclchk.c": ("42501",),
    "rls.c": ("42501",),
    "deadlock.c": ("40P01",),
    "postgres.c": (
        *("25P02", "25P03", "25P04", "54001", "55P03"),
        *("57014", "57P01", "57P02", "57P05"),
    ),
    "stack_depth.c": ("54001",),
    "utility.c": ("25006",),
    # disks and memory; others open files whose names are values
    **dict.fromkeys(("buffile.c", "fd.c", "logtape.c", "md.c", "xlog.c"), _DISK),
    **dict.fromkeys(("aset.c", "bump.c", "generation.c", "mcxt.c", "slab.c"), _MEMORY),
    **dict.fromkeys(("dsa.c", "dsm.c", "dsm_impl.c", "dynahash.c"), (*_MEMORY, *_DISK)),
    **dict.fromkeys(("lock.c", "predicate.c", "shmem.c"), _MEMORY),
    "bufmgr.c": ("XX001",),
    "dfmgr.c": ("42883", "58P01"),
    # sizes
    **dict.fromkeys(
        (
            *("brin_pageops.c", "gindatapage.c", "ginentrypage.c", "gininsert.c", "gist.c"),
            *("hashinsert.c", "hio.c", "indextuple.c", "nbtutils.c", "spgdoinsert.c"),
            *("stringinfo.c", "to_tsany.c", "tsvector.c"),
        ),
        (_TOO_LARGE,),
    ),
    # the form of the rows
    "copy.c": ("42703",),
    "copyfromparse.c": ("22P04",),
}

# A function of the dump may have changed the search path of the session.
_OF_FUNCTION = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE prosrc OPERATOR(pg_catalog.=) %s
    OR %s::bool AND pg_catalog.strpos(prosrc, %s) OPERATOR(pg_catalog.>) 0)
"""

_NAME = '"[^"]+"'
_KINDS = "database|domain|function|language|schema|sequence|table|type|view"
_KNOWN_TEXT = re.compile(
    "|".join(
        (
            rf"new row for relation {_NAME} violates check constraint {_NAME}",
            rf"new row for relation {_NAME} violates partition constraint",
            rf"null value in column {_NAME} of relation {_NAME} violates not-null constraint",
            rf"column {_NAME} of relation {_NAME} contains null values",
            rf"check constraint {_NAME} of relation {_NAME} is violated by some row",
            rf"no partition of relation {_NAME} found for row",
            rf"duplicate key value violates unique constraint {_NAME}",
            rf"could not create (?:unique index|exclusion constraint) {_NAME}",
            rf"conflicting key value violates exclusion constraint {_NAME}",
            rf"insert or update on table {_NAME} violates foreign key constraint {_NAME}",
            rf"permission denied for (?:{_KINDS}) [^\s:]+",
            rf"operator class {_NAME} does not exist for access method {_NAME}",
            r"functions in index expression must be marked IMMUTABLE",
            r"could not [a-z ]+(?:block \d+ (?:in|of) )?"
            r'(?:temporary file|file "(?:base|global|pg_\w+)/[^"]+")'
            r"(?: with FileFallocate\(\)| at offset \d+, length \d+)?"
            r": (?:No space left on device|wrote only \d+ of \d+ bytes at block \d+)",
            r'could not resize shared memory segment "[^"]+" to \d+ bytes: No space left on device',
            r"out of (?:shared )?memory",
            r"deadlock detected",
            r"(?:canceling statement|terminating connection) due to [a-z ]+",
            r"cannot execute [A-Z ]+ in a read-only transaction",
            r"missing data for column " + _NAME,
            r"extra data after last expected column",
            # of libpq
            r"no connection to the server",
            r"server closed the connection unexpectedly",
        )
    )
)


def reads_rows(entry: str, said: str) -> bool:
    """Tell whether rows are read where pg_restore has an error.

    :param entry: the entry as pg_restore names it; empty if it names none.
    :param said: the first line of the error.
    """
    return entry.startswith(_READING_ROWS) or said.startswith(_SENDING_ROWS)


def is_known(error: psycopg.Error) -> bool:
    """Tell whether an error of the server is one of those without a value of a row."""
    file = error.diag.source_file or ""
    return file in _OF_DEFINITIONS or error.diag.sqlstate in _PLACES.get(file, ())


def is_of_text(error: psycopg.Error, session: Session) -> bool:
    """Tell whether the server has refused the text of a statement or of a function.

    A position in a text is that of a word which the server does not understand, such as a function
    that is not in the search path of a restore. The text may be of a value, too, where a function
    executes one. So it must be that of a function, or in PL/pgSQL a part of one.
    """
    said = error.diag
    if not said.internal_query:
        return bool(said.statement_position) and not said.context
    if not said.internal_position or not session.is_idle:
        return False
    context = said.context or ""
    is_part = "PL/pgSQL" in context and RAISED.search(context) is None
    text = said.internal_query
    with suppress(psycopg.Error):
        return session.fetch_row(_OF_FUNCTION, [text, is_part, text]) == (True,)
    return False


def withheld(error: psycopg.Error, entry: TocEntry) -> str:
    """Return what can be told of an error whose message cannot.

    A function may raise an error with any text in place of a SQLSTATE or a name.
    """
    said = error.diag
    told = [f"SQLSTATE {said.sqlstate}"]
    try:
        told.append(psycopg.errors.lookup(said.sqlstate or "").__name__)
    except KeyError:
        told = ["a SQLSTATE of its own"]
    words = {word.strip('"') for word in _WORD.findall(entry.definition + entry.copy_statement)}
    words |= {entry.namespace, entry.tag}
    told += [
        f"{kind} {name}"
        for kind, name in (
            ("schema", said.schema_name),
            ("table", said.table_name),
            ("column", said.column_name),
            ("constraint", said.constraint_name),
            ("type", said.datatype_name),
        )
        if name in words
    ]
    return f"{said.severity_nonlocalized or 'ERROR'}:  {REDACTED} ({', '.join(told)})"


def locations(lines: Sequence[str]) -> list[str]:
    """Return which row of a COPY lines of the server's context name."""
    return [match.group(1) for line in lines if (match := _LOCATION.match(line))]


def is_of_statement(entry: str, rest: Sequence[str]) -> bool:
    """Tell whether pg_restore repeats an error that points into a statement without rows.

    An INSERT has a row.

    :param rest: what follows the first line of the error: the line of the statement, and a caret
        below the word. For the text of a function more follows, in the language of the server.
    """
    has_caret = len(rest) > 1 and rest[1].strip() == "^"
    return (
        entry.startswith(_BUILDING)
        and has_caret
        and all(line.startswith(_HINT) for line in rest[2:])
    )


def repeated(lines: Sequence[str]) -> str | None:
    """Return what can be told of a message that pg_restore repeats; ``None`` without its text.

    :param lines: what pg_restore says of an error, without the statement.
    """
    first, *rest = lines
    _, _, said = server_said(first) or ("", "", "")
    if _KNOWN_TEXT.fullmatch(said) is None or RAISED.search("\n".join(rest)) is not None:
        return None
    return "; ".join([first, *(line for line in rest if line.startswith(_HINT)), *locations(rest)])

"""Finds objects of a dump, other than rows, that may contain personal data and are not masked."""

from dataclasses import dataclass

from airflow_provider_pgclone.core.catalog import Selection
from airflow_provider_pgclone.core.masking.unmasked.credentials import find_options
from airflow_provider_pgclone.core.masking.unmasked.literals import (
    COMMENT,
    PUBLICATION,
    QUERIES,
    SECURITY_LABEL,
    SINCE_15,
)
from airflow_provider_pgclone.core.postgres import Session

LARGE_OBJECTS = "large objects"
# The arguments with which pg_dump leaves out a kind of objects.
_LEFT_OUT_BY = {
    COMMENT: "--no-comments",
    PUBLICATION: "--no-publications",
    SECURITY_LABEL: "--no-security-labels",
}
_OF_USERS = """
    SELECT DISTINCT nspname::text, subject::text FROM ({}) AS found (nspname, subject)
    WHERE nspname IS NULL OR nspname !~ '^pg_' AND nspname <> 'information_schema'
    ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Secret:
    """What a policy refuses unless it is declared safe, as a column of a system catalog.

    :param place: the catalog.
    :param subject: stands for the column.
    """

    place: str
    subject: str


@dataclass(frozen=True)
class UnmaskedObject:
    """An object that is dumped as it is.

    :param what: its kind.
    :param subject: its name; never its contents.
    :param secret: what must be declared safe; ``None`` if it is only reported.
    """

    what: str
    subject: str
    secret: Secret | None = None


def find_unmasked(session: Session, selection: Selection) -> list[UnmaskedObject]:
    """Return the objects of a dump that may contain values, in the current transaction."""
    return [
        *_large_objects(session, selection),
        *_options(session, selection),
        *_with_literals(session, selection),
    ]


def _large_objects(session: Session, selection: Selection) -> list[UnmaskedObject]:
    (count,) = session.fetch_row("SELECT count(*) FROM pg_largeobject_metadata")
    if not count or not selection.reads_large_objects:
        return []
    return [UnmaskedObject(LARGE_OBJECTS, f"{count} of them", Secret("pg_largeobject", "data"))]


def _options(session: Session, selection: Selection) -> list[UnmaskedObject]:
    return [
        UnmaskedObject(
            f"{'credential: ' if one.is_credential else ''}{one.what}",
            one.subject,
            Secret(one.place, one.key) if one.is_credential else None,
        )
        for one in find_options(session, selection)
    ]


def _with_literals(session: Session, selection: Selection) -> list[UnmaskedObject]:
    found = []
    for what, query in {**QUERIES, **(SINCE_15 if session.major >= 15 else {})}.items():
        if _LEFT_OUT_BY.get(what) in selection.pg_dump_args:
            continue
        rows = session.execute(_OF_USERS.format(query).encode())
        has_schema = what not in (COMMENT, SECURITY_LABEL)  # their names contain it
        found += [
            UnmaskedObject(what, f"{schema}.{name}" if schema and has_schema else name)
            for schema, name in rows
            if schema is None or selection.includes_schema(schema)
        ]
    return found

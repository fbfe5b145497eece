"""Refuses what others changed since a snapshot: names, files and children of tables that are read.

The catalog tables show the state of the snapshot; functions of PostgreSQL tell the present one.
Names are compared as bytes: pg_dump writes them in the encoding of the database.
"""

from collections.abc import Collection

from airflow_provider_pgclone.core.errors import BusyError
from airflow_provider_pgclone.core.postgres import Session

Name = tuple[str, str]

# LIMIT would make the planner compare each name with each other.
_RENAMED = """
SELECT concat_ws('.', nspname, relname, attname)
FROM unnest(%(schemas)s::bytea[], %(names)s::bytea[]) AS dumped (schema, name)
JOIN pg_namespace n ON convert_to(nspname, getdatabaseencoding()) = schema
JOIN pg_class c ON relnamespace = n.oid AND convert_to(relname, getdatabaseencoding()) = name
LEFT JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
WHERE to_regclass(format('%%I.%%I', nspname, relname)) IS DISTINCT FROM c.oid::regclass
    OR CASE WHEN attnum IS NOT NULL THEN
        (pg_identify_object('pg_class'::regclass, c.oid, attnum)).identity
            IS DISTINCT FROM format('%%I.%%I.%%I', nspname, relname, attname)
    END
"""
_SCHEMAS_RENAMED = """
SELECT nspname FROM pg_namespace
WHERE convert_to(nspname, getdatabaseencoding()) = ANY(%(schemas)s)
    AND to_regnamespace(quote_ident(nspname)) IS DISTINCT FROM oid::regnamespace
"""
_REWRITTEN = """
SELECT convert_to(nspname, getdatabaseencoding()), convert_to(relname, getdatabaseencoding())
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND relfilenode <> 0
    AND relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid)
"""
_FAMILIES = """
SELECT c.oid::bigint, format('%%I.%%I', nspname, relname),
    ARRAY(SELECT inhrelid::bigint FROM pg_inherits WHERE inhparent = c.oid)
FROM unnest(%(schemas)s::bytea[], %(names)s::bytea[]) AS read (schema, name)
JOIN pg_namespace n ON convert_to(nspname, getdatabaseencoding()) = schema
JOIN pg_class c ON relnamespace = n.oid AND convert_to(relname, getdatabaseencoding()) = name
"""
_TABLES = "SELECT oid::bigint FROM pg_class WHERE relkind IN ('r', 'p')"
_CHILDREN = """
SELECT inhparent::bigint, inhrelid::bigint FROM pg_inherits WHERE inhparent = ANY(%s::oid[])
"""


def check_same_names(session: Session, read: Collection[Name], *, when: str) -> None:
    """Refuse tables and columns that have other names than in the snapshot.

    COPY uses names. It would read a table that has the former name of a masked table, or a column
    that has the former name of a masked column.

    :param when: since when, for the error.
    :raises BusyError: naming one of them.
    """
    _refuse(session.execute(_RENAMED, _arguments(read)).fetchone(), when)


def check_same_schemas(session: Session, read: Collection[Name], *, when: str) -> None:
    """Refuse schemas of tables that have other names than in the snapshot.

    No lock of a table holds up that its schema is renamed.

    :raises BusyError: naming one of them.
    """
    _refuse(session.execute(_SCHEMAS_RENAMED, _arguments(read)).fetchone(), when)


def check_not_rewritten(session: Session, read: Collection[Name]) -> None:
    """Refuse a snapshot in which a table appears to be empty, although it is not.

    After TRUNCATE, or an ALTER TABLE that rewrites the table, an older snapshot does not see any
    rows. The same is true if a new table replaced the table. See "Caveats" in the chapter
    "Concurrency Control" of PostgreSQL's documentation. The query compares the file in the
    catalog, which shows the state of the snapshot, with the present file.

    :param read: the tables whose rows are read, by the names that pg_dump writes.
    :raises BusyError: naming the table.
    """
    for row in session.execute(_REWRITTEN):
        schema, name = (part.decode(errors="surrogateescape") for part in row)
        if (schema, name) in read:
            raise BusyError(
                f"table {schema}.{name} was truncated, rewritten or replaced while the dump "
                "was starting",
                hint="Try again. This snapshot does not contain the rows of the table.",
            )


class Families:
    """The partitions and children of tables, as a snapshot has them.

    PostgreSQL looks them up anew for each query, whatever its snapshot, and a lock for reading does
    not hold up ATTACH PARTITION and INHERIT.

    :param session: a session in the snapshot.
    :param read: the tables that a query names, by the names that pg_dump writes.
    """

    def __init__(self, session: Session, read: Collection[Name]) -> None:
        rows = session.execute(_FAMILIES, _arguments(read)).fetchall()
        self._names = {oid: name for oid, name, _ in rows}
        self._pairs = {(oid, child) for oid, _, children in rows for child in children}
        # The rows of a table that was made later are not in the snapshot.
        self._tables = {oid for (oid,) in session.execute(_TABLES)} if rows else set()

    def check_unchanged(self, session: Session) -> None:
        """Refuse tables that got or lost children whose rows are in the snapshot.

        :param session: a session whose snapshot is of now.
        :raises BusyError: naming the parent.
        """
        if not self._names:
            return
        present = set(session.execute(_CHILDREN, [list(self._names)]).fetchall())
        for parent, child in sorted(present ^ self._pairs):
            if child in self._tables:
                raise BusyError(
                    f"a partition or child of {self._names[parent]}, which masks or conditions "
                    "read, was attached or detached while the dump ran",
                    hint="Try again.",
                )


def _arguments(read: Collection[Name]) -> dict[str, list[bytes]]:
    tables = sorted(read)
    return {
        "schemas": [schema.encode(errors="surrogateescape") for schema, _ in tables],
        "names": [name.encode(errors="surrogateescape") for _, name in tables],
    }


def _refuse(renamed: tuple[str] | None, when: str) -> None:
    if renamed is not None:
        raise BusyError(f"{renamed[0]} was renamed {when}", hint="Try again.")

"""What the least of a restore consists of, from the catalog, and in which order two sessions do it.

The floor of a restore knows nothing but the database: it loads ready text, builds the indexes, and
checks the foreign keys. An index of a constraint is built as an index, because several may be built
on a table at once; ``ADD CONSTRAINT … USING INDEX`` then takes it, which needs no time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from example_dags.services import PostgresServer

_TABLES = """
SELECT oid, format('%s.%I', relnamespace::regnamespace, relname), relpages, pg_table_size(oid)
FROM pg_class WHERE relkind = 'r' AND oid > 16384 ORDER BY oid
"""
_INDEXES = """
SELECT indrelid, quote_ident(c.relname), pg_get_indexdef(indexrelid),
    CASE contype WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' END
FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
LEFT JOIN pg_constraint k ON conindid = indexrelid AND contype IN ('p', 'u')
WHERE indrelid = ANY(%s) ORDER BY indexrelid
"""
_FOREIGN_KEYS = """
SELECT conrelid, confrelid, quote_ident(conname), pg_get_constraintdef(oid)
FROM pg_constraint WHERE contype = 'f' AND conrelid = ANY(%s) ORDER BY oid
"""


@dataclass(frozen=True)
class TablePart:
    """A table, or a half of one, of which the rows are copied by one statement.

    :param source: what COPY … TO reads.
    :param table: what COPY … FROM writes.
    """

    source: str
    table: str
    size_bytes: int


@dataclass(frozen=True)
class Task:
    """A statement of the floor.

    :param file: the ready text that it reads.
    :param needs: the names of the tasks that must have ended.
    """

    name: str
    statement: str
    file: str | None = None
    needs: Sequence[str] = ()


@dataclass(frozen=True)
class FloorPlan:
    """The tasks of a database, and which of its rows each ready text holds, by its name."""

    tasks: Sequence[Task]
    texts: Mapping[str, TablePart]


def read_parts(server: PostgresServer, name: str, *, sessions: int = 2) -> list[TablePart]:
    """Return the parts of a database that are copied at once, the largest first."""
    with psycopg.connect(server.uri(name)) as connection:
        tables = connection.execute(_TABLES).fetchall()
    parts = [part for parts in _parts_of(tables, sessions).values() for part in parts]
    return sorted(parts, key=lambda part: -part.size_bytes)


def read_plan(server: PostgresServer, name: str, *, sessions: int = 2) -> FloorPlan:
    """Return what is to be done to have a database again."""
    with psycopg.connect(server.uri(name)) as connection:
        tables = connection.execute(_TABLES).fetchall()
        names = {oid: table for oid, table, _, _ in tables}
        indexes = connection.execute(_INDEXES, [list(names)]).fetchall()
        foreign_keys = connection.execute(_FOREIGN_KEYS, [list(names)]).fetchall()
    tasks: list[Task] = []
    texts: dict[str, TablePart] = {}
    of_table: dict[int, list[str]] = {}
    for oid, parts in _parts_of(tables, sessions).items():
        for number, part in enumerate(parts):
            task = Task(f"{part.table}.{number}", f"COPY {part.table} FROM STDIN", f"{len(texts)}")
            texts[task.file or ""] = part
            tasks.append(task)
            of_table.setdefault(oid, []).append(task.name)
    loads = {oid: tuple(names) for oid, names in of_table.items()}
    for oid, index, definition, _ in indexes:
        tasks.append(Task(index, definition, needs=loads[oid]))
        of_table[oid].append(index)
    for oid, index, _, constraint in indexes:
        if constraint is not None:
            text = (
                f"ALTER TABLE {names[oid]} ADD CONSTRAINT {index} {constraint} USING INDEX {index}"
            )
            task = Task(f"constraint {index}", text, needs=tuple(of_table[oid]))
            tasks.append(task)
            of_table[oid].append(task.name)
    for oid, referenced, key, definition in foreign_keys:
        text = f"ALTER TABLE {names[oid]} ADD CONSTRAINT {key} {definition}"
        needs = tuple(dict.fromkeys((*of_table[oid], *of_table[referenced])))
        task = Task(f"{names[oid]} {key}", text, needs=needs)
        tasks.append(task)
        of_table[oid].append(task.name)
        of_table[referenced].append(task.name)
    return FloorPlan(tasks, texts)


def _parts_of(
    tables: Iterable[tuple[int, str, int, int]], sessions: int
) -> dict[int, list[TablePart]]:
    """Return the parts of each table.

    A table is split if one session alone would be busy with it for longer than its share of all.
    """
    rows = list(tables)
    share_bytes = sum(size for *_, size in rows) / sessions
    parts = {}
    for oid, name, pages, size_bytes in rows:
        if size_bytes <= share_bytes or pages < sessions:
            parts[oid] = [TablePart(name, name, size_bytes)]
            continue
        ends = [pages * n // sessions for n in range(1, sessions)]
        conditions = [
            " AND ".join(
                [
                    *([f"ctid >= '({first},0)'"] if first else []),
                    *([f"ctid < '({end},0)'"] if end else []),
                ]
            )
            for first, end in zip([0, *ends], [*ends, 0], strict=True)
        ]
        parts[oid] = [
            TablePart(f"(SELECT * FROM {name} WHERE {condition})", name, size_bytes // sessions)
            for condition in conditions
        ]
    return parts


def share_out(parts: Sequence[TablePart], *, sessions: int = 2) -> list[list[TablePart]]:
    """Give each session about as many bytes: the largest part goes to whom has the least."""
    shares: list[list[TablePart]] = [[] for _ in range(sessions)]
    for part in sorted(parts, key=lambda part: -part.size_bytes):
        min(shares, key=lambda share: sum(one.size_bytes for one in share)).append(part)
    return [share for share in shares if share]


def urgencies(tasks: Sequence[Task], seconds: Mapping[str, float]) -> dict[str, float]:
    """Return for how long each task and what has to follow it keep one session after the other.

    Sessions that always take the task with the most waste little time at the end. To find the best
    order of all is too hard: https://en.wikipedia.org/wiki/List_scheduling.
    """
    after: dict[str, list[Task]] = {}
    for task in tasks:
        for need in task.needs:
            after.setdefault(need, []).append(task)
    found: dict[str, float] = {}
    for task in reversed(tasks):  # what needs a task stands behind it
        follow = (found[other.name] for other in after.get(task.name, ()))
        found[task.name] = seconds[task.name] + max(follow, default=0.0)
    return found

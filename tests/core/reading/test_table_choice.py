"""Which tables are read in ranges, and which are left to pg_dump."""

import pytest

from airflow_provider_pgclone.core.reading import table_choice
from airflow_provider_pgclone.core.reading.table_choice import worth_locking
from tests.support.fixtures.databases import MakeDatabase, Server


@pytest.mark.parametrize(
    ("threshold", "large", "locked"),
    [
        # Of 1, 2, 3, 4 and 5 pages.
        (1, 1, ["t1", "t2", "t3", "t4", "t5"]),
        (1, 4, ["t3", "t4", "t5"]),
        (1, 6, ["t3", "t4", "t5"]),
        (1, 7, ["t4", "t5"]),
        (1, 15, ["t5"]),
        (1, 16, []),
        (3, 3, ["t3", "t4", "t5"]),
        (3, 4, ["t4", "t5"]),  # the first two do not count
        (3, 13, []),
        (6, 1, []),
    ],
)
def test_the_smallest_tables_are_not_locked_as_far_as_they_are_not_large_together(
    threshold: int,
    large: int,
    locked: list[str],
    server: Server,
    make_database: MakeDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = 8192
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", threshold * page)
    monkeypatch.setattr(table_choice, "LARGE_BYTES", large * page)
    tables = (
        f"CREATE TABLE t{pages} (t text);"
        f"INSERT INTO t{pages} SELECT repeat('x', 1900) FROM generate_series(1, {4 * pages});"
        for pages in (3, 1, 5, 2, 4)
    )
    database = make_database("".join(tables))
    with server.session(database) as session:
        names = dict(
            session.execute("SELECT oid, relname FROM pg_class WHERE relname ~ '^t[1-5]$'")
        )
        assert sorted(names[oid] for oid in worth_locking(session, names)) == locked

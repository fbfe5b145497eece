"""How tables are divided among the statements that analyze them."""

import pytest

from airflow_provider_pgclone.core.loading.statistics import (
    _SMALL_BYTES,
    _TABLES_OF_STATEMENT,
    _groups,
    _Table,
)

LARGE = [_Table(("public", f"large{n}"), _SMALL_BYTES) for n in range(2)]
SMALL = [_Table(("public", f"small{n}"), _SMALL_BYTES - 1) for n in range(1000)]


@pytest.mark.parametrize("sessions", [1, 3])
def test_each_table_is_analyzed_once_and_large_ones_alone_and_first(sessions: int) -> None:
    groups = [*_groups([*SMALL[:500], *LARGE, *SMALL[500:]], sessions=sessions)]
    assert groups[:2] == [[table] for table in LARGE]
    assert [table for group in groups[2:] for table in group] == SMALL
    assert len(groups[2:]) < 10
    assert max(map(len, groups)) <= _TABLES_OF_STATEMENT


def test_all_sessions_get_small_tables() -> None:
    assert len([*_groups(SMALL[:20], sessions=4)]) >= 4
    assert [*_groups(SMALL[:1], sessions=4)] == [SMALL[:1]]
    assert [*_groups([], sessions=4)] == []

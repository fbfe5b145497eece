"""The pictures of what was measured; without matplotlib, which is in the group bench, skipped."""

import pytest

from bench.tables import AnyTable
from tests.bench.measured import DUMP, MEMORY

pytest.importorskip("matplotlib", reason="the dependency group bench is not installed")


@pytest.mark.parametrize("table", [DUMP, MEMORY])
def test_the_same_numbers_give_the_same_picture(table: AnyTable) -> None:
    from bench.charts import draw

    first = draw(table)
    assert draw(table) == first
    assert first.startswith("<?xml")
    assert first.endswith("</svg>\n")


@pytest.mark.parametrize("table", [DUMP, MEMORY])
def test_a_picture_tells_which_numbers_it_shows_and_no_date(table: AnyTable) -> None:
    from bench.charts import draw
    from bench.pages import digest

    picture = draw(table)
    assert digest(table) in picture
    assert "dc:date" not in picture

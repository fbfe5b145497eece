"""``python -m bench.pictures`` writes pictures and tables from what ``bench --save`` kept.

It reads ``docs/explanation/measured``, draws each table into ``docs/images``, and writes the
tables of ``docs/explanation/performance.md`` and ``README.md``. The prose around them stays.
"""

import sys
from pathlib import Path

from bench.pages import blocks, picture_name, read_tables, with_tables

REPOSITORY = Path(__file__).parents[1]
MEASURED = REPOSITORY / "docs" / "explanation" / "measured"
IMAGES = REPOSITORY / "docs" / "images"
# The pages, and how each links to the pictures.
PAGES = {
    REPOSITORY / "docs" / "explanation" / "performance.md": "../images",
    REPOSITORY / "README.md": "docs/images",
}


def main() -> None:
    tables = read_tables(MEASURED)
    if not tables:
        sys.exit(f"{MEASURED} has no tables: run python -m bench --save {MEASURED}")
    try:
        from bench.charts import draw
    except ImportError:
        sys.exit("matplotlib is missing: install the dependency group bench")
    placed = {name for page in PAGES for name in blocks(page.read_text())}
    if homeless := sorted(set(tables) - placed):
        sys.exit(f"no page has a place for {', '.join(homeless)}")
    for table in tables.values():
        (IMAGES / picture_name(table.name)).write_text(draw(table))
    for page, pictures in PAGES.items():
        page.write_text(with_tables(page.read_text(), tables, pictures))
    print(
        f"{len(tables)} tables; not measured: {', '.join(sorted(placed - set(tables))) or 'none'}"
    )


if __name__ == "__main__":
    main()

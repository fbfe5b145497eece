"""Writes the table of options into the reference."""

from pathlib import Path

from airflow_provider_pgclone.options.declared import options_table

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "options.md"
START, END = "<!-- options -->\n", "<!-- /options -->"


def main() -> None:
    before, _, rest = PAGE.read_text().partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{START}{options_table()}\n{END}{after}")


if __name__ == "__main__":
    main()

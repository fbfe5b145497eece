"""Writes the table of options into the README."""

from pathlib import Path

from airflow_provider_pgclone.options.declared import options_table

README = Path(__file__).parents[3] / "README.md"
START, END = "<!-- options -->\n", "<!-- /options -->"


def main() -> None:
    before, _, rest = README.read_text().partition(START)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{START}{options_table()}\n{END}{after}")


if __name__ == "__main__":
    main()

"""Writes what restores and copies keep into the documentation, from what a server shows.

``python -m tests.support.programs.write_kept`` renews the tables. A test of ``make test-matrix``
fails while they differ from what is found.
"""

import os
import tempfile
from pathlib import Path


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pgclone-kept-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        # Airflow reads this when it is first imported, which hooks do.
        os.environ["AIRFLOW_HOME"] = str(folder / "airflow")
        _write(folder)


def _write(folder: Path) -> None:
    from example_dags.services import postgres_server
    from tests.support.fixtures.databases import Server
    from tests.support.fixtures.kept import PAGE, connections, tables_of, with_tables

    (folder / "postgres").mkdir()
    with postgres_server(folder / "postgres") as started:
        server = Server(started)
        os.environ.update(connections(server))
        PAGE.write_text(with_tables(PAGE.read_text(), tables_of(server, str(folder / "dumps"))))


if __name__ == "__main__":
    main()

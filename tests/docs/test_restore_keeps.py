"""Whether the page of what a restore keeps tells what a server shows."""

from pathlib import Path

import pytest

from tests.support.fixtures.databases import Server
from tests.support.fixtures.kept import PAGE, connections, tables_of, with_tables
from tests.support.fixtures.kept_items import ALONE, IN_DATABASE, OF_DATABASE
from tests.support.services.postgres_versions import MATRIX

_FIRST_WITH_OWNED_PUBLIC = 150000
_AS_WRITTEN = "run `python -m tests.support.programs.write_kept`, and read what it has changed"


def test_the_page_has_a_line_for_each_thing_that_is_looked_at() -> None:
    cells = {line.split(" | ")[0] for line in PAGE.read_text().splitlines()}
    names = [item.name for item in (*IN_DATABASE, *ALONE, *OF_DATABASE)]
    assert not [name for name in names if f"| {name}" not in cells], _AS_WRITTEN


@pytest.mark.skipif(not MATRIX, reason="takes a minute: make test-matrix")
def test_the_page_tells_what_restores_and_copies_keep(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.connect("postgres") as session:
        if session.info.server_version < _FIRST_WITH_OWNED_PUBLIC:
            pytest.skip("the page tells of PostgreSQL 15 and newer")
    for name, value in connections(server).items():
        monkeypatch.setenv(name, value)
    tables = tables_of(server, str(tmp_path / "dumps"))
    page = PAGE.read_text()
    assert page == with_tables(page, tables), _AS_WRITTEN

"""Only rows count as rows of psql, and without their number they are not whole."""

from collections.abc import Generator
from io import BytesIO
from typing import cast

import pytest

from airflow_provider_pgclone.core.archive import RowCount
from airflow_provider_pgclone.core.catalog.rows import Table
from airflow_provider_pgclone.core.errors import ToolError
from airflow_provider_pgclone.core.postgres.processes import Child
from airflow_provider_pgclone.core.reading import table_choice
from airflow_provider_pgclone.core.reading.page_ranges import PageRange
from airflow_provider_pgclone.core.reading.psql import CopySession
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

NOTIFYING_SQL = """
CREATE TABLE a AS SELECT 'row' AS a FROM generate_series(1, 10);
CREATE FUNCTION notify() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE 'LISTEN x'; PERFORM pg_notify('x', 'a notification'); END $$;
CREATE EVENT TRIGGER notifying ON login EXECUTE FUNCTION notify();
ALTER EVENT TRIGGER notifying ENABLE ALWAYS
"""


@pytest.mark.parametrize("verb", ["dump", "copy"])
def test_a_notification_of_the_server_is_no_row(
    verb: str,
    server: Server,
    make_database: MakeDatabase,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with server.connect("postgres") as session:
        if session.info.server_version < 170000:
            pytest.skip("no triggers at a login")
    monkeypatch.setattr(table_choice, "THRESHOLD_BYTES", 0)
    source, target = make_database(NOTIFYING_SQL), make_database("")
    if verb == "copy":
        make_hook(source).copy(target=target, method="stream")
    else:
        make_hook(target).restore(make_hook(source).dump())
    assert server.rows(target, "SELECT DISTINCT a, count(*) FROM a GROUP BY a") == [("row", 10)]


class SaysNoNumber:
    """A psql that does not know the number of rows."""

    def __init__(self, rest: bytes | None) -> None:
        self.stdin = BytesIO()
        self._rest = rest

    def output_until(self, *_: object) -> Generator[bytearray, None, bytes | None]:
        yield bytearray(b"1\n")
        return self._rest

    def wait_for_success(self) -> None:
        pass


@pytest.mark.parametrize("rest", [None, b"", b":ROW_COUNT", b"-1"])
def test_rows_without_their_number_are_not_whole(rest: bytes | None) -> None:
    count = RowCount()
    session = CopySession(cast("Child", SaysNoNumber(rest)))
    pages = PageRange(Table("public", "users", 1, 8192, ("a",)), 0, None)
    with pytest.raises(ToolError, match=r"psql did not read the table public\.users to its end"):
        list(session.pieces(pages, count))
    assert count.rows == 0

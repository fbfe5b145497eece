"""A value whose text in a row would be larger than PostgreSQL allows for any value."""

import pytest

from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

# Each quote is two in the text of a row, which has at most 1,024 MB.
MEGABYTES = 560
LARGE_SQL = f"""
CREATE TABLE large (id int, quotes text);
INSERT INTO large VALUES (1, repeat('"', {MEGABYTES} * 1024 * 1024)), (2, NULL);
"""


@pytest.mark.long
def test_what_can_be_dumped_has_a_checksum(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(LARGE_SQL)
    hook = make_hook(source)
    key = hook.dump(checksums=True)
    make_hook("restored").restore(key, checksums=True)
    lengths = "SELECT length(quotes) FROM large ORDER BY id"
    assert server.rows("restored", lengths) == [(MEGABYTES * 1024 * 1024,), (None,)]

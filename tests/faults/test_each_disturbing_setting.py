"""Each setting of a target alone, which could disturb its load."""

import psycopg
import pytest

from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.settings import DISTURBED_SQL, DISTURBING


@pytest.mark.long
@pytest.mark.parametrize("name", DISTURBING)
def test_one_setting_of_the_target_does_not_disturb_its_load(
    name: str, server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    database = make_database(DISTURBED_SQL)
    hook = make_hook(database)
    key = hook.dump(checksums=True)
    before = fingerprint(server, database)
    try:
        server.run("postgres", f"ALTER DATABASE {database} SET {name} TO '{DISTURBING[name]}'")
    except psycopg.errors.UndefinedObject:
        pytest.skip("the server does not have this setting")
    hook.restore(key, checksums=True, jobs=2)
    server.run("postgres", f"ALTER DATABASE {database} RESET ALL")
    assert fingerprint(server, database) == before

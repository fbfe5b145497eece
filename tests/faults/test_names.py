"""Databases of every name that PostgreSQL allows: all verbs work on them."""

import pytest
from psycopg import sql

from airflow_provider_pgclone.core.errors import InvalidInputError
from tests.support.fixtures.databases import SHOP_SQL, Server
from tests.support.fixtures.fingerprint import fingerprint
from tests.support.fixtures.hooks import MakeHook

# Quotes, a conversion, an escape, a connection string and letters of two bytes.
NASTY = '-o\'d "d"\\n 100%s %(x)s {} a=b ü'
ODD = {
    "quotes": "a\"b'c\"\"d''",
    "spaces": "  two  spaces ",
    "letters": "Größe Ünï 数据库",
    "percent": "100% %s %d",
    "backslash": "back\\slash\\",
    "equals": "dbname=postgres",
    "uri": "postgresql://h/x?y=z",
    "options": "--version",
    "lines": "two\nlines\tand a tab",
    "pattern": "sh?p*.|x",
    "dollar": "$user ${HOME} `id`",
}


def create(server: Server, name: str) -> None:
    with server.connect("postgres") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    server.run(name, SHOP_SQL)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(NASTY, id="nasty"),
        *(pytest.param(name, id=kind, marks=pytest.mark.long) for kind, name in ODD.items()),
    ],
)
def test_every_verb_takes_any_name(name: str, server: Server, make_hook: MakeHook) -> None:
    create(server, name)
    whole = fingerprint(server, name)
    hook = make_hook(name)
    key = hook.dump()
    hook.copy(f":{name}_c")
    hook.copy(target=f"{name}_s", method="stream")
    server.run(name, "DELETE FROM orders")
    old = fingerprint(server, name)

    hook.restore(key, reversible=True, swap=False)
    assert hook.temp_database is not None
    assert hook.swap(hook.temp_database) == name
    for same in (name, f"{name}__post", f"{name}_c", f"{name}_s"):
        assert fingerprint(server, same) == whole
    assert f":{name}_s" in hook.ls(what="local")
    hook.restore(":pre")
    assert fingerprint(server, name) == old
    hook.restore(f":{name}_c")
    assert fingerprint(server, name) == whole
    hook.restore(key)
    assert fingerprint(server, name) == whole
    assert server.names() == {name, f"{name}_c", f"{name}_s"}


@pytest.mark.long
@pytest.mark.parametrize("name", ["x" * 63, "ü" * 31 + "x"])
def test_a_name_without_room_for_more_is_restored_and_swapped(
    name: str, server: Server, make_hook: MakeHook
) -> None:
    create(server, name)
    whole = fingerprint(server, name)
    hook = make_hook(name)
    key = hook.dump()
    server.run(name, "DELETE FROM orders")
    with pytest.raises(InvalidInputError, match=r"has 6[89] bytes"):
        hook.restore(key, reversible=True)
    hook.restore(key, swap=False)
    assert hook.temp_database is not None
    hook.swap(hook.temp_database)
    assert fingerprint(server, name) == whole
    hook.copy(":copy")
    hook.restore(":copy")
    make_hook("copy").copy(target=name, method="stream")
    assert fingerprint(server, name) == whole
    assert server.names() == {name, "copy"}

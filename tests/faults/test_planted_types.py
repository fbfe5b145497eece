"""Types, schemas and keys that SQL of users names or needs, and who could plant something there."""

from collections.abc import Iterator

import pytest

from airflow_provider_pgclone.core.errors import UnsupportedError
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

MINE = "CREATE TABLE public.mine AS SELECT n AS id, 'u' || n AS email FROM generate_series(1, 9) n;"


@pytest.fixture
def trusted(server: Server, make_database: MakeDatabase) -> Iterator[str]:
    """A database with a schema of a role that has members."""
    server.run(
        "postgres",
        "CREATE ROLE app_owner; CREATE ROLE alice IN ROLE app_owner; CREATE ROLE stranger",
    )
    yield make_database(
        f"{MINE} CREATE SCHEMA app AUTHORIZATION app_owner; CREATE FUNCTION app.hide(text) RETURNS "
        "text IMMUTABLE LANGUAGE sql AS $$ SELECT left($1, 1) $$"
    )
    for name in server.names():
        server.drop(name)
    server.run("postgres", "DROP ROLE alice, app_owner, stranger")


def test_members_of_a_trusted_role_may_create_by_it(
    trusted: str, server: Server, make_hook: MakeHook
) -> None:
    masks = {"public.mine": {"email": {"sql": "app.hide(email)"}}}
    hook, ours = make_hook(trusted), ["app_owner"]
    hook.dump(masks=masks, trusted_owners=ours)
    server.run(trusted, "GRANT CREATE ON SCHEMA app TO postgres, app_owner")
    hook.dump(masks=masks, trusted_owners=ours)
    with pytest.raises(UnsupportedError, match="in which app_owner may create"):
        hook.dump(masks=masks)
    server.run(trusted, "REVOKE CREATE ON SCHEMA app FROM app_owner")
    with pytest.raises(UnsupportedError, match="in which app_owner may create"):
        hook.dump(masks=masks)
    for grantee, named in (("alice", "alice"), ("stranger", "stranger"), ("PUBLIC", "alice")):
        server.run(trusted, f"GRANT CREATE ON SCHEMA app TO {grantee}")
        with pytest.raises(UnsupportedError, match=f"in which {named} may create"):
            hook.dump(masks=masks, trusted_owners=ours)
        server.run(trusted, f"REVOKE CREATE ON SCHEMA app FROM {grantee}")
    hook.dump(masks=masks, trusted_owners=ours)


def test_the_owner_of_the_database_creates_where_the_schema_is_theirs(
    trusted: str, server: Server, make_hook: MakeHook
) -> None:
    server.run(
        trusted,
        "ALTER SCHEMA app OWNER TO pg_database_owner; "
        "GRANT CREATE ON SCHEMA app TO pg_database_owner; "
        f"ALTER DATABASE {trusted} OWNER TO stranger",
    )
    masks = {"public.mine": {"email": {"sql": "app.hide(email)"}}}
    with pytest.raises(UnsupportedError, match="in which stranger may create"):
        make_hook(trusted).dump(masks=masks)
    make_hook(trusted).dump(masks=masks, trusted_owners=["stranger"])

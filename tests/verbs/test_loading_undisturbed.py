"""What a database does on its own, and must not do while it is loaded."""

from functools import partial

import pytest

from airflow_provider_pgclone.core.errors import MismatchError
from airflow_provider_pgclone.core.progress import Progress
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

AUDIT_SQL = """
CREATE TABLE audit (tag text);
CREATE TABLE audit_count (n int); INSERT INTO audit_count VALUES (0);
CREATE FUNCTION count_audit() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.audit_count VALUES (1); RETURN NEW; END';
CREATE TRIGGER count_audit AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION count_audit();
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.audit VALUES (tg_tag); END';
CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM generate_series(1, 10);
CREATE MATERIALIZED VIEW totals_again AS SELECT * FROM totals;
CREATE EVENT TRIGGER a_note ON ddl_command_end EXECUTE FUNCTION note();
COMMENT ON EVENT TRIGGER a_note IS 'of all that is done';
"""
LOGIN_SQL = "CREATE EVENT TRIGGER login_note ON login EXECUTE FUNCTION note()"
COUNTS = "SELECT (SELECT count(*) FROM audit), (SELECT count(*) FROM audit_count)"


@pytest.mark.parametrize("jobs", [1, 2])
def test_event_triggers_do_not_see_the_restore(
    jobs: int, server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(AUDIT_SQL)
    with server.connect(source) as session:
        has_login_triggers = session.info.server_version >= 170000
    hook = make_hook(source)
    key = hook.dump(checksums=True)
    hook.verify(key, level="restore", jobs=jobs)
    assert hook.ls(key)[0].finding == "restore"
    hook.restore(key, jobs=jobs)
    copied = hook.copy(target=f"{source}_copy", method="stream", jobs=jobs)
    for name in (source, copied):
        assert server.rows(name, COUNTS) == [(0, 1)]
        assert server.value(name, "SELECT count(*) FROM pg_event_trigger") == 1
    if has_login_triggers:
        server.run(source, LOGIN_SQL)
        hook.verify(hook.dump(), level="restore", jobs=jobs)


def spoil(server: Server, shop: str, spoiled: list[str], times: int, progress: Progress) -> None:
    """Delete a row of the drill once it is loaded, before it is compared."""
    for name in server.names() - {shop}:
        if progress.phase == "check" and name not in spoiled and len(spoiled) < times:
            server.run(name, "DELETE FROM orders WHERE id = 1")
            spoiled.append(name)


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_a_difference_must_be_found_twice_before_a_dump_is_noted_as_damaged(
    times: int, checksums: bool, server: Server, shop: str, make_hook: MakeHook
) -> None:
    key = make_hook(shop).dump(checksums=checksums)
    spoiled: list[str] = []
    hook = make_hook(shop, progress_callback=partial(spoil, server, shop, spoiled, times))
    if times == 1:
        hook.verify(key, level="restore")
    else:
        found = "1999 rows.*but 2000"
        with pytest.raises(MismatchError, match=f"the table public.orders .*{found}"):
            hook.verify(key, level="restore")
    assert len(spoiled) == times
    assert hook.ls(key)[0].finding == ("restore" if times == 1 else "damaged")

"""What is told while a verb works, above all when nothing seems to move."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_pgclone.core.loading.skeleton_blocks import SkeletonBlocks
from airflow_provider_pgclone.core.meter import ProgressMeter
from airflow_provider_pgclone.core.postgres import Database
from airflow_provider_pgclone.core.progress import Progress
from airflow_provider_pgclone.core.scheduling.unit import Unit
from airflow_provider_pgclone.core.watching import analyze_work, watching
from tests.support.fixtures.background import in_background
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

WAIT_SECONDS = 60
BUILDING, ANALYZING = 4711, 4712
# An index that waits in the middle of the table while the test holds a lock, as its ANALYZE does.
# Locks on numbers are of one database, but all see them.
HELD_SQL = f"""
CREATE TABLE users (id int PRIMARY KEY);
CREATE TABLE orders (n int PRIMARY KEY, user_id int REFERENCES users, note text);
INSERT INTO users SELECT generate_series(1, 10);
INSERT INTO orders SELECT n, 1 + n % 10, repeat('x', 200) FROM generate_series(1, 4000) n;
CREATE FUNCTION held(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF n = 2000 THEN
        WHILE EXISTS (
            SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid =
                CASE WHEN current_query() LIKE 'ANALYZE%' THEN {ANALYZING} ELSE {BUILDING} END
        ) LOOP
            PERFORM pg_sleep(0.01);
        END LOOP;
    END IF;
    RETURN n;
END $$;
CREATE INDEX held_idx ON orders (held(n));
"""


class Told:
    """A progress callback that keeps what it is told, and lets a test wait for something."""

    def __init__(self) -> None:
        self.all: list[Progress] = []
        self._changed = threading.Condition()

    def __call__(self, progress: Progress) -> None:
        with self._changed:
            self.all.append(progress)
            self._changed.notify_all()

    def wait_for(self, is_wanted: Callable[[Progress], bool], *, after: int = 0) -> Progress:
        """Return the first report that is wanted, once it comes."""

        def found() -> Progress | None:
            return next((one for one in self.all[after:] if is_wanted(one)), None)

        with self._changed:
            assert self._changed.wait_for(found, WAIT_SECONDS), [str(one) for one in self.all[-9:]]
            wanted = found()
        assert wanted is not None
        return wanted

    def phases(self) -> list[str]:
        """Return the phases in the order in which they came."""
        names = [one.phase for one in self.all]
        return [name for place, name in enumerate(names) if [name] != names[:place][-1:]]


@contextmanager
def holding(server: Server, key: int) -> Iterator[None]:
    """Hold back what waits for the lock on a number."""
    with server.connect("postgres") as session:
        session.execute(f"SELECT pg_advisory_lock({key})".encode())
        yield


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_restore_that_waits_tells_for_what(
    jobs: int, server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(HELD_SQL)
    told = Told()
    key = make_hook(source).dump()
    hook = make_hook(source, progress_callback=told, progress_seconds=0.1)
    with holding(server, ANALYZING):
        with holding(server, BUILDING):
            thread, raised = in_background(lambda: hook.restore(key, jobs=jobs))
            shown = told.wait_for(lambda one: "building index held_idx" in one.working_on)
            building = told.wait_for(lambda one: "held_idx on public.orders, " in one.working_on)
            seen = len(told.all)
            stalled = told.wait_for(lambda one: one.eta_seconds is None, after=seen)
            assert len(told.all) > seen  # it goes on to tell, although nothing moves
        analyzing = told.wait_for(lambda one: "analyzing public.orders" in one.working_on)
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()
    assert not raised
    assert building.phase == shown.phase == "indexes"
    share = re.search(r"held_idx on public.orders, (\d+)%", building.working_on)
    assert share is not None
    assert 0 < int(share.group(1)) < 100
    for one in (building, stalled, analyzing):
        assert one.share_done is not None
        assert 0 < one.share_done < 1
    # Several sessions analyze as soon as nothing else is left to do on the table.
    assert analyzing.phase == ("analyze" if jobs == 1 else "constraints")
    assert told.all[-1].phase == "done"
    assert told.all[-1].share_done == 1.0
    shares = [one.share_done or 0 for one in told.all]
    assert shares == sorted(shares)


def test_a_lock_that_another_session_holds_is_told(
    server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(HELD_SQL)
    told = Told()
    key = make_hook(source).dump()
    hook = make_hook(source, progress_callback=told, progress_seconds=0.1)
    with holding(server, BUILDING):
        thread, raised = in_background(lambda: hook.restore(key, jobs=1))
        told.wait_for(lambda one: "building index held_idx" in one.working_on)
        (temp,) = server.names() - {source}
        other = server.connect(temp)
        other.autocommit = False
        other.execute("LOCK TABLE users IN ROW EXCLUSIVE MODE")
    with other:
        waits = f"waiting for the lock that session {other.info.backend_pid} holds"
        found = told.wait_for(lambda one: waits in one.working_on)
    thread.join(WAIT_SECONDS)
    assert not raised
    assert found.phase == "constraints"
    assert "checking constraint orders_user_id_fkey on public.orders" in found.working_on


def test_the_phases_of_each_verb(
    server: Server, shop: str, make_hook: MakeHook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    told = Told()
    hook = make_hook(shop, progress_callback=told)
    key = hook.dump(checksums=True)
    assert told.phases() == ["snapshot", "data", "checksums", "finish", "done"]
    assert f"dumped {key}: 2 tables, 2,500 rows, " in caplog.text
    assert "\n  limited by  " in caplog.text
    told.all.clear()
    hook.restore(key, check_sql=["SELECT true"])
    assert [name for name in told.phases() if name not in ("indexes", "constraints")] == [
        *("load", "check", "analyze", "check", "swap", "done")
    ]
    told.all.clear()
    hook.copy(target=f"{shop}_copy", method="stream")
    assert [name for name in told.phases() if name not in ("indexes", "constraints")] == [
        *("snapshot", "load", "check", "analyze", "swap", "done")
    ]
    assert f"copied '{shop}' to '{shop}_copy': 2 tables, 2,500 rows, " in caplog.text
    assert re.search(r"\n  analyze +\d+\.\d s +\d+%\n", caplog.text)


def test_a_copy_expects_to_analyze_its_small_tables(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: dict[str, float] = {}
    expect = ProgressMeter.expect

    def noting(meter: ProgressMeter, phase: str, work: float) -> None:
        expected[phase] = expected.get(phase, 0.0) + work
        expect(meter, phase, work)

    monkeypatch.setattr(ProgressMeter, "expect", noting)
    make_hook(shop).copy(target=f"{shop}_copy", method="stream")
    query = "SELECT pg_relation_size('users') + pg_relation_size('orders')"
    assert expected["analyze"] == pytest.approx(analyze_work(server.value(shop, query)), rel=0.01)


def test_a_copy_tells_what_it_reads_ahead_of_pg_dump(
    server: Server, shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, texts = Told(), list[str]()
    read_ahead = SkeletonBlocks.read_ahead

    def slow(blocks: SkeletonBlocks, unit: Unit) -> bool:
        reports = told.all
        # Later than what seems to stand still is told.
        texts.append(told.wait_for(lambda _: True, after=len(reports) + 3).working_on)
        return read_ahead(blocks, unit)

    monkeypatch.setattr(SkeletonBlocks, "read_ahead", slow)
    hook = make_hook(shop, progress_callback=told, progress_seconds=0.2)
    hook.copy(target=f"{shop}_copy", method="stream", jobs=2)
    assert texts == ["reading public.orders"]


class CallbackError(Exception):
    """What a callback raises."""


@pytest.mark.parametrize("phase", ["load", "indexes", "swap"])
def test_a_callback_that_fails_ends_the_restore_and_leaves_the_target(
    phase: str, server: Server, make_database: MakeDatabase, make_hook: MakeHook
) -> None:
    source = make_database(HELD_SQL)
    key = make_hook(source).dump()
    server.run(source, "CREATE TABLE mine ()")

    def fail(progress: Progress) -> None:
        if progress.phase == phase:
            raise CallbackError

    hook = make_hook(source, progress_callback=fail, progress_seconds=0.1)
    with holding(server, BUILDING if phase == "indexes" else 0), pytest.raises(CallbackError):
        hook.restore(key)
    assert server.names() == {source}
    assert server.value(source, "SELECT to_regclass('mine') IS NOT NULL")


def test_a_callback_that_fails_when_all_is_done_does_not_undo_it(
    shop: str, make_hook: MakeHook, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(progress: Progress) -> None:
        if progress.phase == "done":
            raise CallbackError

    hook = make_hook(shop, progress_callback=fail)
    assert hook.ls(hook.dump())
    assert "the progress callback failed when all was done: CallbackError()" in caplog.text


def test_a_server_that_refuses_to_be_watched_does_not_disturb(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    nowhere = Database("none", {"host": "127.0.0.1", "port": "1", "connect_timeout": "2"})
    refused = threading.Event()
    meter = ProgressMeter(lambda _: None, interval_seconds=0.01)
    with caplog.at_level("INFO"), watching(meter, nowhere):
        while not refused.wait(0.01):
            if "the server does not tell how far it is" in caplog.text:
                refused.set()
    assert not [one for one in threading.enumerate() if one.name == "watch"]

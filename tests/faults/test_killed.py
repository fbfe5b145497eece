"""A process that is killed at any moment leaves the old database or the new one, and no half dump.

Each call runs in a process of its own, which `kill -9` ends at random moments of its time; then the
next attempt of the same maker has to succeed, and to remove all that the first one left.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.fingerprint import Fingerprint, fingerprint
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.processes import HookCall, StartCall
from tests.support.fixtures.servers import BUCKET

# Longer than any wait for a lock that a dead process may still hold for seconds.
WAIT_SECONDS = 30.0
# Enough to be read in ranges and uploaded in parts; where little time is given, less.
MANY_ROWS, SOME_ROWS = 18_000, 2_000
SQL = """
CREATE EXTENSION pgcrypto;
CREATE TABLE noise AS
    SELECT n, gen_random_bytes(1024) AS noise FROM generate_series(1, {rows}) n;
ALTER TABLE noise ADD PRIMARY KEY (n);
CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE);
INSERT INTO users SELECT n, 'user' || n || '@example.org' FROM generate_series(1, 5000) n;
CREATE TABLE orders (user_id int REFERENCES users, total int);
INSERT INTO orders SELECT 1 + n % 5000, n % 97 FROM generate_series(1, 20000) n;
CREATE MATERIALIZED VIEW totals AS SELECT user_id, sum(total) FROM orders GROUP BY 1;
CREATE TABLE marks (n int);
SELECT lo_from_bytea(0, 'large');
"""
kills = pytest.mark.parametrize(
    "kills", [pytest.param(3, id="some"), pytest.param(20, id="many", marks=pytest.mark.long)]
)
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def shop(kills: int, make_database: MakeDatabase) -> str:
    return make_database(SQL.format(rows=MANY_ROWS if kills > 3 else SOME_ROWS))


def moments(call: Callable[[], HookCall], count: int) -> Iterator[float]:
    """Yield moments all over the time that an undisturbed call takes, in any order."""
    undisturbed = call()
    undisturbed.result()
    seconds = undisturbed.seconds
    chance = random.Random(count)
    shares = [(number + chance.random()) / count for number in range(count)]
    chance.shuffle(shares)
    for share in shares:
        yield share * seconds


@kills
def test_a_killed_dump_is_not_listed_and_the_next_one_succeeds(
    kills: int,
    server: Server,
    shop: str,
    make_hook: MakeHook,
    start_call: StartCall,
    s3_connection: str,
) -> None:
    storage = {"storage_location": f"s3://{BUCKET}/{shop}/", "storage_conn_id": s3_connection}
    hook = make_hook(shop, **storage)
    before = fingerprint(server, shop)
    whole: set[str] = set()

    for moment in moments(lambda: start_call("dump", shop, hook=storage), kills):
        call = start_call("dump", shop, hook=storage)
        call.ends_within(moment)
        call.kill()
        for key in {dump.key for dump in hook.ls()} - whole:
            whole.add(hook.verify(key))

    key = hook.dump()
    make_hook(f"{shop}_copy", **storage).restore(key)
    assert fingerprint(server, f"{shop}_copy") == fingerprint(server, shop) == before


@kills
def test_a_killed_restore_leaves_the_old_database_or_the_new_one(
    kills: int, server: Server, shop: str, make_hook: MakeHook, start_call: StartCall
) -> None:
    hook = make_hook(shop)
    key, new = hook.dump(), fingerprint(server, shop)

    def start(reversible: bool, run: int) -> HookCall:
        attempt: dict[str, Any] = {"reversible": reversible, "maker": "dag/task", "run": str(run)}
        return start_call("restore", shop, key=key, wait_seconds=WAIT_SECONDS, **attempt)

    for run, moment in enumerate(moments(lambda: start(True, -1), kills)):
        reversible = run % 3 != 2
        old = make_old(server, shop, run)
        call = start(reversible, run)
        call.ends_within(moment)
        call.kill()
        assert fingerprint(server, shop) in (old, new), f"killed after {moment:.3f} s"
        start(reversible, run).result()
        assert_restored(server, shop, old=old, new=new, reversible=reversible)


@kills
def test_a_killed_swap_leaves_the_old_database_or_the_new_one(
    kills: int, server: Server, shop: str, make_hook: MakeHook, start_call: StartCall
) -> None:
    hook = make_hook(shop)
    key, new = hook.dump(), fingerprint(server, shop)

    def restore(run: int, *, swap: bool) -> None:
        hook.restore(
            key,
            reversible=True,
            swap=swap,
            wait_seconds=WAIT_SECONDS,
            maker="dag/task",
            run=str(run),
        )

    def leave_ready(run: int) -> str:
        restore(run, swap=False)
        assert hook.temp_database is not None
        return hook.temp_database

    def start(temp: str) -> HookCall:
        return start_call("swap", shop, temp_database=temp)

    for run, moment in enumerate(moments(lambda: start(leave_ready(-1)), kills)):
        old = make_old(server, shop, run)
        temp = leave_ready(run)
        call = start(temp)
        call.ends_within(moment)
        call.kill()
        found = fingerprint(server, shop)
        assert found in (old, new), f"killed after {moment:.3f} s"
        # If it was swapped in before it could say so, another try succeeds too.
        assert hook.swap(temp, wait_seconds=WAIT_SECONDS) == shop
        restore(run, swap=True)
        assert_restored(server, shop, old=old, new=new, reversible=True)


def make_old(server: Server, database: str, number: int) -> Fingerprint:
    """Give a database a content of its own, and return its fingerprint."""
    server.run(database, f"INSERT INTO marks VALUES ({number}); DELETE FROM orders WHERE total = 7")
    return fingerprint(server, database)


def assert_restored(
    server: Server, shop: str, *, old: Fingerprint, new: Fingerprint, reversible: bool
) -> None:
    """The new database is in place, what was before it is kept where asked, and nothing else."""
    assert fingerprint(server, shop) == new
    kept = {f"{shop}__pre", f"{shop}__post"} if reversible else set()
    assert server.names() == {shop, *kept}
    if reversible:
        assert fingerprint(server, f"{shop}__pre") == old
        assert fingerprint(server, f"{shop}__post") == new

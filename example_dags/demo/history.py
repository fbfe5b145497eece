"""A week of dumps of a shop that grows, as a nightly DAG would have left them."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from example_dags.demo import shop
from example_dags.services import PostgresServer

DAYS = 7
# By day: how many users and orders are new.
_NEW_ROWS = ((0, 0), (90, 2600), (70, 1900), (120, 4100), (60, 1500), (150, 5200), (110, 3700))
_GROW = """
INSERT INTO users
    SELECT n, 'Ada Lovelace ' || n, 'ada.lovelace' || n || '@mail.example.com'
    FROM generate_series({first}, {last}) n;
INSERT INTO orders (user_id, total)
    SELECT 1 + n % {last}, n % 97 FROM generate_series(1, {orders}) n;
"""
_INSTANCE = "prod_masked"
_AT_NIGHT = timedelta(hours=2)


def make_history(server: PostgresServer, dumps: Path, now: datetime) -> None:
    """Let the shop grow for a week, with a masked dump every night.

    One of them is damaged, and most of the others are verified. Two more were made by day, one of
    them partial and one not masked.

    :param dumps: the storage location of Airflow's connections, a folder.
    """
    from airflow_provider_pgclone.core.errors import ArchiveError
    from airflow_provider_pgclone.hooks import PgCloneHook
    from example_dags.nightly_masked_dump import dag

    hook = PgCloneHook("prod")
    task = dag.get_task("dump")
    masked = {name: getattr(task, name) for name in ("masks", "keep", "policy", "mask_key_conn_id")}
    tonight = datetime.combine(now.date(), datetime.min.time(), UTC) + _AT_NIGHT

    def at(day: int, dump: Callable[[], str], hour: int = 0) -> str:
        return _moved(dumps, dump(), tonight - timedelta(days=DAYS - day, hours=-hour))

    for day, (users, orders) in enumerate(_NEW_ROWS):
        if users:
            last = int(str(shop.count(server, shop.PRODUCTION)["users"]))
            rows = _GROW.format(first=last + 1, last=last + users, orders=orders)
            shop.run(server, shop.PRODUCTION, rows)
        key = at(day, lambda: hook.dump(instance=_INSTANCE, **masked))
        if day == 2:
            _damage(dumps / key)
            with suppress(ArchiveError):
                hook.verify(key)
        elif day < DAYS - 1:
            hook.verify(key, level="restore" if day == DAYS - 2 else "archive")
    at(3, lambda: hook.dump(instance=_INSTANCE, exclude=["public.orders"], **masked), hour=9)
    at(4, lambda: hook.dump(), hour=1)


def _moved(dumps: Path, key: str, created_at: datetime) -> str:
    """Give a dump the key of another time, and return that."""
    from airflow_provider_pgclone.core.repository import DumpKey

    old = DumpKey.parse(key)
    new = DumpKey.new(
        instance=old.instance, database=old.database, config=old.config, created_at=created_at
    )
    (dumps / key).rename(dumps / str(new))
    return str(new)


def _damage(path: Path) -> None:
    """Flip a bit in the middle of a file."""
    with path.open("r+b") as file:
        middle = path.stat().st_size // 2
        file.seek(middle)
        (byte,) = file.read(1)
        file.seek(middle)
        file.write(bytes([byte ^ 1]))

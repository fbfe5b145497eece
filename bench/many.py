"""How long a database of many small tables takes.

Run it with a ``TMPDIR`` in memory, such as ``/dev/shm``. The database is dropped before each row,
and ext4 does not use the inodes of deleted files again for a while, and looks long for others:
``recently_deleted()`` in ialloc.c. Who makes files next would pay for it.
"""

from functools import partial

import psycopg

from bench.commands import and_analyze, ours, shell
from bench.measure import Command
from bench.restore import TARGET
from bench.stage import Stage

NAME = "many"
TABLES = 10_000
AT_ONCE = 500
_TABLE = (
    "CREATE TABLE t{n} (id int PRIMARY KEY, text text);"
    "INSERT INTO t{n} SELECT i, md5(i::text) FROM generate_series(1, 20) i;"
)


def compare_many_tables(stage: Stage) -> None:
    _fill(stage)
    environment = stage.environment(name=NAME)
    command = partial(Command, environment=environment, prepare=stage.settle)
    archive = stage.folder / "many.dump"
    dumps = [
        command("this package, 2 jobs, to S3", ours("dump", 2)),
        command("this package's start-up alone, as in the row above", ours("start")),
        command("pg_dump -Fc to disk", shell(f"pg_dump -Fc > {archive}")),
    ]
    title = f"Dump of {TABLES:,} tables"
    stage.compare("many-dump", title, dumps, verb="many", database=NAME)
    by_us = partial(Command, environment=environment, prepare=partial(stage.drop, TARGET))
    command = partial(by_us, prepare=partial(stage.make_empty, TARGET))
    restores = [
        by_us("this package, 2 jobs, from S3", ours("restore", TARGET, 2)),
        and_analyze(
            command(
                "pg_restore -j2 from disk",
                shell(f"pg_restore --exit-on-error --dbname={TARGET} --jobs=2 {archive}"),
            ),
            TARGET,
        ),
        by_us("this package, 2 jobs, copy by stream", ours("copy", TARGET, 2)),
    ]
    title = f"Restore of {TABLES:,} tables"
    stage.compare("many-restore", title, restores, verb="many", database=NAME)


def _fill(stage: Stage) -> None:
    stage.make_empty(NAME)
    with psycopg.connect(stage.server.uri(NAME), autocommit=True) as connection:
        for start in range(0, TABLES, AT_ONCE):
            numbers = range(start, start + AT_ONCE)
            connection.execute("".join(_TABLE.format(n=n) for n in numbers).encode())
        connection.execute("VACUUM ANALYZE")

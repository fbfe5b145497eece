"""The archives that restores read: each a dump of the same database."""

from bench import databases
from bench.commands import ours, shell, upload
from bench.measure import Command, run
from bench.stage import Stage

# As pg_dump compresses where it is not told otherwise, which is what django-pgclone does.
STOCK = "stock.dump"


def store_archives(stage: Stage, *, name: str = databases.NAME) -> None:
    """Dump a database by this package and by pg_dump."""
    environment = stage.environment(name=name)
    for argv in (ours("dump", 2), shell(f"pg_dump -Fc | {upload(STOCK)}")):
        run(Command("the archives of the restores", argv, environment), {})

"""Emulates a table of some terabytes: it is read in as many parts, each of a few rows."""

import math
import os

import psycopg

from airflow_provider_pgclone.core.catalog import Table
from airflow_provider_pgclone.core.reading import page_ranges

EMULATED = "page_ranges.PART_BYTES is changed in the process of the dump"
# Of the package, before anything is emulated.
PART_BYTES = page_ranges.PART_BYTES


def emulate(terabytes: float) -> Table:
    """Change the size of a part in this process, since the package has no option for it."""
    with psycopg.connect(dbname=os.environ["PGDATABASE"]) as connection:
        row = connection.execute(
            "SELECT relname, relpages, pg_relation_size(oid) FROM pg_class "
            "WHERE relkind = 'r' AND oid > 16384"
        ).fetchone()
    assert row is not None
    name, pages, size_bytes = row
    if terabytes:
        page_ranges.PART_BYTES = -(-size_bytes // parts_of(terabytes))
    return Table("public", name, pages, size_bytes, (), None)


def parts_of(terabytes: float) -> int:
    """Return how many parts the package makes of a table of a size."""
    return math.ceil(terabytes * 1e12 / PART_BYTES)

"""Tells how large the indexes of the source are, by which a restore guesses their work."""

from airflow_provider_pgclone.core.archive import Toc
from airflow_provider_pgclone.core.reading.snapshot import Snapshot

# The pages as of the last VACUUM, ANALYZE or CREATE INDEX. pg_relation_size() would tell those of
# now, but it waits for a REINDEX. pg_dump knows the index of a constraint by the constraint:
# dumpConstraint() in pg_dump.c.
_INDEXES = """
SELECT coalesce(con.oid, c.oid)::text, relpages::bigint * current_setting('block_size')::bigint
FROM pg_class c
LEFT JOIN pg_constraint con ON conindid = c.oid AND contype IN ('p', 'u', 'x')
WHERE relkind = 'i' AND relpages > 0
"""


def index_sizes(snapshot: Snapshot, toc: Toc) -> dict[int, int]:
    """Return the size in bytes of each index in a table of contents, by the id of its entry.

    An index of which the server does not know the size is left out.
    """
    bytes_of: dict[str, int] = dict(snapshot.session.execute(_INDEXES).fetchall())
    return {
        entry.dump_id: bytes_of[entry.object_oid]
        for entry in toc.entries
        if entry.description in ("INDEX", "CONSTRAINT") and entry.object_oid in bytes_of
    }

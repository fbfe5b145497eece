"""The names of ways that stand in more than one place: in the comparisons and on the first page."""

OURS = "this package"
FLOOR = "floor"
ANALYZED = "vacuumdb --analyze-only -j2"

OURS_2_JOBS = f"{OURS}, 2 jobs"
OURS_BY_STREAM = f"{OURS} by stream, 2 jobs"
DUMP_ZSTD = "pg_dump -Fc --compress=zstd:1, aws s3 cp"
DUMP_DJANGO = "django-pgclone's pg_dump -Fc, aws s3 cp"
RESTORE_BY_DISK = "aws s3 cp to disk, pg_restore -j2"
RESTORE_DJANGO = "django-pgclone's aws s3 cp, pg_restore"
COPY_PIPE = "pg_dump -Fc, pg_restore"
COPY_PIPE_UNCOMPRESSED = "pg_dump -Fc --compress=0, pg_restore"
DUMP_FLOOR = f"{FLOOR}: the same COPYs to /dev/null, two at once"
RESTORE_FLOOR = f"{FLOOR}: COPY of ready text and the indexes, two at once"


def analyzed(way: str) -> str:
    """Return the name of a way that is followed by statistics."""
    return f"{way}, {ANALYZED}"

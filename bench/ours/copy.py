"""``python -m bench.ours.copy <target> <jobs>``"""

import os
import sys

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.copy import StreamCopyOptions, copy_by_stream
from airflow_provider_pgclone.core.executing import LoadOptions
from bench.ours import servers
from bench.ours.telling import telling_peak


def main(target: str, jobs: str) -> None:
    """Copy the database by stream."""
    copy_by_stream(
        servers.database(os.environ["PGDATABASE"]),
        servers.database(target),
        servers.database("postgres"),
        StreamCopyOptions(load=LoadOptions(jobs=int(jobs), pg_bin_dir=os.environ["PG_BIN_DIR"])),
        on_progress=print,
        cancellation=Cancellation(),
    )


if __name__ == "__main__":
    telling_peak(main, sys.argv[1:])

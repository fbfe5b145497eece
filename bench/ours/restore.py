"""``python -m bench.ours.restore <target> <jobs> [<seconds between two reports>]``"""

import os
import sys

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.executing import LoadOptions
from airflow_provider_pgclone.core.meter import REPORT_SECONDS
from airflow_provider_pgclone.core.progress import Progress
from airflow_provider_pgclone.core.restore import RestoreOptions, restore
from bench.ours import servers
from bench.ours.telling import seconds_since_start, tell, telling_peak

# In seconds, from the start of the process.
FIRST_ROWS = "seconds until the first rows"


def main(target: str, jobs: str, report_seconds: str = f"{REPORT_SECONDS}") -> None:
    """Restore the newest dump of the database.

    :param report_seconds: how often it is looked for the first rows.
    """
    first_rows: list[float] = []

    def note(progress: Progress) -> None:
        if progress.rows_done and not first_rows:
            first_rows.append(seconds_since_start())

    restore(
        servers.database(target),
        servers.database("postgres"),
        servers.storage,
        RestoreOptions(
            key=f"bench/{os.environ['PGDATABASE']}",
            load=LoadOptions(jobs=int(jobs), pg_bin_dir=os.environ["PG_BIN_DIR"]),
        ),
        on_progress=note,
        cancellation=Cancellation(),
        report_seconds=float(report_seconds),
    )
    for seconds in first_rows:
        tell(FIRST_ROWS, seconds)


if __name__ == "__main__":
    telling_peak(main, sys.argv[1:])

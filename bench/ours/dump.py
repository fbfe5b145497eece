"""``python -m bench.ours.dump <jobs> [<location>]``"""

import os
import sys
from datetime import UTC, datetime

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.dump import DumpOptions, dump
from airflow_provider_pgclone.core.masking.planning import Masking
from airflow_provider_pgclone.core.repository import DumpKey
from bench.ours import servers
from bench.ours.telling import telling_peak


def main(
    jobs: str,
    location: str = servers.S3_LOCATION,
    masking: Masking = Masking(),  # noqa: B008
) -> None:
    """Dump the database."""
    name = os.environ["PGDATABASE"]
    dump(
        servers.database(name),
        servers.storage(location),
        DumpKey.new(instance="bench", database=name, config="none", created_at=datetime.now(UTC)),
        DumpOptions(masking=masking, jobs=int(jobs), pg_bin_dir=os.environ["PG_BIN_DIR"]),
        on_progress=print,
        cancellation=Cancellation(),
    )


if __name__ == "__main__":
    telling_peak(main, sys.argv[1:])

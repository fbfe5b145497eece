"""``python -m bench.ours.large_describe <terabytes> <jobs>``"""

import os
import sys

from airflow_provider_pgclone.core.reading import add_ranges
from airflow_provider_pgclone.core.repository import find_dump, open_archive
from bench.ours import servers
from bench.ours.large import emulate
from bench.ours.telling import tell

KEY, PARTS, ENTRIES, TOC_BYTES = "key", "parts", "entries", "bytes of the table of contents"


def main(terabytes: str, jobs: str) -> None:
    """Tell what the newest dump of the only table consists of.

    :param terabytes: by which it was dumped; 0 if it was dumped as it is.
    :param jobs: by how many it was dumped.
    """
    table = emulate(float(terabytes))
    storage = servers.storage()
    dumped = find_dump(storage, f"bench/{os.environ['PGDATABASE']}")
    archive = open_archive(storage, dumped)
    _, ranges = add_ranges(archive.toc, [table], workers=int(jobs))
    tell(KEY, dumped.key)
    tell(PARTS, sum(len(one.parts()) for one in ranges))
    tell(ENTRIES, len(archive.toc.entries))
    tell(TOC_BYTES, archive.required_manifest.toc_bytes)


if __name__ == "__main__":
    main(*sys.argv[1:])

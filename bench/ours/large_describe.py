"""``python -m bench.ours.large_describe <terabytes>``"""

import os
import sys

from airflow_provider_pgclone.core.reading import page_ranges
from airflow_provider_pgclone.core.repository import find_dump, open_archive
from bench.ours import servers
from bench.ours.large import emulate
from bench.ours.telling import tell

KEY, PARTS, ENTRIES, TOC_BYTES = "key", "parts", "entries", "bytes of the table of contents"


def main(terabytes: str) -> None:
    """Tell what the newest dump of the only table consists of.

    :param terabytes: by which it was dumped; 0 if it was dumped as it is.
    """
    table = emulate(float(terabytes))
    storage = servers.storage()
    dumped = find_dump(storage, f"bench/{os.environ['PGDATABASE']}")
    archive = open_archive(storage, dumped)
    ranges = page_ranges.split(table)
    entry, size_bytes = archive.toc.entries[0], table.size_bytes // len(ranges)
    part_bytes = page_ranges.PART_BYTES
    entries = (page_ranges.RangeEntry(entry, pages, size_bytes, part_bytes) for pages in ranges)
    tell(KEY, dumped.key)
    tell(PARTS, sum(len(one.parts()) for one in entries))
    tell(ENTRIES, len(archive.toc.entries))
    tell(TOC_BYTES, archive.required_manifest.toc_bytes)


if __name__ == "__main__":
    main(*sys.argv[1:])

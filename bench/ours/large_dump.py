"""``python -m bench.ours.large_dump <terabytes> <jobs>``"""

import sys

from bench.ours import dump
from bench.ours.large import emulate
from bench.ours.telling import telling_peak


def main(terabytes: str, jobs: str) -> None:
    """Dump the only table in as many parts as a table of so many terabytes would have."""
    emulate(float(terabytes))
    dump.main(jobs)


if __name__ == "__main__":
    telling_peak(main, sys.argv[1:])

"""Prints where the programs of a version of PostgreSQL are, installed where they are missing."""

import sys

from tests.support.services.postgres_versions import bin_dir_of

if __name__ == "__main__":
    print(bin_dir_of(int(sys.argv[1])))

"""``python -m bench.ours.dump_masked <jobs> [without_phone]``"""

import sys

from airflow_provider_pgclone.core.masking.planning import Masking
from airflow_provider_pgclone.core.masking.rules import read_masks
from bench.masking import MASKS, WITHOUT_PHONE
from bench.ours import dump
from bench.ours.telling import telling_peak


def main(jobs: str, variant: str = "") -> None:
    """Dump the database with five columns masked."""
    masks = read_masks(WITHOUT_PHONE if variant else MASKS)
    dump.main(jobs, masking=Masking(masks=masks, key="a key of the benchmark alone"))


if __name__ == "__main__":
    telling_peak(main, sys.argv[1:])

"""Changes the code in small ways, and fails when the tests of a package do not notice.

``python -m tests.mutation archive reading`` tries all mutants of two packages, and
``--sample 40 --seed 1`` some of each. Without a number it tries the same sample of a large package
each time, and ``--sample all`` all of it. The mutants that may survive are in ``survivors.yaml``,
each with the reason. The programs and what they have said stay in ``.mutation``.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import yaml

from tests.mutation.mutants import Mutant, Outcome, try_mutants
from tests.mutation.packages import PACKAGES

SURVIVORS = Path(__file__).with_name("survivors.yaml")
MOST_SURVIVING = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("packages", nargs="*", metavar="package", help=", ".join(PACKAGES))
    parser.add_argument("--sample", help="how many mutants of each, at random, or all")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.packages if name not in PACKAGES]:
        parser.error(f"unknown package {unknown[0]!r}; the packages are {', '.join(PACKAGES)}")
    if not re.fullmatch(r"all|[1-9][0-9]*|", arguments.sample or ""):
        parser.error(f"--sample is {arguments.sample!r}; it is a number above 0, or all")
    named = named_survivors()
    failed = False
    for name in arguments.packages or [key for key, one in PACKAGES.items() if not one.has_server]:
        package = PACKAGES[name]
        sample = package.sample
        if arguments.sample:
            sample = None if arguments.sample == "all" else int(arguments.sample)
        started = time.monotonic()
        outcome = try_mutants(name, package, sample, arguments.seed)
        minutes = (time.monotonic() - started) / 60
        survived = len(outcome.survivors)
        print(
            f"{name}: {outcome.tried} of {outcome.made} mutants, {outcome.tried - survived} killed,"
            f" {survived} survived ({survived / outcome.tried:.1%}), {minutes:.1f} minutes"
            f"{'' if outcome.tried == outcome.made else '; SAMPLE=all tries all of them'}",
            flush=True,
        )
        complaints = complaints_about(outcome, named)
        print("".join(f"  {complaint}\n" for complaint in complaints), end="", flush=True)
        failed = failed or bool(complaints)
    return int(failed)


def named_survivors() -> set[Mutant]:
    """Return the mutants that may survive."""
    found: set[Mutant] = set()
    for group in yaml.safe_load(SURVIVORS.read_text()) or ():
        if not group["why"].strip():
            raise ValueError(f"{SURVIVORS} has mutants without a reason")
        found |= {
            Mutant(*map(str, (one["in"], one["was"], one["becomes"]))) for one in group["mutants"]
        }
    return found


def complaints_about(outcome: Outcome, named: set[Mutant]) -> list[str]:
    """Return why the mutants of a package do not pass."""
    complaints = [
        f"not noticed: {one.where}\n    - {one.was}\n    + {one.becomes}"
        for one in sorted(set(outcome.survivors) - named)
    ]
    if len(outcome.survivors) > MOST_SURVIVING * outcome.tried:
        complaints.append(f"more than {MOST_SURVIVING:.0%} of the mutants survived")
    if outcome.tried == outcome.made:
        complaints += [
            f"{SURVIVORS.name} names a mutant that is noticed, or is no longer made: {one}"
            for one in sorted(named - set(outcome.survivors))
            if one.where.split()[0] in outcome.files
        ]
    return complaints


if __name__ == "__main__":
    sys.exit(main())

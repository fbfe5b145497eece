"""``python -m example_dags.demo run`` or ``ui``, from the root of the repository."""

import argparse
import signal
import sys

from example_dags.demo.folders import empty_or_kept_folder, kept_ui_folder, new_run_folder
from example_dags.demo.run import run
from example_dags.demo.ui import ui

COMMANDS = {"run": (run, new_run_folder), "ui": (ui, kept_ui_folder)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m example_dags.demo", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "--folder",
        type=empty_or_kept_folder,
        help="an empty folder for all files, or that of an earlier ui (default: in .demo)",
    )
    arguments = parser.parse_args()
    command, default_folder = COMMANDS[arguments.command]
    # The servers are stopped where the blocks that started them end.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        command(arguments.folder or default_folder())
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

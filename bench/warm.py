"""``python -m bench.warm <module> <argument>...`` runs a verb whose modules are imported already.

As :mod:`bench.measured`, it prints as JSON what that took: the verb itself, which runs in a fork.
"""

import importlib
import os
import sys
import time
import traceback

from bench.measured import report

# What the verb imports only once it opens its storage.
_STORAGE = ("boto3.session", "airflow_provider_pgclone.core.storage.s3")


def main() -> None:
    name, *arguments = sys.argv[1:]
    verb = importlib.import_module(name).main
    for module in _STORAGE:
        importlib.import_module(module)
    started = time.monotonic()
    pid = os.fork()
    if pid:
        report(pid, started)
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    try:
        verb(*arguments)
    except BaseException:  # noqa: BLE001  # a fork must not go on as its parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()

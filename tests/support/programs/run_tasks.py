"""Runs one operator after another as tasks of Airflow, and prints how each of them ended.

Started by a test with the scenarios as JSON: a list of an operator's name and its arguments.
"""

import json
import os
import sys
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_pgclone import operators
from tests.support.fixtures.airflow import serialized


def run(operator: str, arguments: dict[str, Any]) -> str:
    """Run an operator as the only task of a DAG, and return the state of the task."""
    timeout = arguments.pop("execution_timeout_seconds", None)
    if timeout is not None:
        arguments["execution_timeout"] = timedelta(seconds=timeout)
    with DAG(f"killed_{os.urandom(4).hex()}", schedule=None) as dag:
        getattr(operators, operator)(task_id="task", **arguments)
    (instance,) = serialized(dag).test().get_task_instances()
    return str(instance.state)


def main() -> None:
    for operator, arguments in json.loads(sys.argv[1]):
        print(f"STATE {run(operator, arguments)}", flush=True)
        sys.stdin.readline()  # the test looks around before the next one starts


if __name__ == "__main__":
    main()

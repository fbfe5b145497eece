"""Commands: ``airflow pgclone ...``, and ``python -m airflow_provider_pgclone ...`` before 3.2."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.options import BY_NAME, SelectionArguments, options_in

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

_GROUP = "pgclone"
_GROUP_HELP = "Clone PostgreSQL databases"
# Airflow's own commands set it, so that connections are read from the metadata database.
_PROCESS_CONTEXT = "_AIRFLOW_PROCESS_CONTEXT"


@dataclass(frozen=True)
class Argument:
    """An argument of a command, as argparse takes it."""

    flag: str
    options: dict[str, Any] = field(default_factory=dict)


def _list_of(metavar: str, name: str) -> Argument:
    """Return an argument for an option that is a list.

    :param metavar: what the list consists of.
    """
    text = f"{BY_NAME[name].help} May be repeated."
    flag = f"--{name.replace('_', '-')}"
    return Argument(flag, {"help": text, "action": "append", "metavar": metavar})


MASK_PLAN = "mask-plan"
MASK_PLAN_HELP = "Propose masks for a database, as YAML that a person must review"
MASK_PLAN_ARGUMENTS = (
    Argument("--conn-id", {"help": BY_NAME["postgres_conn_id"].help}),
    Argument("--database", {"help": "The database, if it is not the connection's."}),
    Argument("--output", {"help": "The file to create, instead of stdout.", "metavar": "FILE"}),
    *(_list_of("PATTERN", name) for name in options_in(SelectionArguments)),
    _list_of("ROLE", "trusted_owners"),
)


def get_cli_commands() -> "list[CLICommand]":
    """Return the commands in the form in which Airflow takes them from a provider.

    Airflow's program asks for them at each start, and does not load plugins for each command. So
    the plugin takes effect here, for ``airflow connections test`` of a connection with our extra.
    """
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    from airflow_provider_pgclone.plugins.connection_extra import install

    install()
    make: Any = Arg  # it has no types
    arguments = [make((one.flag,), **one.options) for one in MASK_PLAN_ARGUMENTS]
    command = ActionCommand(MASK_PLAN, MASK_PLAN_HELP, mask_plan, arguments)
    return [GroupCommand(_GROUP, _GROUP_HELP, (command,))]


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command without the program ``airflow``."""
    parser = argparse.ArgumentParser("python -m airflow_provider_pgclone", description=_GROUP_HELP)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    command = commands.add_parser(MASK_PLAN, help=MASK_PLAN_HELP, description=MASK_PLAN_HELP)
    for argument in MASK_PLAN_ARGUMENTS:
        command.add_argument(argument.flag, **argument.options)
    command.set_defaults(run=mask_plan)
    chosen = parser.parse_args(argv)
    chosen.run(chosen)


def mask_plan(chosen: argparse.Namespace) -> None:
    """Print the proposed masks of a database, or write them to a file."""
    os.environ.setdefault(_PROCESS_CONTEXT, "server")
    # What Airflow logs meanwhile is not YAML.
    with contextlib.redirect_stdout(sys.stderr):
        text = _proposed_masks(chosen)
    if chosen.output is None:
        sys.stdout.write(text)
        return
    try:
        with open(chosen.output, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        sys.exit(f"error: {chosen.output!r} exists and may have been reviewed; name another file")
    except OSError as error:
        sys.exit(f"error: {chosen.output!r} cannot be written: {error.strerror}")


def _proposed_masks(chosen: argparse.Namespace) -> str:
    from airflow_provider_pgclone.core.errors import PgCloneError
    from airflow_provider_pgclone.hooks import PgCloneHook

    hook = PgCloneHook(chosen.conn_id, database=chosen.database)
    try:
        return hook.propose_masks(
            exclude=chosen.exclude,
            schemas=chosen.schemas,
            exclude_schemas=chosen.exclude_schemas,
            trusted_owners=chosen.trusted_owners,
        )
    except PgCloneError as error:
        sys.exit(f"error: {error}")

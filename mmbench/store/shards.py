"""The folders in which the shards of unfinished cells lie."""

import contextlib
import shutil
from pathlib import Path

from mmbench.store.folder import Store


def shards_folder(store: Store) -> Path:
    """Return the folder of all shards, each cell's in a folder of its key."""
    return store.folder / "parts"


def shard_store(store: Store, key: str) -> Store:
    """Return the store of a cell's shards."""
    folder = shards_folder(store) / key
    return Store(folder, same_environment=store.same_environment)


def remove_shards(store: Store, key: str) -> None:
    """Delete the shards of a cell, if there are any."""
    shutil.rmtree(shards_folder(store) / key, ignore_errors=True)
    with contextlib.suppress(OSError):  # it holds shards of other cells
        shards_folder(store).rmdir()

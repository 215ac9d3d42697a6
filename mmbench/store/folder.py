"""Stores: folders of cells. A file is never edited, only replaced by a new one.

Each cell has the files of `StoredFiles`, under its key. An unfinished cell has a
`<key>.checkpoint` and a `<key>.lease`. What was found damaged is kept as
`<name>.damaged` and not read.
"""

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from mmbench.core.checkpoint_slot import INTERVAL_SECONDS, CheckpointSlot
from mmbench.core.errors import StoreError
from mmbench.core.files import read_file, write_atomically
from mmbench.store.arrow_table import Columns
from mmbench.store.lease import leased
from mmbench.store.parquet import encode_table
from mmbench.store.stored_files import (
    StoredFiles,
    Version,
    companion_name,
    version_of,
)

if TYPE_CHECKING:  # it takes long to import
    import pandas as pd

KEY = re.compile(r"[0-9a-f]{24}")  # as `digest` writes it
INTERVAL_VARIABLE = "MMBENCH_CHECKPOINT"  # seconds between two checkpoints


class StoredResult(NamedTuple):
    """The results of a cell, as `Store.put` takes them."""

    table: "pd.DataFrame | Columns"
    footer: dict[str, Any]
    arrays: dict[str, Any]
    iterates: dict[str, Any]
    state: dict[str, Any] = {}

    @property
    def frame(self) -> "pd.DataFrame":
        """The table as a data frame."""
        # Imported here, because pandas takes long to load, and to store needs none.
        import pandas as pd

        return pd.DataFrame(self.table)


class Store:
    """A folder of cells.

    Args:
        folder: made when something is first written.
        same_environment: whether cells that another version of mmbench or torch
            computed or measured count as missing; they are computed again and replaced.
    """

    def __init__(self, folder: Path | str, *, same_environment: bool = False) -> None:
        # Of "", Path would make the working directory.
        if not isinstance(folder, str | os.PathLike) or not str(folder).strip():
            raise StoreError(f"A store must be a folder; got {folder!r}.")
        self.folder = Path(folder)
        self.same_environment = same_environment

    def check_writable(self) -> None:
        """Make the folder and check that it can be written.

        Raises:
            StoreError: when that fails.
        """
        checkpoint_seconds()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise StoreError(
                f"--store must be a folder that can be written; {self.folder} gave "
                f"{type(error).__name__}: {error.strerror}."
            ) from None

    def __contains__(self, key: str) -> bool:
        return bool(KEY.fullmatch(key)) and self.table(key).exists()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of the stored cells, sorted, damaged ones included.

        Raises:
            StoreError: when there is no such folder.
        """
        if not self.folder.is_dir():
            raise StoreError(
                f"--store must be a folder with results; there is none at "
                f"{self.folder}. Run something into it first."
            )
        with os.scandir(self.folder) as files:
            names = (file.name.rpartition(".") for file in files)
            keys = sorted(
                stem
                for stem, _, suffix in names
                if suffix == "parquet" and KEY.fullmatch(stem)
            )
        yield from keys

    # ---- writing ----

    def put(
        self,
        key: str,
        frame: "pd.DataFrame | Columns",
        footer: dict[str, Any],
        arrays: dict[str, np.ndarray],
        iterates: dict[str, np.ndarray] | None = None,
        state: dict[str, np.ndarray] | None = None,
        *,
        previous: StoredFiles | None = None,
    ) -> None:
        """Write a cell whole or not at all; it replaces one that is there.

        Args:
            key: the cell's key.
            frame: its table, which may be given as columns.
            footer: description and provenance, JSON values.
            arrays: paths and sample sheets.
            iterates: kept iterates, "z" and "steps".
            state: the packed state of each chunk at its end.
            previous: as `write_files` takes it.

        Raises:
            StoreError: when it cannot be written.
        """
        files, digests = {}, {}
        companions = {"arrays": arrays, "iterates": iterates, "state": state}
        for kind, tensors in companions.items():
            if tensors:
                content = save(
                    {name: np.ascontiguousarray(x) for name, x in tensors.items()}
                )
                digests[kind] = hashlib.sha256(content).hexdigest()
                files[companion_name(key, kind, digests[kind])] = [content]
        table = encode_table(frame, footer | {"key": key, "files": digests})
        files[self.table(key).name] = [table]
        self.write_files(key, files, previous)
        self.slot(key).remove()

    def write_files(
        self,
        key: str,
        files: Mapping[str, Iterable[bytes]],
        previous: StoredFiles | None = None,
    ) -> None:
        """Write the files of a cell, its table last, and remove those it replaces.

        Args:
            key: the cell's key.
            files: name to content, block by block.
            previous: what is stored of the cell, where that has been read already.

        Raises:
            StoreError: when one cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            replaced: list[Path] = []
            with contextlib.suppress(StoreError):
                if (previous.version if previous else None) != self.version(key):
                    previous = self.read(key)
                replaced = list(previous.companions.values()) if previous else []
            self._write_or_remove(files)
            for path in replaced:
                if path.name not in files:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(key, error) from error

    def _unwritable(self, key: str, error: OSError) -> StoreError:
        return StoreError(
            f"The store {self.folder} must be writable; cell {key} gave "
            f"{type(error).__name__}: {error.strerror}.{self.slot(key).describe()}"
        )

    def replace_table(
        self, stored: StoredFiles, frame: "pd.DataFrame", footer: dict[str, Any]
    ) -> None:
        """Write a cell's table anew, which keeps its companion files.

        Args:
            stored: the cell as it was read.
            frame: its new table.
            footer: its new footer, with the same companion files.

        Raises:
            StoreError: when it cannot be written.
        """
        try:
            write_atomically(self.table(stored.key), [encode_table(frame, footer)])
        except OSError as error:
            raise self._unwritable(stored.key, error) from error

    def _write_or_remove(self, files: Mapping[str, Iterable[bytes]]) -> None:
        """Write files; where one cannot be written, those that are new go again."""
        new: list[Path] = []
        try:
            for name, content in files.items():
                path = self.folder / name
                if not path.exists():
                    new.append(path)
                write_atomically(path, content)
        except BaseException:
            for path in new:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            raise

    def remove(self, key: str) -> None:
        """Delete a cell and its checkpoint, the table first.

        Raises:
            StoreError: when it cannot be deleted.
        """
        paths = [self.table(key), self.slot(key).path]
        with contextlib.suppress(StoreError):
            paths += self.companions(key).values()
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"The store {self.folder} must be writable; removing {key} gave "
                f"{type(error).__name__}: {error.strerror}."
            ) from error

    def quarantine(self, stored: StoredFiles) -> list[str]:
        """Rename the files of a damaged cell, so that nothing reads them again.

        Args:
            stored: the cell as it was read; one that was replaced since is left.

        Returns:
            A sentence for each fault; none for a cell that is whole.
        """
        key, faults = stored.key, stored.faults
        if not faults or self.version(key) != stored.version:
            return []
        try:
            for path in [self.table(key), *self.folder.glob(f"{key}.*safetensors")]:
                # Another process may have been quicker.
                with contextlib.suppress(FileNotFoundError):
                    path.replace(path.with_name(f"{path.name}.damaged"))
        except OSError as error:
            raise StoreError(
                f"The store {self.folder} must be writable; setting {path.name} aside "
                f"gave {type(error).__name__}: {error.strerror}. Remove {path}.damaged."
            ) from error
        return [f"{fault} It is kept as *.damaged and not read." for fault in faults]

    # ---- reading ----

    def read(self, key: str) -> StoredFiles | None:
        """Read a stored cell's table once; None where nothing is stored.

        Raises:
            StoreError: when it cannot be read or is of another version of mmbench.
        """
        return StoredFiles.read(self.table(key))

    def require(self, key: str) -> StoredFiles:
        """Read a stored cell's table once.

        Raises:
            StoreError: when there is none, or it cannot be read.
        """
        if stored := self.read(key):
            return stored
        raise StoreError(
            f"The store {self.folder} must hold cell {key}; it does not. Run it into "
            "this store first."
        )

    def footer(self, key: str) -> dict[str, Any]:
        """Return the footer of a stored cell; see `StoredFiles`."""
        return self.require(key).footer

    def frame(self, key: str) -> "pd.DataFrame":
        """Return the tidy table of a stored cell; see `StoredFiles`."""
        return self.require(key).frame

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        """Return paths and sample sheets of a cell; empty where it has none."""
        return stored.arrays() if (stored := self.read(key)) else {}

    def iterates(self, key: str) -> dict[str, np.ndarray]:
        """Return the kept iterates of a cell; empty where it has none."""
        return stored.iterates() if (stored := self.read(key)) else {}

    def companions(self, key: str) -> dict[str, Path]:
        """Return the paths of a cell's companion files, by kind."""
        return stored.companions if (stored := self.read(key)) else {}

    def faults(self, key: str) -> list[str]:
        """Return what is wrong with a cell's files, a sentence each."""
        return stored.faults if (stored := self.read(key)) else []

    def version(self, key: str) -> Version:
        """Return what changes whenever a cell is written; None where it is absent."""
        return version_of(self.table(key))

    # ---- paths ----

    def table(self, key: str) -> Path:
        """Return the path of a cell's table, stored or not.

        Raises:
            StoreError: when the key is no name for a file of the store.
        """
        if not KEY.fullmatch(key):
            raise StoreError(f"A key must have 24 digits, 0-9 and a-f; got {key!r}.")
        return self.folder / f"{key}.parquet"

    def slot(self, key: str) -> "CheckpointFile":
        """Return the checkpoint file of an unfinished cell."""
        # External code may leave the working folder while the cell runs.
        return CheckpointFile(self.folder.absolute() / f"{key}.checkpoint")

    def lease(self, key: str) -> AbstractContextManager[bool]:
        """Hold a cell's lease; the context gives whether this process holds it."""
        return leased(self.folder.absolute() / f"{key}.lease")


def checkpoint_seconds() -> float:
    """Return the seconds between two checkpoints, by MMBENCH_CHECKPOINT if it is set.

    Raises:
        StoreError: when it is no such number.
    """
    given = os.environ.get(INTERVAL_VARIABLE)
    if given is None:
        return INTERVAL_SECONDS
    with contextlib.suppress(ValueError):
        if (seconds := float(given)) >= 0:
            return seconds
    raise StoreError(
        f"{INTERVAL_VARIABLE} must be a number of seconds, 0 or more; got {given!r}."
    )


class CheckpointFile(CheckpointSlot):
    """The checkpoint of one cell in a store.

    Where a checkpoint cannot be written, as on a full disk, the cell goes on without.

    Args:
        path: the checkpoint's file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.interval_seconds = path, checkpoint_seconds()

    def read(self) -> bytes | None:
        """Return what was written last; None where nothing can be read."""
        try:
            return read_file(self.path)
        except OSError:
            return None

    def describe(self) -> str:
        """Return a sentence on what the checkpoint holds, after a space, or nothing."""
        from mmbench.core.checkpoint import unpack  # torch, which few verbs need

        saved = unpack(self.read() or b"")
        chunk = saved.get("chunk") if isinstance(saved, dict) else None
        if not isinstance(chunk, dict) or not isinstance(chunk.get("step"), int):
            return ""
        return (
            f" The cell's checkpoint holds it up to step {chunk['step']:,} of its "
            "current runs, from where the same command goes on."
        )

    def write(self, content: bytes) -> None:
        """Replace the checkpoint, whole or not at all."""
        with contextlib.suppress(OSError):
            write_atomically(self.path, [content])

    def remove(self) -> None:
        """Delete the checkpoint, if there is one."""
        with contextlib.suppress(OSError):
            self.path.unlink()

"""Store: key to Parquet file; written once by rename, replaced whole, never edited.

A cell's table lies in `<key>.parquet`, sealed, with its description and provenance in
that file's footer. Its arrays (paths, sample sheets) lie in
`<key>.<digest>.safetensors` and kept iterates in `<key>.<digest>.iterates.safetensors`;
the footer tells their SHA-256, so a table is read with the arrays that it was written
with or not at all, whatever several writers did. A file is read only after all of it
was found to be as it was written. A cell at work has a `<key>.checkpoint` and a
`<key>.lease`; what was found damaged is kept as `<name>.damaged`.
"""

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mmbench.core.checkpoint import INTERVAL_SECONDS, CheckpointSlot
from mmbench.core.errors import DamagedError, StoreError
from mmbench.store.atomic import sha256_of, write_atomically
from mmbench.store.lease import leased
from mmbench.store.parquet import decode_table, encode_table, read_footer

# Files beside a table, by what the footer calls them, and how their names end.
COMPANIONS = {"arrays": "safetensors", "iterates": "iterates.safetensors"}
KEY = re.compile(r"[0-9a-f]{24}")  # as `digest` writes it
SHA256 = re.compile(r"[0-9a-f]{64}")
EVERY_VARIABLE = "MMBENCH_CHECKPOINT"
_SHORT = 16  # digits of a companion's digest in its name; the footer has all 64


class Store:
    """A folder of cells.

    Args:
        folder: made when something is first written.
        same_environment: whether only cells in which no other mmbench or torch had a
            part answer for what is asked; others are computed again and replaced.
    """

    def __init__(self, folder: Path | str, *, same_environment: bool = False) -> None:
        self.folder = Path(folder)
        self.same_environment = same_environment

    def check_writable(self) -> None:
        """Make the folder and try to write.

        Raises:
            StoreError: when that fails.
        """
        seconds_between()
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
        """Keys of the stored cells, sorted; damaged ones are among them.

        Raises:
            StoreError: when there is no such folder.
        """
        if not self.folder.is_dir():
            raise StoreError(
                f"--store must be a folder with results; there is none at "
                f"{self.folder}. Run something into it first."
            )
        names = (path.stem for path in self.folder.glob("*.parquet"))
        yield from sorted(name for name in names if KEY.fullmatch(name))

    # ---- writing ----

    def put(
        self,
        key: str,
        frame: pd.DataFrame,
        footer: dict[str, Any],
        arrays: dict[str, np.ndarray],
        iterates: dict[str, np.ndarray] | None = None,
    ) -> None:
        """Write a cell; it is there whole or not at all, and replaces an older one.

        Raises:
            StoreError: when it cannot be written.
        """
        files, digests = {}, {}
        for kind, given in (("arrays", arrays), ("iterates", iterates or {})):
            if given:
                content = save(
                    {name: np.ascontiguousarray(one) for name, one in given.items()}
                )
                digests[kind] = hashlib.sha256(content).hexdigest()
                files[companion(key, kind, digests[kind])] = [content]
        table = encode_table(frame, footer | {"key": key, "files": digests})
        self.write_files(key, files | {self.table(key).name: [table]})
        self.slot(key).remove()

    def write_files(self, key: str, files: Mapping[str, Iterable[bytes]]) -> None:
        """Write the files of a cell, its table last, and remove those it replaces.

        Args:
            key: of the cell.
            files: name to content, part by part.

        Raises:
            StoreError: when one cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            older: list[Path] = []
            with contextlib.suppress(StoreError):
                older = list(self.companions(key).values())
            for name, content in files.items():
                write_atomically(self.folder / name, content)
            for path in older:
                if path.name not in files:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"The store {self.folder} must be writable; cell {key} gave "
                f"{type(error).__name__}: {error.strerror}."
            ) from error

    def remove(self, key: str) -> None:
        """Delete a cell, its checkpoint included, its table first.

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

    def quarantine(self, key: str) -> list[str]:
        """Rename the files of a damaged cell, so that nothing reads them again.

        Returns:
            A sentence for each fault; none for a cell that is whole or absent.
        """
        faults = self.faults(key)
        if not faults:
            return []
        beside = self.folder.glob(f"{key}.*safetensors")
        for path in [self.table(key), *beside]:
            # Another process may have been quicker.
            with contextlib.suppress(FileNotFoundError):
                path.replace(path.with_name(f"{path.name}.damaged"))
        return [f"{fault} It is kept as *.damaged and not read." for fault in faults]

    # ---- reading ----

    def footer(self, key: str) -> dict[str, Any]:
        """Description and provenance of a stored cell.

        Raises:
            DamagedError: when its file is not as it was written.
            StoreError: when there is none, or one of another version.
        """
        return read_footer(self.table(key), self._content(key))

    def frame(self, key: str) -> pd.DataFrame:
        """Tidy table of a stored cell.

        Raises:
            DamagedError: when its file is not as it was written.
            StoreError: when there is none, or one of another version.
        """
        return self.cell(key)[0].to_pandas()

    def cell(self, key: str) -> tuple[pa.Table, dict[str, Any]]:
        """Table and footer of a stored cell, which were written together.

        Raises:
            DamagedError: when its file is not as it was written.
            StoreError: when there is none, or one of another version.
        """
        path = self.table(key)
        file, footer = decode_table(path, self._content(key))
        try:
            # A table is small: what threads would win, starting them costs.
            table = file.read(use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise DamagedError(
                f"{path} must be a table that mmbench wrote; it is foreign."
            ) from error
        return table, footer

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        """Paths and sample sheets of a stored cell; empty where it has none.

        Raises:
            DamagedError: when a file is not as it was written.
        """
        return self._tensors(key, "arrays")

    def iterates(self, key: str) -> dict[str, np.ndarray]:
        """Kept iterates of a stored cell, "z" and "steps"; empty where it has none.

        Raises:
            DamagedError: when a file is not as it was written.
        """
        return self._tensors(key, "iterates")

    def companions(self, key: str) -> dict[str, Path]:
        """The files beside a cell's table, by kind.

        Raises:
            StoreError: when the table cannot be read.
        """
        if key not in self:
            return {}
        return {
            kind: self.folder / companion(key, kind, digest)
            for kind, digest in self._digests(key).items()
        }

    def faults(self, key: str) -> list[str]:
        """What is wrong with the files of a cell, a sentence each; none if all is well.

        Raises:
            StoreError: when another version of mmbench wrote them.
        """
        if key not in self:
            return []
        version = self.version(key)
        try:
            digests = self._digests(key)
        except DamagedError as error:
            return [str(error)]
        found = []
        for kind, digest in digests.items():
            path = self.folder / companion(key, kind, digest)
            try:
                if sha256_of(path) != digest:
                    found.append(_damaged(path))
            except FileNotFoundError:
                found.append(f"{path} must lie beside its table; it is missing.")
        if found and self.version(key) != version:
            return self.faults(key)  # another process has replaced it meanwhile
        return found

    def version(self, key: str) -> tuple[int, ...] | None:
        """What changes whenever the cell is written; None where it is not stored."""
        try:
            found = self.table(key).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _digests(self, key: str) -> dict[str, str]:
        """SHA-256 of the files beside a table, by kind."""
        return digests_of(self.table(key), self.footer(key))

    def _content(self, key: str) -> bytes:
        path = self.table(key)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise StoreError(
                f"The store {self.folder} must hold cell {key}; it does not. Run it "
                "into this store first."
            ) from None
        except OSError as error:
            raise _unreadable(path, error) from error

    def _tensors(self, key: str, kind: str) -> dict[str, np.ndarray]:
        version = self.version(key)
        if key not in self or kind not in (digests := self._digests(key)):
            return {}
        path = self.folder / companion(key, kind, digests[kind])
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            if self.version(key) != version:  # another process has replaced it
                return self._tensors(key, kind)
            raise DamagedError(
                f"{path} must lie beside its table; it is missing."
            ) from None
        except OSError as error:
            raise _unreadable(path, error) from error
        if hashlib.sha256(content).hexdigest() != digests[kind]:
            raise DamagedError(_damaged(path))
        try:
            return load(content)
        except SafetensorError as error:
            raise DamagedError(_damaged(path)) from error

    # ---- what lies where ----

    def table(self, key: str) -> Path:
        """Where the table of a cell lies, or would.

        Raises:
            StoreError: when it could lie outside the store.
        """
        if not KEY.fullmatch(key):
            raise StoreError(f"A key must have 24 digits, 0-9 and a-f; got {key!r}.")
        return self.folder / f"{key}.parquet"

    def slot(self, key: str) -> "CheckpointFile":
        """Where the checkpoint of a cell at work lies."""
        return CheckpointFile(self.folder / f"{key}.checkpoint")

    def lease(self, key: str) -> AbstractContextManager[bool]:
        """The right to compute a cell; gives whether this process has it now."""
        return leased(self.folder / f"{key}.lease")


def digests_of(path: Path, footer: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of the files beside a table, by kind.

    Args:
        path: of the table, for messages.
        footer: of the table.

    Raises:
        DamagedError: when they cannot be, for they make names of files.
    """
    digests = footer.get("files")
    if not isinstance(digests, dict) or not all(
        kind in COMPANIONS and SHA256.fullmatch(str(digest))
        for kind, digest in digests.items()
    ):
        raise DamagedError(f"{path} must be a table that mmbench wrote; it is foreign.")
    return digests


def companion(key: str, kind: str, digest: str) -> str:
    """Name of a file beside a table."""
    return f"{key}.{digest[:_SHORT]}.{COMPANIONS[kind]}"


def _damaged(path: Path) -> str:
    return f"{path} must hold what its table says; its bytes have another SHA-256."


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} must be a file that can be read; it gave {type(error).__name__}: "
        f"{error.strerror}."
    )


def seconds_between() -> float:
    """Seconds between two checkpoints, which MMBENCH_CHECKPOINT may say.

    Raises:
        StoreError: when it is no such number.
    """
    given = os.environ.get(EVERY_VARIABLE)
    if given is None:
        return INTERVAL_SECONDS
    with contextlib.suppress(ValueError):
        if (seconds := float(given)) >= 0:
            return seconds
    raise StoreError(
        f"{EVERY_VARIABLE} must be a number of seconds, 0 or more; got {given!r}."
    )


class CheckpointFile(CheckpointSlot):
    """The checkpoint of one cell in a store.

    A disk that fills up must not end the work: what cannot be written is not.

    Args:
        path: of its file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.interval_seconds = path, seconds_between()

    def read(self) -> bytes | None:
        """What was written last; None where there is nothing to be read."""
        try:
            return self.path.read_bytes()
        except OSError:
            return None

    def write(self, content: bytes) -> None:
        """Replace it, whole or not at all."""
        with contextlib.suppress(OSError):
            write_atomically(self.path, [content])

    def remove(self) -> None:
        """Delete it, if there is one."""
        with contextlib.suppress(OSError):
            self.path.unlink()

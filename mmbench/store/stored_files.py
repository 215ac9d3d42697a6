"""The files of one stored cell, whose table was read once.

A cell's table lies in `<key>.parquet` with its description and provenance in the file's
footer. Its arrays (paths, sample sheets) lie in `<key>.<digest>.safetensors`, kept
iterates in `<key>.<digest>.iterates.safetensors` and the state at its end in
`<key>.<digest>.state.safetensors`. The footer has their SHA-256, so a table is read
with the companion files that it was written with or not at all, whatever several
writers did.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import load

from mmbench.core.errors import DamagedError
from mmbench.core.files import open_file, read_file
from mmbench.store.parquet import checked_footer
from mmbench.store.schema import (
    MAX_HEADER_BYTES,
    decode,
    misfit_of_rows,
    misfit_of_tensors,
    to_frame,
)

if TYPE_CHECKING:  # it takes long to import
    import pandas as pd

# Kinds of companion files, as the footer calls them, and how their names end.
COMPANIONS = {
    "arrays": "safetensors",
    "iterates": "iterates.safetensors",
    "state": "state.safetensors",
}
_BLOCK_BYTES = 2**20  # read at once
_MAX_TABLE_BYTES = 2**31  # more than `MAX_ROWS` rows take
_NAME_DIGITS = 16  # of a companion's digest in its name; the footer has all 64

Version = tuple[int, ...] | None  # of a table's file, see `version_of`


class StoredFiles:
    """The files of one stored cell, whose table was read once.

    What is damaged is listed in `faults`; asking for content that is damaged raises
    `DamagedError`. Companion files are read only when they are asked for, and each is
    hashed at most once. Where another process has replaced the cell since its table was
    read, the companion files of the newer cell are used.

    Attributes:
        key: the cell's key.
        content: the bytes of its table's file.
        version: changes whenever the cell is written.
        is_readable: whether the table and its footer are as they were written.
    """

    def __init__(
        self, path: Path, content: bytes, version: Version, *, unreadable: str = ""
    ) -> None:
        """Check the bytes of a table.

        Args:
            path: its file.
            content: its bytes.
            version: of the file.
            unreadable: why the file cannot be read; empty where it was.

        Raises:
            StoreError: when another version of mmbench wrote them.
        """
        self.key = path.stem
        self.content, self.version = content, version
        self._path = path
        self._damage = unreadable
        self._hashed: dict[str, str] = {}  # kind to fault, or to "" where there is none
        self.is_readable = False
        if unreadable:
            return
        try:
            self._table, self._footer = checked_footer(path, content)
        except DamagedError as error:
            self._damage = str(error)
        self.is_readable = not self._damage

    @classmethod
    def read(cls, path: Path) -> "StoredFiles | None":
        """Read the table of a cell; None where there is none.

        One that this user may not read is damaged, for all that can be told.

        Raises:
            StoreError: when it is of another version of mmbench.
        """
        try:
            content, version = read_bytes(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return cls(path, b"", version_of(path), unreadable=_unreadable(path, error))
        return cls(path, content, version)

    @property
    def footer(self) -> dict[str, Any]:
        """Description and provenance.

        Raises:
            DamagedError: when the table's file is not as it was written.
        """
        self._check_readable()
        return self._footer

    @cached_property
    def table(self) -> pa.Table:
        """The table, decoded; its texts are dictionaries.

        Raises:
            DamagedError: when its file is not as it was written.
        """
        self._check_readable()
        try:
            table = decode(self._table)
            found = misfit_of_rows(table, self._footer)
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DamagedError(
                f"{self._path} must be a table that mmbench wrote; reading it gave "
                f"{type(error).__name__}."
            ) from error
        if found:
            raise DamagedError(f"{self._path} must fit the schema of a table: {found}.")
        return table

    @property
    def frame(self) -> "pd.DataFrame":
        """The table as a data frame.

        Raises:
            DamagedError: when its file is not as it was written.
        """
        return to_frame(self.table)

    @property
    def companions(self) -> dict[str, Path]:
        """Paths of the companion files, by kind.

        Raises:
            DamagedError: when the table's file is not as it was written.
        """
        self._check_readable()
        return {
            kind: self._path.with_name(companion_name(self.key, kind, digest))
            for kind, digest in self._footer["files"].items()
        }

    @cached_property
    def faults(self) -> list[str]:
        """What is wrong with the files, a sentence each; empty where all is well."""
        if not self.is_readable:
            return [self._damage]
        faults = [self._fault_of(kind, path) for kind, path in self.companions.items()]
        found = [fault for fault in (self._fault_of_table(), *faults) if fault]
        if found and self._is_outdated():
            newer = self.read(self._path)
            return newer.faults if newer else []
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Read paths and sample sheets; empty where the cell has none.

        Raises:
            DamagedError: when a file is not as it was written.
        """
        return self.tensors("arrays")

    def iterates(self) -> dict[str, np.ndarray]:
        """Read the kept iterates, "z" and "steps"; empty where the cell has none.

        Raises:
            DamagedError: when a file is not as it was written.
        """
        return self.tensors("iterates")

    def tensors(self, kind: str) -> dict[str, np.ndarray]:
        """Read a companion file; empty where the cell has none of that kind.

        Raises:
            DamagedError: when a file is not as it was written.
        """
        path = self.companions.get(kind)
        if path is None:
            return {}
        try:
            content = read_file(path)
        except FileNotFoundError:
            if self._is_outdated():
                newer = self.read(self._path)
                return newer.tensors(kind) if newer else {}
            raise DamagedError(_missing(path)) from None
        except OSError as error:
            raise DamagedError(_unreadable(path, error)) from error
        if kind not in self._hashed:
            self._hashed[kind] = fault_of_companion(path, kind, [content], self._footer)
        if fault := self._hashed[kind]:
            raise DamagedError(fault)
        try:
            return load(content)
        except SafetensorError as error:
            raise DamagedError(_unfit(path, "it cannot be read")) from error

    def _check_readable(self) -> None:
        if not self.is_readable:
            raise DamagedError(self._damage)

    def _is_outdated(self) -> bool:
        """Return whether another process has replaced the cell since it was read."""
        return version_of(self._path) != self.version

    def _fault_of_table(self) -> str:
        """Return what is wrong with the rows of the table; empty where they fit."""
        try:
            self.table  # noqa: B018  # reading it checks it
        except DamagedError as error:
            return str(error)
        return ""

    def _fault_of(self, kind: str, path: Path) -> str:
        """Return what is wrong with a companion file; empty where it is as written."""
        if kind not in self._hashed:
            try:
                with open_file(path) as file:
                    blocks = read_blocks(file.read)
                    found = fault_of_companion(path, kind, blocks, self._footer)
            except FileNotFoundError:
                found = _missing(path)
            except OSError as error:
                found = _unreadable(path, error)
            self._hashed[kind] = found
        return self._hashed[kind]


def fault_of_companion(
    path: Path, kind: str, blocks: Iterable[bytes], footer: Mapping[str, Any]
) -> str:
    """Return what is wrong with a companion file; empty where nothing is.

    Args:
        path: its path, for messages.
        kind: as the footer calls it.
        blocks: its content.
        footer: of its table.

    Raises:
        OSError: when it cannot be read.
    """
    digest, size, head = hashlib.sha256(), 0, b""
    for block in blocks:
        digest.update(block)
        size += len(block)
        if len(head) < MAX_HEADER_BYTES:
            head += block
    if digest.hexdigest() != footer["files"][kind]:
        return f"{path} must hold what its table says; its bytes have another SHA-256."
    found = misfit_of_tensors(head, size, kind, footer)
    return _unfit(path, found) if found else ""


def read_blocks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the bytes of an open file, block by block; `read` is its method."""
    while block := read(_BLOCK_BYTES):
        yield block


def read_bytes(path: Path) -> tuple[bytes, Version]:
    """Read a table's file; return its bytes and their version.

    Raises:
        OSError: when it cannot be read.
    """
    with open_file(path) as file:
        status = os.fstat(file.fileno())
        if status.st_size > _MAX_TABLE_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return file.read(), _version(status)


def version_of(path: Path) -> Version:
    """Return what changes whenever a file is replaced; None where there is none."""
    try:
        return _version(path.stat())
    except OSError:
        return None


def _version(status: os.stat_result) -> Version:
    return status.st_mtime_ns, status.st_ino, status.st_size


def companion_name(key: str, kind: str, digest: str) -> str:
    """Return the file name of a companion of a table."""
    return f"{key}.{digest[:_NAME_DIGITS]}.{COMPANIONS[kind]}"


def _unfit(path: Path, found: str) -> str:
    return f"{path} must fit the schema of a cell's tensors: {found}."


def _missing(path: Path) -> str:
    return f"{path} must lie in the same folder as its table; it is missing."


def _unreadable(path: Path, error: OSError) -> str:
    return (
        f"{path} must be a file that can be read; it gave {type(error).__name__}: "
        f"{error.strerror}."
    )

"""The files of one stored cell, whose table was read once.

A cell's table lies in `<key>.parquet` with its description and provenance in the file's
footer. Its arrays (paths, sample sheets) lie in `<key>.<digest>.safetensors` and kept
iterates in `<key>.<digest>.iterates.safetensors`. The footer has their SHA-256, so a
table is read with the companion files that it was written with or not at all, whatever
several writers did.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import load

from mmbench.core.errors import DamagedError, StoreError
from mmbench.core.files import sha256_of
from mmbench.store.parquet import decode_table

# Kinds of companion files, as the footer calls them, and how their names end.
COMPANIONS = {"arrays": "safetensors", "iterates": "iterates.safetensors"}
SHA256 = re.compile(r"[0-9a-f]{64}")
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

    def __init__(self, path: Path, content: bytes, version: Version) -> None:
        """Check the bytes of a table.

        Raises:
            StoreError: when another version of mmbench wrote them.
        """
        self.key = path.stem
        self.content, self.version = content, version
        self._path = path
        self._damage = ""
        self._hashed: dict[str, str] = {}  # kind to fault, or to "" where there is none
        try:
            self._file, self._footer = decode_table(path, content)
            self._digests = digests_of(path, self._footer)
        except DamagedError as error:
            self._damage = str(error)
        self.is_readable = not self._damage

    @classmethod
    def read(cls, path: Path) -> "StoredFiles | None":
        """Read the table of a cell; None where there is none.

        Raises:
            StoreError: when it cannot be read or is of another version of mmbench.
        """
        try:
            content, version = read_bytes(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
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
        """The table, decoded.

        Raises:
            DamagedError: when its file is not as it was written.
        """
        self._check_readable()
        try:
            # A table is small: starting threads costs more than they save.
            return self._file.read(use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise DamagedError(_foreign(self._path)) from error

    @property
    def frame(self) -> pd.DataFrame:
        """The table as a data frame.

        Raises:
            DamagedError: when its file is not as it was written.
        """
        return self.table.to_pandas()

    @property
    def companions(self) -> dict[str, Path]:
        """Paths of the companion files, by kind.

        Raises:
            DamagedError: when the table's file is not as it was written.
        """
        self._check_readable()
        return {
            kind: self._path.with_name(companion_name(self.key, kind, digest))
            for kind, digest in self._digests.items()
        }

    @cached_property
    def faults(self) -> list[str]:
        """What is wrong with the files, a sentence each; empty where all is well."""
        if not self.is_readable:
            return [self._damage]
        faults = [self._fault_of(kind, path) for kind, path in self.companions.items()]
        found = [fault for fault in faults if fault]
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
            content = path.read_bytes()
        except FileNotFoundError:
            if self._is_outdated():
                newer = self.read(self._path)
                return newer.tensors(kind) if newer else {}
            raise DamagedError(_missing(path)) from None
        except OSError as error:
            raise _unreadable(path, error) from error
        if kind not in self._hashed:
            same = hashlib.sha256(content).hexdigest() == self._digests[kind]
            self._hashed[kind] = "" if same else _damaged(path)
        if fault := self._hashed[kind]:
            raise DamagedError(fault)
        try:
            return load(content)
        except SafetensorError as error:
            raise DamagedError(_damaged(path)) from error

    def _check_readable(self) -> None:
        if not self.is_readable:
            raise DamagedError(self._damage)

    def _is_outdated(self) -> bool:
        """Return whether another process has replaced the cell since it was read."""
        return version_of(self._path) != self.version

    def _fault_of(self, kind: str, path: Path) -> str:
        """Return what is wrong with a companion file; empty where it is as written."""
        if kind not in self._hashed:
            try:
                same = sha256_of(path) == self._digests[kind]
                self._hashed[kind] = "" if same else _damaged(path)
            except FileNotFoundError:
                self._hashed[kind] = _missing(path)
            except OSError as error:
                raise _unreadable(path, error) from error
        return self._hashed[kind]


def read_bytes(path: Path) -> tuple[bytes, Version]:
    """Read a table's file; return its bytes and their version.

    Raises:
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(), _version(os.fstat(file.fileno()))


def version_of(path: Path) -> Version:
    """Return what changes whenever a file is replaced; None where there is none."""
    try:
        return _version(path.stat())
    except OSError:
        return None


def _version(status: os.stat_result) -> Version:
    return status.st_mtime_ns, status.st_ino, status.st_size


def digests_of(path: Path, footer: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of a table's companion files, by kind.

    Args:
        path: the table's path, for messages.
        footer: the table's footer.

    Raises:
        DamagedError: when one is no such digest, for they become parts of file names.
    """
    digests = footer.get("files")
    if not isinstance(digests, dict) or not all(
        kind in COMPANIONS and SHA256.fullmatch(str(digest))
        for kind, digest in digests.items()
    ):
        raise DamagedError(_foreign(path))
    return digests


def companion_name(key: str, kind: str, digest: str) -> str:
    """Return the file name of a companion of a table."""
    return f"{key}.{digest[:_NAME_DIGITS]}.{COMPANIONS[kind]}"


def _foreign(path: Path) -> str:
    return f"{path} must be a table that mmbench wrote; it is foreign."


def _damaged(path: Path) -> str:
    return f"{path} must hold what its table says; its bytes have another SHA-256."


def _missing(path: Path) -> str:
    return f"{path} must lie in the same folder as its table; it is missing."


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} must be a file that can be read; it gave {type(error).__name__}: "
        f"{error.strerror}."
    )

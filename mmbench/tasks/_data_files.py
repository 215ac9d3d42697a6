"""Published data files: finding them, downloading them and checking them.

A file must have the published checksum, whether it was found or downloaded. No file is
ever unpickled. A process reads and checks the files of a split once, and again where
one has changed.
"""

import hashlib
import os
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import pooch
from torch import Tensor

from mmbench.core.errors import DataError
from mmbench.core.files import DATA_VARIABLE, named_data_folder, read_data

# Of a file that was changed so short a time before it was read, a further change might
# leave the same times.
SETTLED_SECONDS = 2.0


class DataFile(NamedTuple):
    """One file of a data set.

    Args:
        name: name of the file.
        size: length in bytes.
        sha256: checksum of the file as published, in hexadecimal digits.
        images: number of images or labels in it.
    """

    name: str
    size: int
    sha256: str
    images: int


class DataSet(NamedTuple):
    """The names of a data set in messages and folders.

    Args:
        title: name in messages.
        folder: folder of its files, under the folder of all data.
        example: one of its files and how many more there are, for messages.
    """

    title: str
    folder: str
    example: str

    @property
    def remedy(self) -> str:
        """The advice in messages for a user who has the files."""
        return (
            f"Set {DATA_VARIABLE} or --data-dir to a folder with "
            f"{self.folder}/{self.example}"
        )


def find_file(data: DataSet, file: DataFile, data_dir: Path | None) -> Path | None:
    """Return the path of a file that the user has, without reading it.

    Args:
        data: data set of the file.
        file: file to find.
        data_dir: folder with the files of the data set, or with the folder of the data
            set, which must have the file. None looks in the folder that MMBENCH_DATA
            names, if it names one.

    Returns:
        None when no folder is named, or when that of MMBENCH_DATA lacks the file.

    Raises:
        DataError: when `data_dir` lacks the file, or MMBENCH_DATA names no folder.
    """
    folder = named_data_folder() if data_dir is None else data_dir
    if folder is None:
        return None
    candidates = (folder / data.folder / file.name, folder / file.name)
    for path in candidates:
        if os.path.lexists(path):
            return path
    if data_dir is not None:
        raise DataError(
            f"{file.name} of {data.title} must lie in {candidates[0].parent} or "
            f"{candidates[1].parent}; neither has it. {data.remedy}."
        )
    return None


def read_checked(data: DataSet, file: DataFile, path: Path) -> bytes:
    """Return the bytes of a file after checking that they are the published ones.

    Args:
        data: data set of the file.
        file: file to read.
        path: path of the file.

    Raises:
        DataError: when they are not.
    """
    content = read_data(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise DataError(
            f"{path} must be {data.title}'s file of {file.size} bytes with SHA-256 "
            f"{file.sha256[:16]}...; got {len(content)} bytes with {digest[:16]}.... "
            "Fetch it again, or remove it."
        )
    return content


def download(data: DataSet, name: str, sha256: str, mirrors: tuple[str, ...]) -> Path:
    """Download a file to the user's cache, unless it is there, and return its path.

    Args:
        data: data set of the file.
        name: name of the file.
        sha256: checksum of the file, in hexadecimal digits.
        mirrors: addresses of folders that have the file, tried in turn.

    Raises:
        DataError: when no mirror has the file with that checksum.
    """
    faults = []
    for mirror in mirrors:
        try:
            return Path(
                pooch.retrieve(
                    mirror + name,
                    known_hash=f"sha256:{sha256}",
                    fname=name,
                    path=cache_folder(),
                    progressbar=sys.stderr.isatty(),
                )
            )
        except (OSError, ValueError) as error:  # of network or disk; of the checksum
            reason = textwrap.shorten(str(error), 80, placeholder=" ...")
            faults.append(f"{mirror} gave {type(error).__name__} ({reason})")
    folder, lacking = named_data_folder(), ""
    if folder is not None:
        lacking = f"{DATA_VARIABLE} is {str(folder)!r}, which lacks "
        lacking += f"{data.folder}/{data.example}; "
    raise DataError(
        f"{name} of {data.title} must come from a folder or a mirror; {lacking}"
        f"{' and '.join(faults)}. {data.remedy}."
    )


def cache_folder() -> Path:
    """Return the user's folder of downloaded files."""
    return Path(pooch.os_cache("mmbench"))


# ---- what a process has read ----


class _FileState(NamedTuple):
    """What tells whether a file has changed, and the checksum that it must have.

    The system alone sets the time of an inode's change.
    """

    path: Path
    sha256: str
    device: int
    inode: int
    size: int
    modified: int
    changed: int


Tensors = TypeVar("Tensors", bound=tuple[Tensor, ...])


class _Kept(NamedTuple, Generic[Tensors]):
    """Tensors of a split that this process has read."""

    tensors: Tensors
    states: list[_FileState]
    versions: list[int]

    def are_of(self, states: list[_FileState]) -> bool:
        """Return whether these are still the tensors of files in these states."""
        return self.states == states and self.versions == _versions(self.tensors)


class KeptSplits(Generic[Tensors]):
    """The tensors of a data set's splits that this process has read.

    Args:
        read: returns the tensors of a split, found as `find_file` finds its files.
    """

    def __init__(self, read: Callable[[str, Path | None], Tensors]) -> None:
        self._read = read
        self._kept: dict[str, _Kept[Tensors]] = {}

    def tensors(
        self,
        split: str,
        data_dir: Path | None,
        files: Sequence[DataFile],
        find: Callable[[DataFile], Path],
    ) -> Tensors:
        """Return the tensors of a split; read where they are not those of the files.

        They are read again, too, where someone has written into them.

        Args:
            split: name of the split.
            data_dir: folder of data files, as in `find_file`.
            files: files of the split.
            find: returns where a file is, or will be once it is fetched.
        """
        begun, states = time.time(), _states_of(files, find)
        if states and (kept := self._kept.get(split)) and kept.are_of(states):
            return kept.tensors
        self._kept.pop(split, None)
        tensors = self._read(split, data_dir)
        changed = max((one.changed for one in states), default=0) / 1e9
        if states and begun - changed > SETTLED_SECONDS:
            self._kept[split] = _Kept(tensors, states, _versions(tensors))
        return tensors


def _versions(tensors: tuple[Tensor, ...]) -> list[int]:
    """Return what grows when someone writes into the tensors."""
    return [one._version for one in tensors]  # noqa: SLF001  # torch has no other name


def _states_of(
    files: Sequence[DataFile], find: Callable[[DataFile], Path]
) -> list[_FileState]:
    """Return the states of files; none where one is not there, which reading tells."""
    states = []
    for file in files:
        try:
            path = find(file)
            found = path.stat()
        except (OSError, DataError):
            return []
        own = (found.st_dev, found.st_ino, found.st_size)
        times = (found.st_mtime_ns, found.st_ctime_ns)
        states.append(_FileState(path, file.sha256, *own, *times))
    return states

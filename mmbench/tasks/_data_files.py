"""Files as published: where they are looked for, downloaded to, and how checked.

A file that is found must have the published checksum, and so must one that is
downloaded. Nothing here is ever unpickled.
"""

import hashlib
import os
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pooch

from mmbench.core.errors import DataError

DATA_VARIABLE = "MMBENCH_DATA"


class DataFile(NamedTuple):
    """One file of a data set: its name, bytes and SHA-256, and its number of images.

    The checksums were computed from the files as published.
    """

    name: str
    size: int
    sha256: str
    count: int


class DataSet(NamedTuple):
    """A data set, as messages and folders name it.

    Args:
        title: for messages.
        folder: in which its files lie, under the folder of all data.
        example: one of its files and how many more there are, for messages.
    """

    title: str
    folder: str
    example: str

    @property
    def remedy(self) -> str:
        """What a user can do who has the files."""
        return (
            f"Set {DATA_VARIABLE} or --data-dir to a folder with "
            f"{self.folder}/{self.example}"
        )


def found(data: DataSet, part: DataFile, data_dir: Path | None) -> Path | None:
    """The path of a file that the user has; its content is not looked at.

    Args:
        data: the data set.
        part: the file.
        data_dir: folder with the files, or with a folder that has them; they must be
            there. None looks in the folder that MMBENCH_DATA names, if it does.

    Raises:
        DataError: when `data_dir` lacks the file.
    """
    asked = data_dir is not None
    folder = data_dir if asked else os.environ.get(DATA_VARIABLE)
    if not folder:
        return None
    places = (Path(folder) / data.folder / part.name, Path(folder) / part.name)
    for path in places:
        if os.path.lexists(path):
            return path
    if asked:
        raise DataError(
            f"{part.name} of {data.title} must lie in {places[0].parent} or "
            f"{places[1].parent}; neither has it. {data.remedy}."
        )
    return None


def content(data: DataSet, part: DataFile, path: Path) -> bytes:
    """The bytes of a file, which are the published ones.

    Raises:
        DataError: when they are not.
    """
    read = read_bytes(path)
    digest = hashlib.sha256(read).hexdigest()
    if digest != part.sha256:
        raise DataError(
            f"{path} must be {data.title}'s file of {part.size} bytes with SHA-256 "
            f"{part.sha256[:16]}...; got {len(read)} bytes with {digest[:16]}.... "
            "Fetch it again, or remove it."
        )
    return read


def downloaded(data: DataSet, name: str, sha256: str, mirrors: tuple[str, ...]) -> Path:
    """The path of a file in the user's cache, fetched there if need be.

    Args:
        data: the data set.
        name: of the file.
        sha256: its checksum.
        mirrors: addresses of folders that have it, tried in turn.

    Raises:
        DataError: when no mirror gave it.
    """
    faults = []
    for mirror in mirrors:
        try:
            return Path(
                pooch.retrieve(
                    mirror + name,
                    known_hash=f"sha256:{sha256}",
                    fname=name,
                    path=cache(),
                    progressbar=sys.stderr.isatty(),
                )
            )
        except (OSError, ValueError) as error:  # network and disk; a wrong checksum
            reason = textwrap.shorten(str(error), 80, placeholder=" ...")
            faults.append(f"{mirror} gave {type(error).__name__} ({reason})")
    raise DataError(
        f"{name} of {data.title} must come from a folder or a mirror; "
        f"{' and '.join(faults)}. {data.remedy}."
    )


def cache() -> Path:
    """The user's folder of downloaded files."""
    return Path(pooch.os_cache("mmbench"))


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DataError: when it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} must be a file that can be read; got {error.strerror or error}."
        ) from error

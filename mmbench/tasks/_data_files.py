"""Published data files: finding them, downloading them and checking them.

A file must have the published checksum, whether it was found or downloaded. No file is
ever unpickled.
"""

import hashlib
import os
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pooch

from mmbench.core.errors import DataError
from mmbench.core.files import DATA_VARIABLE, named_data_folder, read_data


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

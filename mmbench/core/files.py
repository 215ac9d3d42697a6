"""Files: read whole, and written so that they are whole even if power fails."""

import contextlib
import errno
import glob
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from mmbench.core.errors import DataError, StoreError

DATA_VARIABLE = "MMBENCH_DATA"
LEFTOVER_SECONDS = 600.0  # after which nobody writes a temporary file any more
_DIGITS = 32  # of a temporary file's random number


def open_file(path: Path) -> BufferedReader:
    """Open a file for reading, if it is one: a pipe would be waited for without end.

    Raises:
        OSError: when it cannot be opened, or is a folder, a pipe or a device.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return file


def read_file(path: Path, most: int = -1) -> bytes:
    """Return the bytes of a file.

    Args:
        path: the file.
        most: bytes that it may have; any number if negative.

    Raises:
        OSError: when it cannot be read, is no file or has more bytes.
    """
    with open_file(path) as file:
        if 0 <= most < os.fstat(file.fileno()).st_size:
            raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
        return file.read()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, however large, in hexadecimal.

    Raises:
        OSError: when it cannot be read.
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that is there whole or not at all, even if power fails.

    Args:
        path: where the file is found once it is whole.
    """
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def write_atomically(path: Path, content: Iterable[bytes]) -> None:
    """Write a file, block by block, so that it is there whole or not at all."""
    with atomic_writer(path) as file:
        for block in content:
            file.write(block)


def named_data_folder() -> Path | None:
    """Return the folder that MMBENCH_DATA names; None where it is not set or empty.

    Raises:
        DataError: when it names no folder.
    """
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        what = "a file" if Path(named).exists() else "no folder there"
        raise DataError(
            f"{DATA_VARIABLE} must name a folder of data files; got {named!r}, and "
            f"{what}."
        )
    return Path(named)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Delete what processes that were killed have left beside files they were writing.

    What was written a short while ago is left: its writer may still be at work.

    Args:
        paths: the files.
    """
    for path in paths:
        pattern = f"{glob.escape(path.name)}.{'[0-9a-f]' * _DIGITS}.part"
        for temporary in path.parent.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - temporary.stat().st_mtime > LEFTOVER_SECONDS:
                    temporary.unlink()


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files such that all change or none does, though the disk be full.

    All are written beside their places before the first is renamed, in their order.

    Args:
        files: path to content.

    Raises:
        OSError: when one cannot be written; all are as they were.
    """
    for path in files:
        if path.is_dir():  # it could not be renamed to
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    remove_leftovers(files)
    temporaries = {path: _temporary(path) for path in files}
    try:
        for path, temporary in temporaries.items():
            with temporary.open("xb") as file:
                file.write(files[path])
                file.flush()
                os.fsync(file.fileno())
        for path, temporary in temporaries.items():
            temporary.replace(path)
    except BaseException:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
        raise
    for folder in dict.fromkeys(path.parent for path in files):
        _flush_folder(folder)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")


def read_data(path: Path) -> bytes:
    """Return the bytes of a data file.

    Raises:
        DataError: when it cannot be read.
    """
    try:
        return read_file(path)
    except OSError as error:
        raise DataError(
            f"{path} must be a file that can be read; got {error.strerror or error}."
        ) from error


def write_data(path: Path, content: bytes) -> None:
    """Write a data file, and the folder that it lies in; other processes may, too.

    Raises:
        DataError: when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers([path])
        write_atomically(path, [content])
    except OSError as error:
        raise DataError(
            f"{path} must be a file that can be written; got {error.strerror or error}."
        ) from error


def _flush_folder(folder: Path) -> None:
    """Have the folder's entries written to the disk, where the system can do that."""
    with contextlib.suppress(OSError):
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)


def make_folder(folder: Path, option: str) -> None:
    """Make a folder that an option names, with those around it.

    Args:
        folder: the folder; it may be there.
        option: the option, such as "--out".

    Raises:
        StoreError: when it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{option} must be a folder that can be made; {folder} gave "
            f"{type(error).__name__}: {error.strerror}."
        ) from error

"""Files that are there whole or not at all, even if power fails."""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, however large, in hexadecimal.

    Raises:
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that is there whole or not at all, even if power fails.

    Args:
        path: where the file is found once it is whole.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
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


def _flush_folder(folder: Path) -> None:
    """Have the folder's entries written to the disk, where the system can do that."""
    with contextlib.suppress(OSError):
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)

"""Tests of files that are written whole, and of data files that are read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmbench.core.errors import DataError
from mmbench.core.files import read_data, sha256_of, write_atomically, write_data


def test_a_data_file_is_written_with_its_folder_and_read(tmp_path: Path) -> None:
    """The bytes come back, and nothing else lies in the folder."""
    path = tmp_path / "new" / "folder" / "data.bin"
    write_data(path, b"first")
    write_data(path, b"second")
    assert read_data(path) == b"second"
    assert list(path.parent.iterdir()) == [path]
    assert sha256_of(path)[:8] == "16367aac"


def test_an_interrupted_file_leaves_the_former_one(tmp_path: Path) -> None:
    """Whatever ends the writing, the old content stays and no temporary file does."""
    path = tmp_path / "data.bin"
    write_data(path, b"former")

    def blocks() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, blocks())
    assert read_data(path) == b"former"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_read_or_written_is_one_sentence(tmp_path: Path) -> None:
    """A folder is no file, and a file is no folder."""
    with pytest.raises(DataError, match="must be a file that can be read; got Is a"):
        read_data(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="must be a file that can be written; got"):
        write_data(tmp_path / "file" / "data.bin", b"")
    with pytest.raises(DataError, match="must be a file that can be written; got"):
        write_data(tmp_path, b"")

"""Tests of files that are written whole, and of data files that are read."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmbench.core.errors import DataError
from mmbench.core.files import (
    read_data,
    remove_leftovers,
    sha256_of,
    write_atomically,
    write_data,
    write_together,
)


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


def test_what_killed_writers_left_goes(tmp_path: Path) -> None:
    """Of the file that is written alone, and not where a writer may be at work."""
    path, digits = tmp_path / "data[1].bin", "0123456789abcdef"
    old, young = (
        tmp_path / f"{path.name}.{one * 2}.part" for one in (digits, "f" * 16)
    )
    others = {tmp_path / f"{name}.{digits * 2}.part" for name in ("data1.bin", "x")}
    others |= {tmp_path / f"{path.name}.part", tmp_path / f"{path.name}.{digits}.part"}
    for one in (old, young, *others):
        one.touch()
        os.utime(one, times=(0, 0))
    os.utime(young)
    remove_leftovers([path])
    assert set(tmp_path.iterdir()) == {young, *others}
    for write in (lambda: write_data(path, b""), lambda: write_together({path: b""})):
        old.touch()
        os.utime(old, times=(0, 0))
        write()
        assert set(tmp_path.iterdir()) == {path, young, *others}


def test_files_are_written_together(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"old")
    write_together({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a": b"1",
        "b": b"2",
    }


@pytest.mark.parametrize("size", [1, 4096])
def test_a_full_disk_leaves_all_files_as_they_were(tmp_path: Path, size: int) -> None:
    """The system refuses to write the last file beyond a size."""
    old = {tmp_path / name: name.encode() for name in ("a", "b")}
    write_together(old)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(OSError, match="large"):
            write_together({tmp_path / "a": b"1", tmp_path / "b": b"2" * 2 * size})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old


def test_a_folder_in_the_way_leaves_all_files_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").mkdir()
    with pytest.raises(IsADirectoryError):
        write_together({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2

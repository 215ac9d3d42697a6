"""CIFAR10's files: what is found, what is taken from the archive, what is refused."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
import torch
from images import blobs, fake_cifar10, has_cifar10

from mmbench.core.errors import DataError, UnknownNameError
from mmbench.tasks import _cifar10_data, _data_files
from mmbench.tasks._cifar10_data import CLASSES, cifar10, cifar10_split, read_member
from mmbench.tasks._data_files import DATA_VARIABLE

TRAIN, TEST = 20, 10
FOLDER = "cifar-10-batches-bin"
NAMES = [f"data_batch_{i}.bin" for i in range(1, 6)]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a data set of thirty images, known by its checksums."""
    folder = fake_cifar10(tmp_path, monkeypatch, train=TRAIN, test=TEST)
    monkeypatch.delenv(DATA_VARIABLE)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, not the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(_data_files.pooch, "os_cache", lambda _: folder)
    return folder


@pytest.fixture
def offline(monkeypatch, cache):
    """Requests for a download, each of which fails."""
    asked = []

    def retrieve(url, **_):
        asked.append(url)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(_data_files.pooch, "retrieve", retrieve)
    return asked


def write_archive(path, entries):
    """Write a gzipped tar of entries, each given by its attributes and its bytes."""
    with tarfile.open(path, "w:gz") as archive:
        for changes, content in entries:
            entry = tarfile.TarInfo()
            entry.size = len(content)
            for name, value in changes.items():
                setattr(entry, name, value)
            archive.addfile(entry, io.BytesIO(content))
    return path


def write_complete_archive(files, path):
    """Write an archive of all six files."""
    names = [*NAMES, "test_batch.bin"]
    return write_archive(
        path,
        [
            ({"name": f"{FOLDER}/{name}"}, (files / FOLDER / name).read_bytes())
            for name in names
        ],
    )


@pytest.mark.parametrize("folder", ["", FOLDER])
def test_files_are_found_in_the_folder_and_in_its_own(files, offline, folder):
    """Both layouts give the images that were written, in their order."""
    train, test = cifar10_split(files / folder)
    for images, count in ((train, TRAIN), (test, TEST)):
        pixels, labels = blobs(count, seed=count)
        assert images.pixels.dtype == torch.uint8
        assert images.labels.dtype == torch.int64
        assert torch.equal(images.pixels, pixels)
        assert torch.equal(images.labels, labels)
    assert not offline


def test_a_record_is_a_label_then_red_green_and_blue(tmp_path, monkeypatch):
    """One record written by hand comes out row by row, colour by colour."""
    record = bytes([7]) + bytes(i % 251 for i in range(3072))
    (tmp_path / "test_batch.bin").write_bytes(record)
    digest = _cifar10_data.hashlib.sha256(record).hexdigest()
    part = _data_files.DataFile("test_batch.bin", 3073, digest, 1)
    monkeypatch.setitem(_cifar10_data._FILES, "test", (part,))
    pixels, labels = cifar10("test", tmp_path)
    assert labels.tolist() == [7]
    assert CLASSES[7] == "horse"
    assert pixels.shape == (1, 3, 32, 32)
    assert pixels[0, 0, 0, :3].tolist() == [0, 1, 2]
    assert pixels[0, 0, 1, 0] == 32
    assert pixels[0, 1, 0, 0] == 1024 % 251
    assert pixels[0, 2, 31, 31] == 3071 % 251


def test_the_environment_names_the_folder(files, offline, monkeypatch):
    """Without an explicit folder, MMBENCH_DATA is looked at before the network."""
    monkeypatch.setenv(DATA_VARIABLE, str(files))
    assert len(cifar10("train").labels) == TRAIN
    assert not offline


def test_a_truncated_file_is_refused(files):
    """The message names the file and the number of bytes in it."""
    path = files / FOLDER / NAMES[2]
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match=rf"{NAMES[2]} must be CIFAR10's .* got 20 byt"):
        cifar10("train", files)


def test_a_flipped_bit_is_refused(files):
    """A file of the right length with another content is not the right one."""
    path = files / FOLDER / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"SHA-256 .* Fetch it again"):
        cifar10("test", files)


def test_a_file_missing_from_a_given_folder_is_not_downloaded(files, offline):
    """An explicit folder must have the files; the message names the remedy."""
    (files / FOLDER / NAMES[1]).unlink()
    with pytest.raises(DataError, match=rf"{NAMES[1]} of CIFAR10 must lie in .* Set M"):
        cifar10("train", files)
    assert not offline


def test_an_unknown_split_is_refused():
    """A misspelt split is answered with the nearest."""
    with pytest.raises(UnknownNameError, match="Did you mean 'test'"):
        cifar10("tset")


def test_without_a_network_the_message_names_the_remedy(files, offline):
    """The reason is given, and the remedy named."""
    with pytest.raises(DataError, match=r"no route to host.* Set MMBENCH_DATA or"):
        cifar10("test")
    assert len(offline) == 1


# ---- the archive ----


def test_the_archive_is_fetched_once_and_its_files_are_kept(
    files, cache, monkeypatch, tmp_path
):
    """The first call downloads, the second reads the cache; a bad copy is replaced."""
    archive = write_complete_archive(files, tmp_path / "archive.tar.gz")
    asked = []

    def retrieve(url, *, known_hash, fname, path, **_):
        asked.append((url, known_hash, fname, path))
        return str(archive)

    monkeypatch.setattr(_data_files.pooch, "retrieve", retrieve)
    expected = cifar10("test", files)
    assert torch.equal(cifar10("test").pixels, expected.pixels)
    assert asked == [
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            f"sha256:{_cifar10_data._ARCHIVE_SHA256}",
            "cifar-10-binary.tar.gz",
            cache,
        )
    ]
    assert torch.equal(cifar10("test").pixels, expected.pixels)
    assert len(asked) == 1
    kept = cache / FOLDER / "test_batch.bin"
    assert [path for path in cache.rglob("*") if path.is_file()] == [kept]
    kept.write_bytes(b"damaged")
    assert torch.equal(cifar10("test").pixels, expected.pixels)
    assert len(asked) == 2


def test_an_unwritable_cache_is_reported(files, cache, monkeypatch, tmp_path):
    """A file in place of the folder gives a clear message."""
    archive = write_complete_archive(files, tmp_path / "archive.tar.gz")
    monkeypatch.setattr(_data_files.pooch, "retrieve", lambda *_, **__: str(archive))
    cache.mkdir()
    (cache / FOLDER).write_bytes(b"")
    with pytest.raises(DataError, match="must be a file that can be written; got"):
        cifar10("test")


RIGHT = f"{FOLDER}/test_batch.bin"
# Entries by the right name or near it, made from the right bytes.
MALICIOUS = {
    "absent": (lambda b: [({"name": "other"}, b)], "an archive without it"),
    "path that climbs": (
        lambda b: [({"name": f"../{RIGHT}"}, b), ({"name": f"/{RIGHT}"}, b)],
        "an archive without it",
    ),
    "symbolic link": (
        lambda b: [
            ({"name": RIGHT, "type": tarfile.SYMTYPE, "linkname": "/etc/hosts"}, b"")
        ],
        "something that is no file",
    ),
    "symbolic link of the right size": (
        lambda b: [
            ({"name": RIGHT, "type": tarfile.SYMTYPE, "linkname": "/etc/hosts"}, b)
        ],
        "something that is no file",
    ),
    "hard link": (
        lambda b: [
            ({"name": "x"}, b),
            ({"name": RIGHT, "type": tarfile.LNKTYPE, "linkname": "x"}, b""),
        ],
        "something that is no file",
    ),
    "device": (
        lambda b: [({"name": RIGHT, "type": tarfile.CHRTYPE}, b"")],
        "something that is no file",
    ),
    "folder": (
        lambda b: [({"name": RIGHT, "type": tarfile.DIRTYPE}, b"")],
        "something that is no file",
    ),
    "too large": (lambda b: [({"name": RIGHT}, b + b"\0")], "a file of 30731 bytes"),
    "too small": (lambda b: [({"name": RIGHT}, b[:-1])], "a file of 30729 bytes"),
    "other content": (lambda b: [({"name": RIGHT}, b[::-1])], "got [0-9a-f]{16}"),
    "right, then another": (
        lambda b: [({"name": RIGHT}, b), ({"name": RIGHT}, b[::-1])],
        "got [0-9a-f]{16}",
    ),
}


@pytest.mark.parametrize("kind", MALICIOUS)
def test_a_malicious_archive_is_refused(files, tmp_path, kind):
    """Only a regular file of that name, size and content is read; none is written."""
    entries, got = MALICIOUS[kind]
    part = _cifar10_data._FILES["test"][0]
    right = (files / RIGHT).read_bytes()
    room = tmp_path / "room"
    room.mkdir()
    archive = write_archive(room / "archive.tar.gz", entries(right))
    before = set(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=rf"archive\.tar\.gz must have .*{got}"):
        read_member(archive, part)
    assert set(tmp_path.rglob("*")) == before


def test_a_right_archive_is_read(files, tmp_path):
    """The same call accepts a valid archive."""
    archive = write_complete_archive(files, tmp_path / "archive.tar.gz")
    part = _cifar10_data._FILES["test"][0]
    assert read_member(archive, part) == (files / RIGHT).read_bytes()


DAMAGED = {
    "empty": lambda b: b"",
    "text": lambda b: b"this is no archive",
    "cut": lambda b: b[: len(b) // 2],
    "bad deflate": lambda b: b[:10] + b"\xff" * 40,
    "no tar": lambda b: gzip.compress(b"\x80\x04K\x01." * 200),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_archive_is_refused(files, tmp_path, kind):
    """A file that is no gzipped tar gives a message that names it."""
    archive = write_complete_archive(files, tmp_path / "archive.tar.gz")
    archive.write_bytes(DAMAGED[kind](archive.read_bytes()))
    with pytest.raises(DataError, match=r"archive\.tar\.gz must be a complete gzipped"):
        read_member(archive, _cifar10_data._FILES["test"][0])


# ---- the real files ----


@pytest.mark.skipif(not has_cifar10(), reason="MMBENCH_DATA names no CIFAR10")
def test_cifar10_is_the_published_one():
    """Counts of the classes and means of the colours, as published."""
    train, test = cifar10_split()
    assert train.pixels.shape == (50000, 3, 32, 32)
    assert test.pixels.shape == (10000, 3, 32, 32)
    assert train.labels.bincount().tolist() == [5000] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    means = [train.pixels[:, i].double().mean().item() / 255 for i in range(3)]
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)


def test_files_are_read_once_until_one_changes(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte changed in place, with size and time restored, is noticed."""
    kept = _data_files.KeptSplits(_cifar10_data._read_split)
    monkeypatch.setattr(_cifar10_data, "_KEPT", kept)
    monkeypatch.setattr(_data_files, "SETTLED_SECONDS", -1.0)
    first = cifar10("test", files)
    assert cifar10("test", files) is first
    assert cifar10("train", files) is not first
    path = files / "cifar-10-batches-bin" / "test_batch.bin"
    before, content = path.stat(), path.read_bytes()
    with path.open("r+b") as file:
        file.write(bytes([content[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DataError, match=r"must be CIFAR10's file"):
        cifar10("test", files)
    path.write_bytes(content)
    again = cifar10("test", files)
    assert again is not first
    assert torch.equal(again.pixels, first.pixels)


def test_images_that_were_written_into_are_read_again(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another game gets those of the files."""
    kept = _data_files.KeptSplits(_cifar10_data._read_split)
    monkeypatch.setattr(_cifar10_data, "_KEPT", kept)
    monkeypatch.setattr(_data_files, "SETTLED_SECONDS", -1.0)
    first = cifar10("test", files)
    before = first.pixels.clone()
    first.pixels.view(-1)[:5] += 1
    again = cifar10("test", files)
    assert torch.equal(again.pixels, before)


def test_files_that_were_just_written_are_read_again(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another write may come within the resolution of the file system's clock."""
    kept = _data_files.KeptSplits(_cifar10_data._read_split)
    monkeypatch.setattr(_cifar10_data, "_KEPT", kept)
    monkeypatch.setattr(_data_files, "SETTLED_SECONDS", 1000.0)
    assert cifar10("test", files) is not cifar10("test", files)

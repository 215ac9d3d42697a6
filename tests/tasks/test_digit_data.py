"""Data files of digits: finding them, refusing bad ones, and the messages."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from mmbench.core.errors import DataError, UnknownNameError
from mmbench.tasks import _data_files, _digit_data
from mmbench.tasks._data_files import DATA_VARIABLE
from mmbench.tasks._digit_data import (
    DIGITS_TOP,
    digits,
    digits_split,
    mnist,
    mnist_split,
    read_idx,
    scale_pixels,
)

COUNT = 3
NAMES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")


def idx(shape, *, kind=8, lengths=None):
    """Bytes of an idx file that counts upwards."""
    header = struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *(lengths or shape))
    return header + bytes(i % 251 for i in range(torch.Size(shape).numel()))


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a training set of three images, known by its checksums."""
    parts = []
    for name, shape in zip(NAMES, ((COUNT, 28, 28), (COUNT,)), strict=True):
        content = gzip.compress(idx(shape), mtime=0)
        path = tmp_path / "data" / "mnist" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        parts.append(_data_files.DataFile(name, len(content), digest, COUNT))
    monkeypatch.setitem(_digit_data._MNIST, "train", tuple(parts))
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    return tmp_path / "data"


@pytest.fixture
def offline(monkeypatch):
    """Requests for a download, each of which fails."""
    asked = []

    def retrieve(url, **_):
        asked.append(url)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(_data_files.pooch, "retrieve", retrieve)
    return asked


@pytest.mark.parametrize("folder", ["", "mnist"])
def test_files_are_found_in_the_folder_and_in_its_mnist(files, offline, folder):
    """Both layouts give the same pixels and labels."""
    images = mnist("train", files / folder)
    assert images.pixels.shape == (COUNT, 28, 28)
    assert images.pixels.flatten()[:252].tolist() == [*range(251), 0]
    assert images.labels.tolist() == [0, 1, 2]
    assert images.labels.dtype == torch.int64
    assert not offline


def test_the_environment_names_the_folder(files, offline, monkeypatch):
    """Without an explicit folder, MMBENCH_DATA is looked at before the network."""
    monkeypatch.setenv(DATA_VARIABLE, str(files))
    assert len(mnist("train").labels) == COUNT
    assert not offline


@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_file_is_refused(files, name):
    """The message names the file and the number of bytes in it."""
    path = files / "mnist" / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match=rf"{name} must .* got 20 bytes"):
        mnist("train", files)


def test_a_flipped_bit_is_refused(files):
    """A file of the right length with another content is not the right one."""
    path = files / "mnist" / NAMES[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"SHA-256 .* Fetch it again"):
        mnist("train", files)


def test_a_file_missing_from_a_given_folder_is_not_downloaded(files, offline):
    """An explicit folder must have the files; the message names the remedy."""
    (files / "mnist" / NAMES[1]).unlink()
    with pytest.raises(DataError, match=rf"{NAMES[1]} of MNIST must lie in .* Set MM"):
        mnist("train", files)
    assert not offline


def test_a_folder_in_the_place_of_a_file_is_refused(files):
    """What cannot be read is named, with the system's reason."""
    path = files / "mnist" / NAMES[0]
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="must be a file that can be read; got"):
        mnist("train", files)


def test_a_dangling_link_is_refused(files, offline):
    """A dangling link is an error and does not start a download."""
    path = files / "mnist" / NAMES[0]
    path.unlink()
    path.symlink_to(files / "nowhere")
    with pytest.raises(DataError, match="No such file"):
        mnist("train", files)
    assert not offline


def test_an_unknown_split_is_refused():
    """A misspelt split is answered with the nearest."""
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        mnist("trian")


def test_the_second_mirror_answers_when_the_first_fails(files, monkeypatch):
    """One dead mirror does not end the search, and the checksum goes along."""
    asked = []

    def retrieve(url, *, known_hash, fname, **_):
        asked.append((url, known_hash))
        if len(asked) == 1:
            raise OSError("503 Server Error")
        return str(files / "mnist" / fname)

    monkeypatch.setattr(_data_files.pooch, "retrieve", retrieve)
    assert mnist("train").labels.tolist() == [0, 1, 2]
    first, second, third = asked
    assert first[0].endswith(NAMES[0])
    assert second[0].endswith(NAMES[0])
    assert third[0].endswith(NAMES[1])
    assert first[0] != second[0]
    assert first[1] == f"sha256:{_digit_data._MNIST['train'][0].sha256}"


def test_without_a_network_the_message_names_the_remedy(offline, monkeypatch):
    """All mirrors are tried, their reasons given, and the remedy named."""
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(DataError) as error:
        mnist("train")
    assert len(offline) == 2
    assert str(error.value).count("no route to host") == 2
    assert "Set MMBENCH_DATA or --data-dir" in str(error.value)


def test_the_message_says_what_the_folder_of_the_environment_lacks(
    offline, monkeypatch, tmp_path
):
    """MMBENCH_DATA is named with its value and with the files it could have."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    lacking = rf"MMBENCH_DATA is '{tmp_path}', which lacks mnist/{NAMES[0]}"
    with pytest.raises(DataError, match=lacking):
        mnist("train")
    assert len(offline) == 2


def test_an_environment_that_names_no_folder_is_refused(offline, monkeypatch, tmp_path):
    """A mistyped MMBENCH_DATA does not start a download."""
    (tmp_path / "file").touch()
    for name, what in (("nowhere", "no folder there"), ("file", "a file")):
        monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / name))
        with pytest.raises(DataError, match=rf"got '.*{name}', and {what}"):
            mnist("train")
    assert not offline


def test_files_are_read_once_until_one_changes(files, monkeypatch):
    """The images of a split are those of its files as they are now."""
    kept = _data_files.KeptSplits(_digit_data._read_split)
    monkeypatch.setattr(_digit_data, "_KEPT", kept)
    monkeypatch.setattr(_data_files, "SETTLED_SECONDS", -1.0)
    first = mnist("train", files)
    assert mnist("train", files) is first
    path = files / "mnist" / NAMES[0]
    path.write_bytes(path.read_bytes())
    assert mnist("train", files) is not first


WRONG = {
    "empty": b"",
    "no gzip": b"\x00\x01 this is text",
    "cut gzip": gzip.compress(idx((COUNT, 28, 28)))[:-9],
    "bad deflate": gzip.compress(idx((COUNT, 28, 28)))[:10] + b"\xff" * 40,
    "other axes": gzip.compress(idx((COUNT, 28 * 28))),
    "other type": gzip.compress(idx((COUNT, 28, 28), kind=13)),
    "other count": gzip.compress(idx((COUNT + 1, 28, 28))),
    "too short": gzip.compress(idx((COUNT, 28, 27), lengths=(COUNT, 28, 28))),
    "too long": gzip.compress(idx((COUNT, 28, 28)) + b"\x00"),
    "header only": gzip.compress(idx((COUNT, 28, 28))[:7]),
    "a pickle": gzip.compress(b"\x80\x04K\x01."),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_foreign_file_is_refused(tmp_path, kind):
    """A file that is no idx file of that shape gives a message that names it."""
    path = tmp_path / "foreign.gz"
    path.write_bytes(WRONG[kind])
    with pytest.raises(DataError, match=r"foreign\.gz must .* got"):
        read_idx(path, (COUNT, 28, 28))


def test_a_right_file_is_read(tmp_path):
    """The same call accepts a valid file."""
    path = tmp_path / "right.gz"
    path.write_bytes(gzip.compress(idx((COUNT, 28, 28))))
    assert read_idx(path, (COUNT, 28, 28)).shape == (COUNT, 28, 28)


def test_the_small_digits_are_the_known_ones():
    """1797 images with the counts that scikit-learn documents, 0 to 16."""
    pixels, labels = digits()
    assert pixels.shape == (1797, 8, 8)
    assert pixels.dtype == torch.uint8
    assert pixels.max() == DIGITS_TOP
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert labels.bincount().tolist() == counts
    listed = load_digits()
    assert torch.equal(pixels.double(), torch.from_numpy(listed.images))
    assert torch.equal(labels, torch.from_numpy(listed.target))


def test_the_split_of_the_small_digits_is_fixed_and_complete():
    """All images, in the file's order, every class on both sides, cut at a writer."""
    train, test = digits_split()
    assert test.labels[:20].tolist() == 2 * list(range(10))
    assert (len(train.labels), len(test.labels)) == (1415, 382)
    whole = digits()
    assert torch.equal(torch.cat((train.pixels, test.pixels)), whole.pixels)
    assert torch.equal(torch.cat((train.labels, test.labels)), whole.labels)
    assert test.labels.unique().tolist() == list(range(10))
    assert train.labels.unique().tolist() == list(range(10))


def test_classes_are_picked_in_order():
    """Only the classes asked for stay, image and label together."""
    whole = digits()
    picked = whole.of_classes((0, 1))
    rows = [i for i, label in enumerate(whole.labels.tolist()) if label < 2]
    assert torch.equal(picked.labels, whole.labels[rows])
    assert torch.equal(picked.pixels, whole.pixels[rows])


@pytest.mark.parametrize(("top", "middle"), [(16, 8), (255, 51)])
def test_pixels_are_scaled_to_plus_and_minus_one(top, middle):
    """The background is -1 and ink is 1, in the dtype asked for."""
    pixels = torch.tensor([0, middle, top], dtype=torch.uint8)
    scale = scale_pixels(pixels, top, torch.float64)
    assert scale.dtype == torch.float64
    assert scale.tolist() == pytest.approx([-1, 2 * middle / top - 1, 1])
    assert scale_pixels(pixels, top).dtype == torch.float32


def has_mnist():
    """Whether the real files lie where MMBENCH_DATA points."""
    folder = os.environ.get(DATA_VARIABLE)
    return bool(folder) and any(
        (Path(folder) / place / NAMES[0]).exists() for place in ("mnist", "")
    )


@pytest.mark.skipif(not has_mnist(), reason="MMBENCH_DATA names no folder with MNIST")
def test_mnist_is_the_published_one():
    """Counts of the classes, as published."""
    train, test = mnist_split()
    assert train.pixels.shape == (60000, 28, 28)
    assert test.pixels.shape == (10000, 28, 28)
    assert train.labels.bincount()[:2].tolist() == [5923, 6742]
    assert test.labels.bincount()[:2].tolist() == [980, 1135]
    assert len(train.of_classes((0, 1)).labels) == 12665

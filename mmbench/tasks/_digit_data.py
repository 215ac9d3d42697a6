"""Real images as tensors: handwritten digits, from files or from scikit-learn.

Pixels stay unsigned bytes until a sample is drawn (`scaled`), so a data set takes a
quarter of the room. Every file, found or downloaded, must have the published checksum.
Nothing here is ever unpickled.
"""

import gzip
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mmbench.core.errors import DataError, unknown_name
from mmbench.tasks._data_files import (
    DataFile,
    DataSet,
    content,
    downloaded,
    found,
    read_bytes,
)

MNIST_TOP = 255  # white
DIGITS_TOP = 16  # scikit-learn's digits count the inked pixels of a 4 x 4 block

# The first 1415 of scikit-learn's 1797 digits train and the other 382 test. A writer's
# digits lie together and begin with 0123456789 twice; so does the image numbered 1415,
# which puts different writers on the two sides.
DIGITS_TRAIN = 1415


class Images(NamedTuple):
    """Images and the class of each; grey ones have a height and a width alone."""

    pixels: UInt8[Tensor, "count *shape"]
    labels: Int64[Tensor, "count"]

    def of_classes(self, classes: tuple[int, ...]) -> "Images":
        """The images of these classes only, in their order."""
        kept = torch.isin(self.labels, torch.tensor(classes))
        return Images(self.pixels[kept], self.labels[kept])


class Split(NamedTuple):
    """One data set, cut into what is trained on and what is tested on."""

    train: Images
    test: Images

    def first(self, count: int) -> "Split":
        """The same with the first images to train on only; 0 keeps all."""
        if not count:
            return self
        pixels, labels = self.train
        return Split(Images(pixels[:count], labels[:count]), self.test)


def scaled(
    pixels: UInt8[Tensor, "*shape"], top: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*shape"]:
    """Pixels moved from 0 ... top to -1 ... 1.

    Args:
        pixels: as stored.
        top: the value that becomes 1.
        dtype: of the result.
    """
    return pixels.to(dtype) * (2 / top) - 1


# ---- the small digits ----


def digits() -> Images:
    """The 1797 digits of 8 x 8 pixels, 0 to 16, that come with scikit-learn."""
    # Inside, because scikit-learn and scipy take a second that MNIST need not wait for.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Images(
        torch.from_numpy(bunch.images).to(torch.uint8),
        torch.from_numpy(bunch.target).long(),
    )


def digits_split() -> Split:
    """The small digits: the first 1415 to train on, 382 of other writers to test on."""
    pixels, labels = digits()
    return Split(
        Images(pixels[:DIGITS_TRAIN], labels[:DIGITS_TRAIN]),
        Images(pixels[DIGITS_TRAIN:], labels[DIGITS_TRAIN:]),
    )


# ---- MNIST ----


# The checksums belong to files whose MD5 sums are those that torchvision lists.
_MNIST = {
    "train": (
        DataFile(
            "train-images-idx3-ubyte.gz",
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            60000,
        ),
        DataFile(
            "train-labels-idx1-ubyte.gz",
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            60000,
        ),
    ),
    "test": (
        DataFile(
            "t10k-images-idx3-ubyte.gz",
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            10000,
        ),
        DataFile(
            "t10k-labels-idx1-ubyte.gz",
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            10000,
        ),
    ),
}

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

_DATA = DataSet("MNIST", "mnist", "train-images-idx3-ubyte.gz and its three companions")


def mnist(split: str, data_dir: Path | None = None) -> Images:
    """MNIST, from the four files as published.

    Args:
        split: "train" (60 000 images) or "test" (10 000).
        data_dir: folder with the files, or with a folder `mnist` that has them; they
            must be there. None looks in the folder that MMBENCH_DATA names, then in
            the user's cache, and downloads what neither has.

    Raises:
        DataError: when a file is missing, unreadable or not the one published.
    """
    if split not in _MNIST:
        raise unknown_name("split of MNIST", split, _MNIST)
    images, labels = (_located(part, data_dir) for part in _MNIST[split])
    return Images(
        read_idx(images, (_MNIST[split][0].count, 28, 28)),
        read_idx(labels, (_MNIST[split][1].count,)).long(),
    )


def mnist_split(data_dir: Path | None = None) -> Split:
    """MNIST as published: 60 000 images to train on and 10 000 to test on."""
    return Split(mnist("train", data_dir), mnist("test", data_dir))


def _located(part: DataFile, data_dir: Path | None) -> Path:
    """A path to that file, whose checksum holds."""
    path = found(_DATA, part, data_dir)
    if path is None:
        return downloaded(_DATA, part.name, part.sha256, _MIRRORS)
    content(_DATA, part, path)
    return path


# ---- the idx format ----


def read_idx(path: Path, shape: tuple[int, ...]) -> UInt8[Tensor, "..."]:
    """Bytes of a gzipped idx file: two zeros, type 8, the axes, their lengths, data.

    Args:
        path: the file.
        shape: what it must hold.

    Raises:
        DataError: when the file is unreadable, truncated, or holds something else.
    """
    try:
        unpacked = gzip.decompress(read_bytes(path))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} must be a complete gzip file; got one that fails with {error}. "
            "Fetch it again, or remove it."
        ) from error
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    size = len(header) + torch.Size(shape).numel()
    if unpacked[: len(header)] != header or len(unpacked) != size:
        raise DataError(
            f"{path} must hold {size} bytes that begin with the idx header "
            f"{header.hex()}, unsigned bytes of shape {shape}; got {len(unpacked)} "
            f"bytes that begin with {unpacked[: len(header)].hex() or 'nothing'}. "
            "Fetch it again, or remove it."
        )
    # A bytearray, because torch wants memory that may be written.
    flat = torch.frombuffer(bytearray(unpacked), dtype=torch.uint8, offset=len(header))
    return flat.reshape(shape)

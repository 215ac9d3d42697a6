"""Images of handwritten digits as tensors, from MNIST's files or from scikit-learn.

Pixels stay unsigned bytes until a minibatch is drawn (`scale_pixels`), so that a data
set takes a quarter of the memory.

Source: LeCun, Bottou, Bengio and Haffner 1998 (MNIST); Alpaydin and Kaynak 1998, UCI
    (the small digits).
"""

import gzip
import io
import struct
import zlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mmbench.core.errors import DataError, unknown_name
from mmbench.core.files import read_data
from mmbench.tasks._data_files import (
    DataFile,
    DataSet,
    KeptSplits,
    cache_folder,
    download,
    find_file,
    read_checked,
)

MNIST_TOP = 255  # white
DIGITS_TOP = 16  # a pixel of scikit-learn's digits counts the ink of a 4 x 4 block

# The first 1415 of scikit-learn's 1797 digits are for training and the other 382 for
# tests. The digits of a writer follow each other and begin with 0123456789 twice, which
# the image of index 1415 does, so that the two sets have different writers.
DIGITS_TRAIN = 1415


class Images(NamedTuple):
    """Images with their classes.

    Args:
        pixels: from 0 to the largest value of the data set; grey images have shape
            (count, height, width), others (count, channels, height, width).
        labels: class of each image.
    """

    pixels: UInt8[Tensor, " count *shape"]
    labels: Int64[Tensor, " count"]

    def of_classes(self, classes: tuple[int, ...]) -> "Images":
        """Return the images of these classes, in their order."""
        kept = torch.isin(self.labels, torch.tensor(classes))
        return Images(self.pixels[kept], self.labels[kept])


class Split(NamedTuple):
    """The training images and the test images of a data set."""

    train: Images
    test: Images

    def of_classes(self, classes: tuple[int, ...]) -> "Split":
        """Return the images of these classes, in their order."""
        return Split(self.train.of_classes(classes), self.test.of_classes(classes))

    def first(self, count: int) -> "Split":
        """Return the split with the first training images only; 0 keeps all."""
        if not count:
            return self
        pixels, labels = self.train
        return Split(Images(pixels[:count], labels[:count]), self.test)


def scale_pixels(
    pixels: UInt8[Tensor, "*shape"], top: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*shape"]:
    """Scale pixels from [0, top] to [-1, 1].

    Args:
        pixels: pixels of any shape.
        top: pixel value that becomes 1.
        dtype: dtype of the result.
    """
    return pixels.to(dtype) * (2 / top) - 1


# ---- the small digits ----


@cache
def digits() -> Images:
    """Return the 1797 digits that come with scikit-learn.

    Returns:
        Pixels from 0 to 16, shape (1797, 8, 8), and labels 0 to 9.
    """
    # Only its file is read, since to import scikit-learn takes a second.
    found = find_spec("sklearn")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = torch.from_numpy(np.loadtxt(path, delimiter=","))
    return Images(table[:, :-1].reshape(-1, 8, 8).to(torch.uint8), table[:, -1].long())


def digits_split() -> Split:
    """Return scikit-learn's first 1415 digits, and 382 of other writers as test set."""
    pixels, labels = digits()
    return Split(
        Images(pixels[:DIGITS_TRAIN], labels[:DIGITS_TRAIN]),
        Images(pixels[DIGITS_TRAIN:], labels[DIGITS_TRAIN:]),
    )


# ---- MNIST ----


# The checksums are those of the files whose MD5 sums torchvision lists.
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
    """Return the images of MNIST from the four published files.

    They are read and checked once in a process, and again where a file has changed or
    someone has written into the tensors.

    Args:
        split: "train" (60 000 images) or "test" (10 000).
        data_dir: folder with the files, or with a folder `mnist` that has them; they
            must be there. None looks in the folder that MMBENCH_DATA names, then in
            the user's cache, and downloads what neither has.

    Returns:
        Pixels from 0 to 255, shape (count, 28, 28), and labels 0 to 9.

    Raises:
        DataError: when a file is missing, unreadable or not the published one.
        UnknownNameError: when there is no such split.
    """
    if split not in _MNIST:
        raise unknown_name("split of MNIST", split, _MNIST)
    return _KEPT.tensors(
        split,
        data_dir,
        _MNIST[split],
        lambda file: find_file(_DATA, file, data_dir) or cache_folder() / file.name,
    )


def _read_split(split: str, data_dir: Path | None) -> Images:
    """Read the images of a split from its files."""
    images, labels = _MNIST[split]
    return Images(
        read_idx(_find_or_download(images, data_dir), (images.images, 28, 28)),
        read_idx(_find_or_download(labels, data_dir), (labels.images,)).long(),
    )


_KEPT = KeptSplits(_read_split)


def mnist_split(data_dir: Path | None = None) -> Split:
    """Return the 60 000 training images and the 10 000 test images of MNIST.

    Args:
        data_dir: folder of data files, as in `mnist`.
    """
    return Split(mnist("train", data_dir), mnist("test", data_dir))


def _find_or_download(file: DataFile, data_dir: Path | None) -> Path:
    """Return the path of a file with the right checksum."""
    path = find_file(_DATA, file, data_dir)
    if path is None:
        return download(_DATA, file.name, file.sha256, _MIRRORS)
    read_checked(_DATA, file, path)
    return path


# ---- the idx format ----


def read_idx(path: Path, shape: tuple[int, ...]) -> UInt8[Tensor, "..."]:
    """Return the bytes of a gzipped idx file as a tensor.

    The file has two bytes 0, the type 8, the number of axes, their lengths, and data.

    Args:
        path: path of the file.
        shape: shape that the data must have.

    Raises:
        DataError: when the file is unreadable, truncated, or holds other data.
    """
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    size = len(header) + torch.Size(shape).numel()
    try:
        # One byte more shows that it is too long, however long it would be.
        with gzip.open(io.BytesIO(read_data(path))) as packed:
            unpacked = packed.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} must be a complete gzip file; got one that fails with {error}. "
            "Fetch it again, or remove it."
        ) from error
    got = f"more than {size}" if len(unpacked) > size else f"{len(unpacked)}"
    if unpacked[: len(header)] != header or len(unpacked) != size:
        raise DataError(
            f"{path} must hold {size} bytes that begin with the idx header "
            f"{header.hex()}, unsigned bytes of shape {shape}; got {got} "
            f"bytes that begin with {unpacked[: len(header)].hex() or 'nothing'}. "
            "Fetch it again, or remove it."
        )
    # A bytearray, because torch warns about memory that is read-only.
    flat = torch.frombuffer(bytearray(unpacked), dtype=torch.uint8, offset=len(header))
    return flat.reshape(shape)

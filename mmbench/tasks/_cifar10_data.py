"""CIFAR10 as tensors, from the binary files as published.

A record is one byte for the class, then 32 x 32 bytes of red, of green and of blue.

Source: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.
"""

import hashlib
import tarfile
import tempfile
import zlib
from pathlib import Path

import torch

from mmbench.core.errors import DataError, unknown_name
from mmbench.tasks._data_files import (
    DataFile,
    DataSet,
    cache,
    content,
    downloaded,
    found,
)
from mmbench.tasks._digit_data import Images, Split

CIFAR10_TOP = 255  # full light in one colour

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

_RECORD = 3073  # 1 + 3 x 32 x 32
_SIZE = 10000 * _RECORD

# The checksums belong to files cut from the archive with the MD5 sum below.
_PARTS = {
    "train": (
        DataFile(
            "data_batch_1.bin",
            _SIZE,
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            10000,
        ),
        DataFile(
            "data_batch_2.bin",
            _SIZE,
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            10000,
        ),
        DataFile(
            "data_batch_3.bin",
            _SIZE,
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            10000,
        ),
        DataFile(
            "data_batch_4.bin",
            _SIZE,
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            10000,
        ),
        DataFile(
            "data_batch_5.bin",
            _SIZE,
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            10000,
        ),
    ),
    "test": (
        DataFile(
            "test_batch.bin",
            _SIZE,
            "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            10000,
        ),
    ),
}

# The author's page lists the MD5 sum c32a1d4ab5d03f1284b67883e8d87530 for it.
_ARCHIVE = "cifar-10-binary.tar.gz"
_ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
_MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)

_DATA = DataSet(
    "CIFAR10", "cifar-10-batches-bin", "data_batch_1.bin and its five companions"
)


def cifar10(split: str, data_dir: Path | None = None) -> Images:
    """CIFAR10, from the six binary files as published.

    Args:
        split: "train" (50 000 images) or "test" (10 000).
        data_dir: folder with the files, or with a folder `cifar-10-batches-bin` that
            has them; they must be there. None looks in the folder that MMBENCH_DATA
            names, then in the user's cache, and downloads the archive when a file is
            in neither.

    Returns:
        Pixels of shape (count, 3, 32, 32), and labels 0 to 9 as in `CLASSES`.

    Raises:
        DataError: when a file is missing, unreadable or not the one published.
    """
    if split not in _PARTS:
        raise unknown_name("split of CIFAR10", split, _PARTS)
    records = torch.cat(
        [
            # A bytearray, because torch wants memory that may be written.
            torch.frombuffer(bytearray(_bytes(part, data_dir)), dtype=torch.uint8)
            for part in _PARTS[split]
        ]
    ).reshape(-1, _RECORD)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).contiguous()
    return Images(pixels, records[:, 0].long())


def cifar10_split(data_dir: Path | None = None) -> Split:
    """CIFAR10 as published: 50 000 images to train on and 10 000 to test on."""
    return Split(cifar10("train", data_dir), cifar10("test", data_dir))


def _bytes(part: DataFile, data_dir: Path | None) -> bytes:
    """The content of that file, whose checksum holds."""
    path = found(_DATA, part, data_dir)
    if path is not None:
        return content(_DATA, part, path)
    path = cache() / _DATA.folder / part.name
    try:
        return content(_DATA, part, path)
    except DataError:  # not in the cache, or spoilt there, which is ours to mend
        archive = downloaded(_DATA, _ARCHIVE, _ARCHIVE_SHA256, _MIRRORS)
        read = member(archive, part)
        _keep(read, path)
        return read


# ---- the archive ----


def member(archive: Path, part: DataFile) -> bytes:
    """The content of one file of the archive, read without unpacking any other.

    Nothing is written, so no name in the archive can lead out of a folder.

    Args:
        archive: a gzipped tar file.
        part: the file in its folder `cifar-10-batches-bin`.

    Raises:
        DataError: when the archive is damaged, or what it has by that name is not a
            file of that size with that checksum.
    """
    name = f"{_DATA.folder}/{part.name}"
    try:
        with tarfile.open(archive, "r:gz") as packed:
            entry = packed.getmember(name)
            if not entry.isreg() or entry.size != part.size:
                kind = "a file" if entry.isreg() else "something that is no file"
                raise DataError(
                    f"{archive} must have {name} as a file of {part.size} bytes; got "
                    f"{kind} of {entry.size} bytes. Remove the archive."
                )
            read = packed.extractfile(entry).read()
    except KeyError as error:
        raise DataError(
            f"{archive} must have {name}; got an archive without it. "
            "Remove the archive."
        ) from error
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(
            f"{archive} must be a complete gzipped tar file; got one that fails with "
            f"{error}. Remove the archive."
        ) from error
    digest = hashlib.sha256(read).hexdigest()
    if digest != part.sha256:
        raise DataError(
            f"{archive} must have {name} with SHA-256 {part.sha256[:16]}...; got "
            f"{digest[:16]}.... Remove the archive."
        )
    return read


def _keep(read: bytes, path: Path) -> None:
    """Write by rename, because several processes may do the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(read)
        Path(file.name).replace(path)
    except OSError as error:
        raise DataError(
            f"{path} must be a file that can be written; got "
            f"{error.strerror or error}. {_DATA.remedy}."
        ) from error

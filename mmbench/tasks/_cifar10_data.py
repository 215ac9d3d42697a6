"""CIFAR10 as tensors, read from the published binary files.

A record is one byte for the class, then 32 x 32 bytes of red, of green and of blue.

Source: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.
"""

import hashlib
import tarfile
import zlib
from pathlib import Path

import torch

from mmbench.core.errors import DataError, unknown_name
from mmbench.core.files import write_data
from mmbench.tasks._data_files import (
    DataFile,
    DataSet,
    KeptSplits,
    cache_folder,
    download,
    find_file,
    read_checked,
)
from mmbench.tasks._digit_data import Images, Split

CIFAR10_TOP = 255  # full intensity of a colour

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

_RECORD_BYTES = 3073  # 1 + 3 x 32 x 32
_FILE_BYTES = 10000 * _RECORD_BYTES

# The checksums are those of the files in the archive with the MD5 sum below.
_FILES = {
    "train": (
        DataFile(
            "data_batch_1.bin",
            _FILE_BYTES,
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            10000,
        ),
        DataFile(
            "data_batch_2.bin",
            _FILE_BYTES,
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            10000,
        ),
        DataFile(
            "data_batch_3.bin",
            _FILE_BYTES,
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            10000,
        ),
        DataFile(
            "data_batch_4.bin",
            _FILE_BYTES,
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            10000,
        ),
        DataFile(
            "data_batch_5.bin",
            _FILE_BYTES,
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            10000,
        ),
    ),
    "test": (
        DataFile(
            "test_batch.bin",
            _FILE_BYTES,
            "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            10000,
        ),
    ),
}

# The author's page lists the MD5 sum c32a1d4ab5d03f1284b67883e8d87530 of the archive.
_ARCHIVE = "cifar-10-binary.tar.gz"
_ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
_MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)

_DATA = DataSet(
    "CIFAR10", "cifar-10-batches-bin", "data_batch_1.bin and its five companions"
)


def cifar10(split: str, data_dir: Path | None = None) -> Images:
    """Return the images of CIFAR10 from the six published binary files.

    They are read and checked once in a process, and again where a file has changed or
    someone has written into the tensors.

    Args:
        split: "train" (50 000 images) or "test" (10 000).
        data_dir: folder with the files, or with a folder `cifar-10-batches-bin` that
            has them; they must be there. None looks in the folder that MMBENCH_DATA
            names, then in the user's cache, and downloads the archive when a file is
            in neither.

    Returns:
        Pixels from 0 to 255, shape (count, 3, 32, 32), and labels 0 to 9 as in
        `CLASSES`.

    Raises:
        DataError: when a file is missing, unreadable or not the published one.
        UnknownNameError: when there is no such split.
    """
    if split not in _FILES:
        raise unknown_name("split of CIFAR10", split, _FILES)
    return _KEPT.tensors(
        split,
        data_dir,
        _FILES[split],
        lambda file: find_file(_DATA, file, data_dir) or _cached(file),
    )


def _read_split(split: str, data_dir: Path | None) -> Images:
    """Read the images of a split from its files."""
    records = torch.cat(
        [
            # A bytearray, because torch warns about memory that is read-only.
            torch.frombuffer(bytearray(_read(file, data_dir)), dtype=torch.uint8)
            for file in _FILES[split]
        ]
    ).reshape(-1, _RECORD_BYTES)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).contiguous()
    return Images(pixels, records[:, 0].long())


_KEPT = KeptSplits(_read_split)


def cifar10_split(data_dir: Path | None = None) -> Split:
    """Return the 50 000 training images and the 10 000 test images of CIFAR10.

    Args:
        data_dir: folder of data files, as in `cifar10`.
    """
    return Split(cifar10("train", data_dir), cifar10("test", data_dir))


def _read(file: DataFile, data_dir: Path | None) -> bytes:
    """Return the bytes of a file that was found, cached or taken from the archive."""
    path = find_file(_DATA, file, data_dir)
    if path is not None:
        return read_checked(_DATA, file, path)
    path = _cached(file)
    try:
        return read_checked(_DATA, file, path)
    except DataError:  # the cache lacks the file, or has a damaged one, to be replaced
        archive = download(_DATA, _ARCHIVE, _ARCHIVE_SHA256, _MIRRORS)
        content = read_member(archive, file)
        write_data(path, content)
        return content


def _cached(file: DataFile) -> Path:
    """Return the path of a file in the user's folder of downloaded files."""
    return cache_folder() / _DATA.folder / file.name


# ---- the archive ----


def read_member(archive: Path, file: DataFile) -> bytes:
    """Return the bytes of one file of the archive, without unpacking any other.

    Nothing is written, so no name in the archive can lead out of a folder.

    Args:
        archive: path of a gzipped tar file.
        file: file in the archive's folder `cifar-10-batches-bin`.

    Raises:
        DataError: when the archive is damaged, or its entry of that name is not a file
            of that size with that checksum.
    """
    name = f"{_DATA.folder}/{file.name}"
    try:
        with tarfile.open(archive, "r:gz") as packed:
            entry = packed.getmember(name)
            stream = packed.extractfile(entry) if entry.isreg() else None
            if stream is None or entry.size != file.size:
                kind = "a file" if entry.isreg() else "something that is no file"
                raise DataError(
                    f"{archive} must have {name} as a file of {file.size} bytes; got "
                    f"{kind} of {entry.size} bytes. Remove the archive."
                )
            content = stream.read()
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
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise DataError(
            f"{archive} must have {name} with SHA-256 {file.sha256[:16]}...; got "
            f"{digest[:16]}.... Remove the archive."
        )
    return content

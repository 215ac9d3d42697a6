"""Small files of generated images that the readers of data sets accept."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmbench.tasks import _cifar10_data, _digit_data
from mmbench.tasks._data_files import DATA_VARIABLE, DataFile


def blobs(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw colour images of ten classes; a blob's position and colour give its class.

    Args:
        count: number of images; classes have equal shares, in a random order.
        seed: seed of the random numbers.

    Returns:
        Bytes of shape (count, 3, 32, 32), and labels from 0 to 9.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count)[torch.randperm(count, generator=generator)] % 10
    turn = labels / 10 * 2 * torch.pi
    sway = torch.randn(count, 2, generator=generator)  # pixels
    down, right = 16 + 8 * turn.sin() + sway[:, 0], 16 + 8 * turn.cos() + sway[:, 1]
    along = torch.arange(32)
    distance = (along[:, None] - down[:, None, None]) ** 2
    distance = distance + (along - right[:, None, None]) ** 2
    shape = torch.exp(-distance / 50)[:, None]  # five pixels wide
    thirds = torch.arange(3) / 3 * 2 * torch.pi
    colour = (1 + torch.cos(turn[:, None] - thirds)) / 2
    grain = 20 * torch.rand(count, 3, 32, 32, generator=generator)
    pixels = 30 + 200 * shape * colour[:, :, None, None] + grain
    return pixels.clamp(0, 255).to(torch.uint8), labels


def fake_cifar10(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    train: int = 200,
    test: int = 100,
) -> Path:
    """Write a folder of files that the reader of CIFAR10 accepts in this test.

    MMBENCH_DATA names the folder, so tasks and commands find it too.

    Args:
        tmp_path: parent of the folder.
        monkeypatch: fixture of the test.
        train: number of training images, a multiple of five.
        test: number of test images.

    Returns:
        The folder for `data_dir` and `--data-dir`.
    """
    folder = tmp_path / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for split, count in (("train", train), ("test", test)):
        pixels, labels = blobs(count, seed=count)
        records = torch.cat((labels[:, None].to(torch.uint8), pixels.flatten(1)), 1)
        known = _cifar10_data._FILES[split]
        parts = []
        for part, rows in zip(known, records.chunk(len(known)), strict=True):
            written = rows.numpy().tobytes()
            (folder / part.name).write_bytes(written)
            digest = hashlib.sha256(written).hexdigest()
            parts.append(DataFile(part.name, len(written), digest, len(rows)))
        monkeypatch.setitem(_cifar10_data._FILES, split, tuple(parts))
    monkeypatch.setenv(DATA_VARIABLE, str(folder.parent))
    return folder.parent


def fake_mnist(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    train: int = 200,
    test: int = 100,
) -> Path:
    """Write a folder of files that the reader of MNIST accepts in this test.

    The images are grey blobs in the middle of 28 x 28 pixels.

    Args:
        tmp_path: parent of the folder.
        monkeypatch: fixture of the test.
        train: number of training images.
        test: number of test images.

    Returns:
        The folder for `data_dir` and `--data-dir`.
    """
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for split, count in (("train", train), ("test", test)):
        pixels, labels = blobs(count, seed=count)
        grey = pixels.amax(1)[:, 2:-2, 2:-2].contiguous()
        parts = []
        for part, tensor in zip(
            _digit_data._MNIST[split], (grey, labels.to(torch.uint8)), strict=True
        ):
            shape = tuple(tensor.shape)
            header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
            written = gzip.compress(header + tensor.numpy().tobytes())
            (folder / part.name).write_bytes(written)
            digest = hashlib.sha256(written).hexdigest()
            parts.append(DataFile(part.name, len(written), digest, count))
        monkeypatch.setitem(_digit_data._MNIST, split, tuple(parts))
    monkeypatch.setenv(DATA_VARIABLE, str(folder.parent))
    return folder.parent


def has_cifar10() -> bool:
    """Return whether MMBENCH_DATA names a folder with the real files."""
    data = os.environ.get(DATA_VARIABLE)
    folders = ("cifar-10-batches-bin", "")
    return bool(data) and any(
        (Path(data) / folder / "test_batch.bin").exists() for folder in folders
    )

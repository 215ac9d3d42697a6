"""Pack what the campaign needs beside the checkout, and unpack it on the device.

    python benchmarks/device/pack.py pack FOLDER --data DATA [--files NAME ...]
    python benchmarks/device/pack.py wheels FOLDER
    python benchmarks/device/pack.py unpack FOLDER TARGET

CIFAR10's binary files are kept without loss, at 17 MB each: every plane is predicted
from its neighbours (red and blue as differences from green, by the median edge
predictor), and the residues are Huffman-coded. `wheels` downloads pure wheels that a
machine with torch may lack. Unpacking needs NumPy alone.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
SIDE, RECORD = 32, 3073  # pixels; bytes of a label and three planes
CIFAR10 = "cifar-10-batches-bin"
FILES = ("test_batch.bin", "data_batch_1.bin", "data_batch_2.bin")
WHEELS = ("pooch", "platformdirs", "beartype", "jaxtyping", "wadler_lindig")


def predicted(west: np.ndarray, north: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Return the median edge prediction of a pixel from three neighbours."""
    most, least = np.maximum(west, north), np.minimum(west, north)
    flat = west + north - corner
    return np.where(corner >= most, least, np.where(corner <= least, most, flat))


def compress(content: bytes) -> bytes:
    """Return a binary file of CIFAR10, compressed."""
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    images = records[:, 1:].reshape(-1, 3, SIDE, SIDE).astype(np.int16)
    red, green, blue = images[:, 0], images[:, 1], images[:, 2]
    parts = [records[:, 0]]
    for plane in (green, red - green, blue - green):
        padded = np.pad(plane, ((0, 0), (1, 0), (1, 0)))
        guess = predicted(padded[:, 1:, :-1], padded[:, :-1, 1:], padded[:, :-1, :-1])
        parts.append(((plane - guess) & 255).astype(np.uint8))
    # Residues are noise: Huffman codes alone are as short as LZMA's, and faster.
    coder = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_HUFFMAN_ONLY)
    return coder.compress(b"".join(one.tobytes() for one in parts)) + coder.flush()


def decompress(content: bytes) -> bytes:
    """Return the binary file that was compressed, to the byte."""
    raw = np.frombuffer(zlib.decompress(content), np.uint8)
    count = len(raw) // RECORD
    # Images are the last axis, so that one pixel of all of them is contiguous.
    residues = raw[count:].reshape(3, count, SIDE, SIDE).transpose(0, 2, 3, 1).copy()
    planes: list[np.ndarray] = []
    for residue in residues:
        plane = np.zeros((SIDE + 1, SIDE + 1, count), np.int16)
        for row, column in np.ndindex(SIDE, SIDE):
            guess = predicted(
                plane[row + 1, column], plane[row, column + 1], plane[row, column]
            )
            value = (guess + residue[row, column]) & 255
            if planes:  # a difference from green; their sum is a byte
                green = planes[0][row + 1, column + 1]
                value = ((value + green) & 255) - green
            plane[row + 1, column + 1] = value
        planes.append(plane)
    green, red, blue = (one[1:, 1:] for one in planes)
    colours = np.stack((red + green, green, blue + green)).astype(np.uint8)
    records = np.empty((count, RECORD), np.uint8)
    records[:, 0] = raw[:count]
    records[:, 1:] = colours.transpose(3, 0, 1, 2).reshape(count, -1)
    return records.tobytes()


def pack(folder: Path, data: Path, files: list[str]) -> None:
    """Write compressed files, with digests of their contents in their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        content = (data / CIFAR10 / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:16]
        (folder / f"{name}.{digest}").write_bytes(compress(content))
    if (data / "mnist").is_dir():
        shutil.copytree(data / "mnist", folder / "mnist", dirs_exist_ok=True)


def unpack(folder: Path, target: Path) -> None:
    """Write data files to `target/data` and packages to `target/packages`."""
    images, packages = target / "data" / CIFAR10, target / "packages"
    images.mkdir(parents=True, exist_ok=True)
    packages.mkdir(exist_ok=True)

    def write(path: Path) -> None:
        content = decompress(path.read_bytes())
        if hashlib.sha256(content).hexdigest()[:16] != path.suffix[1:]:
            raise ValueError(f"{path} must unpack to the file that was packed.")
        (images / path.stem).write_bytes(content)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, sorted(folder.glob("*.bin.*"))))
    if (folder / "mnist").is_dir():
        shutil.copytree(folder / "mnist", target / "data" / "mnist", dirs_exist_ok=True)
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(packages)
    # mmbench asks for its own version, which a bare checkout does not give.
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    version = re.search(r'^version = "(.+)"', text, re.MULTILINE).group(1)
    noted = packages / f"mmbench-{version}.dist-info" / "METADATA"
    noted.parent.mkdir(exist_ok=True)
    noted.write_text(f"Metadata-Version: 2.1\nName: mmbench\nVersion: {version}\n")


def wheels(folder: Path) -> None:
    """Download the wheels, of the versions of `constraints.txt`."""
    words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
    limits = ["--only-binary=:all:", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*words, *limits, "-d", str(folder), *WHEELS], check=True)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--data", type=Path, required=True)
    packing.add_argument("--files", nargs="*", default=FILES)
    verbs.add_parser("wheels").add_argument("folder", type=Path)
    unpacking = verbs.add_parser("unpack")
    unpacking.add_argument("folder", type=Path)
    unpacking.add_argument("target", type=Path)
    given = vars(parser.parse_args())
    {"pack": pack, "unpack": unpack, "wheels": wheels}[given.pop("verb")](**given)


if __name__ == "__main__":
    main()

"""Download, check, conversion and reading of the weights of Inception.

The published file is a pickle. It is opened only if its SHA-256 is the published one,
and then by torch's restricted loader, which builds nothing but tensors. The converted
file is in the safetensors format, with its checksum in a JSON file in the same folder.
"""

import hashlib
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pooch
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from mmbench.core.errors import DataError
from mmbench.core.files import named_data_folder, read_data, write_data
from mmbench.core.json_schema import parse_json

ORIGINAL = "pt_inception-2015-12-05-6726825d.pth"
ORIGINAL_URL = (
    f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{ORIGINAL}"
)
# torch-fidelity publishes the same file under another name.
ORIGINAL_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"

_CONVERTED = "inception-2015-12-05.safetensors"
_FETCH = "Run mmbench features fetch inception, or give it the file with --from"

Shapes = Mapping[str, tuple[int, ...]]


def fetch(shapes: Shapes, source: Path | None = None) -> Path:
    """Convert the published file and write the result to the user's cache.

    Args:
        shapes: shapes of the weights, by their published names.
        source: path of the published file; None downloads it.

    Returns:
        The path of the converted file.

    Raises:
        DataError: if the file cannot be downloaded or read, is not the published one,
            or the result cannot be written.
    """
    path = _download() if source is None else source
    content = read_data(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != ORIGINAL_SHA256:
        raise DataError(
            f"{path} must have the SHA-256 {ORIGINAL_SHA256[:16]}... of {ORIGINAL}; "
            f"got {digest[:16]}... over {len(content)} bytes. Fetch it again."
        )
    return _write(_unpickle(content, path, shapes))


def read(shapes: Shapes) -> dict[str, Tensor]:
    """Return the converted weights, from MMBENCH_DATA/inception or the user's cache.

    Args:
        shapes: shapes of the weights, by their published names.

    Raises:
        DataError: if the weights are missing or damaged.
    """
    path = find_weights()
    if path is None:
        folders = " or ".join(str(folder) for folder in _folders())
        raise DataError(
            f"The weights of Inception must lie in {folders}; got none there. {_FETCH}."
        )
    content = read_data(path)
    digest = hashlib.sha256(content).hexdigest()
    try:
        record = parse_json(read_data(_record_path(path)))
        known, original = record["sha256"], record["original_sha256"]
        tensors = load_tensors(content) if digest == known else {}
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise DataError(
            f"{_record_path(path)} must hold the checksums of {path.name}; got "
            f"{' '.join(str(error).split())[:200]}. {_FETCH}."
        ) from error
    if (digest, original) != (known, ORIGINAL_SHA256):
        raise DataError(
            f"{path} must have the SHA-256 in {_record_path(path).name} and be made "
            f"from {ORIGINAL}; got {digest[:16]}... over {len(content)} bytes. "
            f"{_FETCH}."
        )
    return _check_shapes(tensors, path, shapes)


def find_weights() -> Path | None:
    """Return the path of the converted weights, or None if there are none."""
    paths = [folder / _CONVERTED for folder in _folders()]
    return next((path for path in paths if path.is_file()), None)


def _folders() -> list[Path]:
    """Return the folders to search for converted weights, the user's cache last."""
    data = named_data_folder()
    cached = Path(pooch.os_cache("mmbench")) / "inception"
    return [data / "inception", cached] if data else [cached]


def _record_path(path: Path) -> Path:
    return path.with_suffix(".json")


# ---- the published file ----


def _download() -> Path:
    try:
        return Path(
            pooch.retrieve(
                ORIGINAL_URL,
                known_hash=f"sha256:{ORIGINAL_SHA256}",
                fname=ORIGINAL,
                path=pooch.os_cache("mmbench"),
                progressbar=sys.stderr.isatty(),
            )
        )
    except (OSError, ValueError) as error:  # network and disk; a wrong checksum
        raise DataError(
            f"{ORIGINAL} must come from a file or from {ORIGINAL_URL}; got "
            f"{type(error).__name__} ({' '.join(str(error).split())[:80]}). Download "
            "it on another machine and give it with --from."
        ) from error


def _unpickle(content: bytes, path: Path, shapes: Shapes) -> dict[str, Tensor]:
    """Return the tensors in the published file, whose checksum has been checked."""
    try:
        # The only pickle that mmbench opens: with a known checksum, and with the
        # restricted loader.
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can raise anything
        raise DataError(
            f"{path} must hold tensors by name; got {' '.join(str(error).split())[:80]}"
            ". Fetch it again."
        ) from error
    if not isinstance(loaded, Mapping):
        raise DataError(
            f"{path} must hold tensors by name; got a {type(loaded).__name__}. "
            "Fetch it again."
        )
    counter = "num_batches_tracked"  # of training steps; some versions of torch add it
    tensors = {name: value for name, value in loaded.items() if counter not in name}
    return _check_shapes(tensors, path, shapes)


def _check_shapes(
    tensors: Mapping[str, Tensor], path: Path, shapes: Shapes
) -> dict[str, Tensor]:
    """Return the tensors in float32 if their names and shapes are the published ones.

    Raises:
        DataError: if they are not.
    """
    got = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = sorted(
        name for name in {*got, *shapes} if got.get(name) != shapes.get(name)
    )
    if wrong:
        raise DataError(
            f"{path} must hold {len(shapes)} tensors of Inception; got {len(got)}, "
            f"where {wrong[0]} has the shape {got.get(wrong[0], 'of none')} instead of "
            f"{shapes.get(wrong[0], 'none')}. {_FETCH}."
        )
    return {name: tensor.float().contiguous() for name, tensor in tensors.items()}


# ---- the converted file ----


def _write(tensors: dict[str, Tensor]) -> Path:
    """Write the converted file, then its checksum, each atomically by a rename."""
    path = _folders()[-1] / _CONVERTED
    content = save_tensors(tensors)
    record = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "original": ORIGINAL,
        "original_sha256": ORIGINAL_SHA256,
    }
    write_data(path, content)
    write_data(_record_path(path), json.dumps(record, indent=2).encode())
    return path

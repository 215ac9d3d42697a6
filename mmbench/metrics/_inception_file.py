"""The weights of Inception: fetched, checked, converted once, and read.

The published file is a pickle. It is opened only after its SHA-256 is known to be the
published one, and then by torch's restricted loader, which builds tensors and nothing
else. What is kept is a safetensors file, and its checksum in a JSON file beside it.
"""

import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pooch
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from mmbench.core.errors import DataError

ORIGINAL = "pt_inception-2015-12-05-6726825d.pth"
ORIGINAL_URL = (
    f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{ORIGINAL}"
)
# torch-fidelity publishes the same bytes under another name.
ORIGINAL_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"

_KEPT = "inception-2015-12-05.safetensors"
_FETCH = "Run mmbench features fetch inception, or give it the file with --from"

Shapes = Mapping[str, tuple[int, ...]]


def fetch(shapes: Shapes, source: Path | None = None) -> Path:
    """Convert the published file and keep the result in the user's cache.

    Args:
        shapes: of the weights, by their published names.
        source: the published file; None downloads it.

    Returns:
        The path of the result.

    Raises:
        DataError: when the file cannot be had, is not the published one, or the result
            cannot be written.
    """
    path = _downloaded() if source is None else source
    content = _bytes(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != ORIGINAL_SHA256:
        raise DataError(
            f"{path} must have the SHA-256 {ORIGINAL_SHA256[:16]}... of {ORIGINAL}; "
            f"got {digest[:16]}... over {len(content)} bytes. Fetch it again."
        )
    return _keep(_tensors(content, path, shapes))


def read(shapes: Shapes) -> dict[str, Tensor]:
    """The weights that `fetch` kept, from MMBENCH_DATA/inception or the user's cache.

    Args:
        shapes: of the weights, by their published names.

    Raises:
        DataError: when they are not there, or damaged.
    """
    path = kept()
    if path is None:
        places = " or ".join(str(place) for place in _places())
        raise DataError(
            f"The weights of Inception must lie in {places}; got none there. {_FETCH}."
        )
    content = _bytes(path)
    digest = hashlib.sha256(content).hexdigest()
    try:
        record = json.loads(_bytes(_record(path)))
        known, original = record["sha256"], record["original_sha256"]
        tensors = load_tensors(content) if digest == known else {}
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise DataError(
            f"{_record(path)} must hold the checksums of {path.name}; got "
            f"{' '.join(str(error).split())[:200]}. {_FETCH}."
        ) from error
    if (digest, original) != (known, ORIGINAL_SHA256):
        raise DataError(
            f"{path} must have the SHA-256 that stands in {_record(path).name}, made "
            f"from {ORIGINAL}; got {digest[:16]}... over {len(content)} bytes. "
            f"{_FETCH}."
        )
    return _fitting(tensors, path, shapes)


def kept() -> Path | None:
    """The path of the weights that `read` takes; None where there are none."""
    paths = [place / _KEPT for place in _places()]
    return next((path for path in paths if path.is_file()), None)


def _places() -> list[Path]:
    """Where the result may lie, the user's cache last."""
    data = os.environ.get("MMBENCH_DATA")
    cached = Path(pooch.os_cache("mmbench")) / "inception"
    return [Path(data) / "inception", cached] if data else [cached]


def _record(path: Path) -> Path:
    return path.with_suffix(".json")


# ---- the published file ----


def _downloaded() -> Path:
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
            "it elsewhere and give it with --from."
        ) from error


def _tensors(content: bytes, path: Path, shapes: Shapes) -> dict[str, Tensor]:
    """What is in the published file, whose checksum holds."""
    try:
        # The only foreign format that is opened: by the restricted loader, and only
        # these bytes, whose checksum is known.
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # the loader raises whatever damaged bytes lead to
        raise DataError(
            f"{path} must hold tensors by name; got {' '.join(str(error).split())[:80]}"
            ". Fetch it again."
        ) from error
    if not isinstance(found, Mapping):
        raise DataError(
            f"{path} must hold tensors by name; got a {type(found).__name__}. "
            "Fetch it again."
        )
    # Counters of training steps, which some versions of torch add.
    counter = "num_batches_tracked"
    tensors = {name: one for name, one in found.items() if counter not in name}
    return _fitting(tensors, path, shapes)


def _fitting(
    tensors: Mapping[str, Tensor], path: Path, shapes: Shapes
) -> dict[str, Tensor]:
    """The tensors in float32, once names and shapes are the published ones."""
    got = {name: tuple(one.shape) for name, one in tensors.items()}
    wrong = sorted(
        name for name in {*got, *shapes} if got.get(name) != shapes.get(name)
    )
    if wrong:
        raise DataError(
            f"{path} must hold {len(shapes)} tensors of Inception; got {len(got)}, "
            f"where {wrong[0]} has the shape {got.get(wrong[0], 'of none')} instead of "
            f"{shapes.get(wrong[0], 'none')}. {_FETCH}."
        )
    return {name: one.float().contiguous() for name, one in tensors.items()}


# ---- the result ----


def _keep(tensors: dict[str, Tensor]) -> Path:
    """Write both files by rename, the checksum last."""
    path = _places()[-1] / _KEPT
    content = save_tensors(tensors)
    record = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "original": ORIGINAL,
        "original_sha256": ORIGINAL_SHA256,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for target, written in (
            (path, content),
            (_record(path), json.dumps(record, indent=2).encode()),
        ):
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(written)
            Path(file.name).replace(target)
    except OSError as error:
        raise DataError(
            f"{path} must be a file that can be written; got {error.strerror or error}."
        ) from error
    return path


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} must be a file that can be read; got {error.strerror or error}."
        ) from error

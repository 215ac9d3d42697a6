"""Files of frozen networks: safetensors with training facts, identified by SHA-256.

A file holds the network's tensors, the confusion matrix on the test images, and facts
about the training in its header. It is written once and always read as a whole.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Int64, UInt8
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from mmbench.core.errors import DataError
from mmbench.core.files import read_file, write_data
from mmbench.core.json_schema import parse_json

Facts = dict[str, str | int | float]
Net = TypeVar("Net", bound=nn.Module)

WEIGHTS_FOLDER = Path(__file__).parent / "weights"


class Weights(NamedTuple):
    """The content of a network's file besides its tensors.

    Args:
        confusion: counts on the test images, by true class (rows) and predicted class.
        facts: facts about the training, such as seed, epochs, accuracy and command.
        sha256: checksum of the file.
    """

    confusion: Int64[Tensor, "10 10"]
    facts: Facts
    sha256: str


def load_weights(net: nn.Module, path: Path, sha256: str | None, what: str) -> Weights:
    """Replace a network's tensors by those in a file.

    Args:
        net: network on the device "meta".
        path: safetensors file that `write_weights` wrote.
        sha256: required checksum of the file; None accepts any.
        what: description of the network, for messages.

    Raises:
        DataError: if the file is missing, damaged or a different one.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise DataError(
            f"{path} must be a file that can be read; got {error.strerror or error}. "
            "Install mmbench again."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and digest != sha256:
        raise DataError(
            f"{path} must have the SHA-256 {sha256[:16]}...; got {digest[:16]}... over "
            f"{len(content)} bytes. Install mmbench again."
        )
    try:
        tensors = load_tensors(content)
        facts = parse_json(_metadata(content)["mmbench"])
        confusion = tensors.pop("confusion")
        net.load_state_dict(tensors, assign=True)
    except (
        *(SafetensorError, KeyError, TypeError, ValueError, RuntimeError),
    ) as error:
        raise DataError(
            f"{path} must hold {what}; got {' '.join(str(error).split())[:200]}."
        ) from error
    return Weights(confusion, facts, digest)


def _metadata(content: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file, JSON after its length in 8 bytes."""
    length = int.from_bytes(content[:8], "little")
    return parse_json(content[8 : 8 + length])["__metadata__"]


def freeze(net: Net, device: torch.device | str) -> Net:
    """Return the network on a device, in evaluation mode and without gradients."""
    return net.to(device).eval().requires_grad_(requires_grad=False)


def to_channels_last(net: Net) -> Net:
    """Return the network in the memory layout in which a CPU convolves faster."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stubs lack it


def scale_pixels(
    images: UInt8[Tensor, "*shape"], top: int = 255
) -> Float[Tensor, "*shape"]:
    """Return images as a network takes them, from -1 to 1.

    Args:
        images: pixels from 0 to top.
        top: pixel value that becomes 1.
    """
    return images.float() * (2 / top) - 1


def prepare_output(out: Path) -> None:
    """Create the folder of a file that is to be written, before the training starts.

    Raises:
        DataError: if no file can be written there.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{out} must be a file that can be written; got {error.strerror or error}."
        ) from error
    if out.is_dir():
        raise DataError(f"{out} must be a file that can be written; got a folder.")


def write_weights(out: Path, net: nn.Module, confusion: Tensor, facts: Facts) -> str:
    """Write a network's file and return its SHA-256.

    Args:
        out: file to write; replaced if it exists.
        net: network with the tensors.
        confusion: counts on the test images, by true class (rows) and predicted class.
        facts: facts about the training, as JSON values.

    Raises:
        DataError: if the file cannot be written.
    """
    tensors = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    # One metadata entry, because safetensors writes several in no fixed order.
    content = save_tensors(
        {**tensors, "confusion": confusion}, metadata={"mmbench": json.dumps(facts)}
    )
    write_data(out, content)
    return hashlib.sha256(content).hexdigest()

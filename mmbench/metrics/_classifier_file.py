"""Files of frozen networks: safetensors, with facts in the header, known by hash.

A file holds the network's tensors, the confusion matrix on the test images, and what is
known of the training. It is written once and read only as a whole.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Int64
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from mmbench.core.errors import DataError

Facts = dict[str, str | int | float]
Net = TypeVar("Net", bound=nn.Module)

SHIPPED = Path(__file__).parent / "weights"


class Weights(NamedTuple):
    """What a file says of its network.

    Args:
        confusion: counts on the test images; rows are true, columns are said.
        facts: seed, epochs, accuracy and command, from the header.
        sha256: of the file.
    """

    confusion: Int64[Tensor, "10 10"]
    facts: Facts
    sha256: str


def fill(net: nn.Module, path: Path, sha256: str | None, what: str) -> Weights:
    """Put a file's tensors into a network.

    Args:
        net: made on the device "meta", for all its tensors are replaced.
        path: of a safetensors file that `write` made.
        sha256: what the file's checksum must be; None takes any.
        what: the network, for messages.

    Raises:
        DataError: when the file is missing, damaged or another one.
    """
    try:
        content = path.read_bytes()
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
        facts = json.loads(header(content)["mmbench"])
        confusion = tensors.pop("confusion")
        net.load_state_dict(tensors, assign=True)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{path} must hold {what}; got {' '.join(str(error).split())[:200]}."
        ) from error
    return Weights(confusion, facts, digest)


def header(content: bytes) -> dict[str, str]:
    """A safetensors file's metadata: its length in 8 bytes, then JSON."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def frozen(net: Net, device: torch.device | str) -> Net:
    """The network on a device, in evaluation mode and without gradients."""
    return net.to(device).eval().requires_grad_(requires_grad=False)


def prepare(out: Path) -> None:
    """Make the folder of a file that is to be written, before the work begins.

    Raises:
        DataError: when no file can be written there.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from error
    if out.is_dir():
        raise DataError(f"{out} must be a file that can be written; got a folder.")


def write(out: Path, net: nn.Module, confusion: Tensor, facts: Facts) -> str:
    """Write a network's file and return its SHA-256.

    Args:
        out: the file; it is replaced if it exists.
        net: whose tensors are written.
        confusion: counts on the test images; rows are true, columns are said.
        facts: for the header, plain values of JSON.

    Raises:
        DataError: when the file cannot be written.
    """
    tensors = {name: one.contiguous() for name, one in net.state_dict().items()}
    # One entry, because the order of several differs from one writing to the next.
    content = save_tensors(
        {**tensors, "confusion": confusion}, metadata={"mmbench": json.dumps(facts)}
    )
    try:
        out.write_bytes(content)
    except OSError as error:
        raise _unwritable(out, error) from error
    return hashlib.sha256(content).hexdigest()


def _unwritable(out: Path, error: OSError) -> DataError:
    return DataError(
        f"{out} must be a file that can be written; got {error.strerror or error}."
    )

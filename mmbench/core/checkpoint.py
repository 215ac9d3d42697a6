"""Checkpoint: the state of an unfinished cell as bytes, and back.

What is saved is nested dicts, lists, texts, numbers, and tensors or arrays as leaves.
Tensors travel as safetensors and the nest as JSON in their header; a digest before them
tells whether the bytes are those that were written. Nothing is pickled.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

# Where a tensor or an array stood in the nest: its number among them.
_TENSOR, _ARRAY = "tensor of mmbench", "array of mmbench"
_DIGEST = 32  # bytes of SHA-256
EVERY = 60.0  # seconds; what a minute of work costs again is no loss


class CheckpointSlot(ABC):
    """Where a cell's checkpoint is kept.

    Attributes:
        every: seconds between two checkpoints.
    """

    every: float = EVERY

    @abstractmethod
    def read(self) -> bytes | None:
        """What was written last; None where there is nothing."""

    @abstractmethod
    def write(self, content: bytes) -> None:
        """Replace it."""


def pack(value: Any) -> bytes:
    """A nest as bytes; tuples become lists."""
    leaves: list[Tensor] = []
    document = json.dumps(_without_leaves(value, leaves))
    tensors = {  # copies, because safetensors refuses tensors that share memory
        str(i): leaf.detach().cpu().clone(memory_format=torch.contiguous_format)
        for i, leaf in enumerate(leaves)
    }
    content = save(tensors, metadata={"nest": document})
    return hashlib.sha256(content).digest() + content


def unpack(packed: bytes) -> Any:
    """The nest; None when the bytes are not those that `pack` gave."""
    digest, content = packed[:_DIGEST], packed[_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        return None
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        nest = json.loads(header["__metadata__"]["nest"])
        return _with_leaves(nest, load(content))
    except (SafetensorError, ValueError, KeyError):
        return None


def _without_leaves(value: Any, leaves: list[Tensor]) -> Any:
    if isinstance(value, Tensor):
        leaves.append(value)
        return {_TENSOR: len(leaves) - 1}
    if isinstance(value, np.ndarray):
        leaves.append(torch.from_numpy(np.array(value)))  # a copy, which may be written
        return {_ARRAY: len(leaves) - 1}
    if isinstance(value, dict):
        return {key: _without_leaves(one, leaves) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_leaves(one, leaves) for one in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _with_leaves(nest: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(nest, list):
        return [_with_leaves(one, tensors) for one in nest]
    if not isinstance(nest, dict):
        return nest
    if _TENSOR in nest:
        return tensors[str(nest[_TENSOR])]
    if _ARRAY in nest:
        return tensors[str(nest[_ARRAY])].numpy()
    return {key: _with_leaves(one, tensors) for key, one in nest.items()}


def like(pattern: Any, nest: Any) -> Any:
    """The nest's tensors in the tuples, and on the devices, of a pattern of tensors."""
    if isinstance(pattern, Tensor):
        return nest.to(pattern.device)
    parts = [like(one, other) for one, other in zip(pattern, nest, strict=True)]
    return type(pattern)(*parts) if hasattr(pattern, "_fields") else tuple(parts)

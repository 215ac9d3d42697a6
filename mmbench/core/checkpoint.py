"""Checkpoints: the state of an unfinished cell as bytes, and back.

The state is nested dicts, lists, strings and numbers with tensors or arrays as leaves.
The leaves are saved as safetensors and the nesting as JSON in their header; a digest in
front tells whether the bytes are those that were written. Nothing is pickled.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import save as save_arrays
from safetensors.torch import load, save
from torch import Tensor

from mmbench.core.json_schema import parse_json

# Keys of the JSON that stand for a leaf; the value is the leaf's number.
_TENSOR, _ARRAY = "tensor of mmbench", "array of mmbench"
_DIGEST_BYTES = 32  # of SHA-256


def pack(value: Any) -> bytes:
    """Return nested values as bytes; tuples become lists."""
    leaves: list[Tensor | np.ndarray] = []
    metadata = {"nest": json.dumps(_without_leaves(value, leaves))}
    if any(leaf.dtype == torch.bfloat16 for leaf in leaves):
        content = save(_named(map(_as_tensor, leaves)), metadata)
    else:  # of arrays it takes a quarter of the time
        content = save_arrays(_named(map(_as_array, leaves)), metadata)
    return hashlib.sha256(content).digest() + content


def unpack(packed: bytes) -> Any:
    """Return the values that `pack` turned into these bytes; None if they are damaged.

    Tensors come back on the CPU.
    """
    digest, content = packed[:_DIGEST_BYTES], packed[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        return None
    try:
        tensors = load(content)
        length = int.from_bytes(content[:8], "little")
        header = parse_json(content[8 : 8 + length])
        nest = parse_json(header["__metadata__"]["nest"])
        return _with_leaves(nest, tensors)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _named(leaves: Iterable[Any]) -> dict[str, Any]:
    return {str(number): leaf for number, leaf in enumerate(leaves)}


def _as_array(leaf: Tensor | np.ndarray) -> np.ndarray:
    return np.asarray(leaf.cpu() if isinstance(leaf, Tensor) else leaf, order="C")


def _as_tensor(leaf: Tensor | np.ndarray) -> Tensor:
    """Return a copy, since safetensors refuses tensors that share memory."""
    tensor = leaf if isinstance(leaf, Tensor) else torch.from_numpy(np.array(leaf))
    return tensor.cpu().clone(memory_format=torch.contiguous_format)


def _without_leaves(value: Any, leaves: list[Tensor | np.ndarray]) -> Any:
    """Replace tensors and arrays by their numbers, and append them to `leaves`."""
    if isinstance(value, Tensor):
        leaves.append(value.detach())
        return {_TENSOR: len(leaves) - 1}
    if isinstance(value, np.ndarray):
        leaves.append(value)
        return {_ARRAY: len(leaves) - 1}
    if isinstance(value, dict):
        return {key: _without_leaves(item, leaves) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_leaves(item, leaves) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _with_leaves(nest: Any, tensors: dict[str, Tensor]) -> Any:
    """Put tensors and arrays back where `_without_leaves` took them."""
    if isinstance(nest, list):
        return [_with_leaves(item, tensors) for item in nest]
    if not isinstance(nest, dict):
        return nest
    if _TENSOR in nest:
        return tensors[str(nest[_TENSOR])]
    if _ARRAY in nest:
        return tensors[str(nest[_ARRAY])].numpy()
    return {key: _with_leaves(item, tensors) for key, item in nest.items()}


def restore_structure(pattern: Any, nest: Any) -> Any:
    """Return the tensors of nested lists in the tuples and on the devices of a pattern.

    Args:
        pattern: a tensor, or tuples and NamedTuples of such.
        nest: tensors in lists that are nested as the pattern is.
    """
    if isinstance(pattern, Tensor):
        return nest.to(pattern.device)
    items = [restore_structure(p, item) for p, item in zip(pattern, nest, strict=True)]
    return type(pattern)(*items) if hasattr(pattern, "_fields") else tuple(items)

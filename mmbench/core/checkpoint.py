"""Checkpoints: the state of an unfinished cell as bytes, and back.

The state is nested dicts, lists, strings and numbers with tensors or arrays as leaves.
The leaves are saved as safetensors and the nesting as JSON in their header; a digest in
front tells whether the bytes are those that were written. Nothing is pickled. Messages
between processes are packed alike, but in a form that no other version reads, and in
half the time.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from types import NoneType
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
_PLAIN = {str, int, float, bool, NoneType}  # in which there is no leaf
_DIGEST_BYTES = 32  # of SHA-256
_ALIGNMENT = 16  # bytes, for the numbers of a message


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
        leaves = [tensors[str(number)] for number in range(len(tensors))]
        return _with_leaves(nest, leaves)
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError):
        return None


def pack_message(value: Any) -> bytes:
    """Return nested values as bytes for another process; tuples become lists.

    Args:
        value: nested values; dtypes of tensors are such as numpy has.
    """
    leaves: list[Tensor | np.ndarray] = []
    nest = _without_leaves(value, leaves)
    arrays = [_as_array(leaf) for leaf in leaves]
    kinds = [(array.dtype.str, array.shape) for array in arrays]
    blocks = [json.dumps((nest, kinds)).encode(), *(one.tobytes() for one in arrays)]
    blocks.insert(0, len(blocks[0]).to_bytes(_ALIGNMENT, "big"))
    content = b"".join(block.ljust(_padded(len(block))) for block in blocks)
    return hashlib.sha256(content).digest() + content


def unpack_message(packed: bytearray) -> Any:
    """Return what `pack_message` turned into these bytes; None if they are damaged.

    Arrays and tensors share the memory of the bytes.
    """
    digest = hashlib.sha256(memoryview(packed)[_DIGEST_BYTES:]).digest()
    if digest != packed[:_DIGEST_BYTES]:
        return None
    at = _DIGEST_BYTES + _ALIGNMENT
    length = int.from_bytes(packed[_DIGEST_BYTES:at], "big")
    nest, kinds = json.loads(packed[at : at + length])
    at += _padded(length)
    arrays = []
    for kind, shape in kinds:
        arrays.append(np.ndarray(shape, kind, packed, at))
        at += _padded(arrays[-1].nbytes)
    return _with_leaves(nest, arrays)


def _padded(length: int) -> int:
    """Return the bytes that a block of so many takes in a message."""
    return -(-length // _ALIGNMENT) * _ALIGNMENT


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
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Tensor):
        leaves.append(value.detach())
        return {_TENSOR: len(leaves) - 1}
    if isinstance(value, np.ndarray):
        leaves.append(value)
        return {_ARRAY: len(leaves) - 1}
    if isinstance(value, dict):
        return {key: _without_leaves(item, leaves) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [
            item if type(item) in _PLAIN else _without_leaves(item, leaves)
            for item in value
        ]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _with_leaves(nest: Any, leaves: Sequence[Tensor | np.ndarray]) -> Any:
    """Put tensors and arrays back where `_without_leaves` took them."""
    if type(nest) in _PLAIN:
        return nest
    if isinstance(nest, list):
        return [
            item if type(item) in _PLAIN else _with_leaves(item, leaves)
            for item in nest
        ]
    if _TENSOR in nest:
        leaf = leaves[nest[_TENSOR]]
        return leaf if isinstance(leaf, Tensor) else torch.from_numpy(leaf)
    if _ARRAY in nest:
        leaf = leaves[nest[_ARRAY]]
        return leaf.numpy() if isinstance(leaf, Tensor) else leaf
    return {key: _with_leaves(item, leaves) for key, item in nest.items()}


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

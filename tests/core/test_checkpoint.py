"""Checkpoints: state to bytes and back, and damage that is detected."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.core.checkpoint import (
    pack,
    pack_message,
    restore_structure,
    unpack,
    unpack_message,
)


@pytest.mark.parametrize("at", [0, 31, 32, 40, 200, -1])
def test_damaged_bytes_are_not_read(at: int) -> None:
    """Bytes with a flipped bit or a missing end are no checkpoint."""
    nest = {"a": torch.arange(9.0), "b": [1, "c", None]}
    packed = bytearray(pack(nest))
    assert unpack(bytes(packed)) is not None
    packed[at] ^= 4
    assert unpack(bytes(packed)) is None
    assert unpack(bytes(packed[:20])) is None
    assert unpack(b"") is None
    message = bytearray(pack_message(nest))
    assert unpack_message(message[:]) is not None
    message[at % len(message)] ^= 4
    assert unpack_message(message) is None
    assert unpack_message(message[:20]) is None
    assert unpack_message(bytearray()) is None


@pytest.mark.parametrize(
    "travel",
    [
        lambda nest: unpack(pack(nest)),
        lambda nest: unpack_message(bytearray(pack_message(nest))),
    ],
    ids=["checkpoint", "message"],
)
def test_nests_come_back(travel: Callable[[Any], Any]) -> None:
    """Nested tensors, arrays and numbers are unpacked as they were packed."""
    nest = {
        "tensors": (torch.tensor([True, False]), torch.arange(3), torch.zeros(2, 0)),
        "arrays": [np.array([1.5, np.nan]), np.int64(7)],
        "rest": {"text": "é", "none": None, "nested": [[], {}, (1.5, True)]},
    }
    back = travel(nest)
    for tensor, expected in zip(back["tensors"], nest["tensors"], strict=True):
        assert torch.equal(tensor, expected)
        assert tensor.dtype == expected.dtype
    np.testing.assert_array_equal(back["arrays"][0], nest["arrays"][0])
    back["arrays"][0][0] = 2.0  # as what was packed, it can be written
    assert back["arrays"][1] == 7
    nested = [[], {}, [1.5, True]]
    assert back["rest"] == nest["rest"] | {"nested": nested}


def test_tuples_are_restored_from_a_pattern() -> None:
    """Lists of tensors become the named tuples that they were."""
    algorithm = ALGORITHMS.build("gda[direction=adam]")
    state = algorithm.direction.init(torch.ones(2, 3))
    back = restore_structure(state, unpack(pack(state)))
    assert type(back) is type(state)
    assert torch.equal(back.first, state.first)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.bool])
def test_tensors_of_every_kind(dtype: torch.dtype) -> None:
    """Also those that numpy has no type for, that share memory or are transposed."""
    tensor = torch.tensor([[1.5, 0.0, -2.0], [3.0, 0.25, 0.0]]).to(dtype)
    array = np.arange(6.0).reshape(2, 3).T
    found = unpack(pack([tensor, tensor.T, tensor[1:], array, np.array(3)]))
    assert [one.dtype for one in found[:3]] == [dtype] * 3
    for one, expected in zip(found, (tensor, tensor.T, tensor[1:]), strict=False):
        assert torch.equal(one, expected)
    np.testing.assert_array_equal(found[3], array)
    assert found[4].shape == ()
    assert found[4] == 3

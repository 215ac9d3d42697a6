"""Random streams: one generator per run and purpose, drawn in chunks.

A run's draws depend on its seed and on the purpose alone: not on the other runs, not on
the algorithm, not on how much another purpose has drawn. So runs with one seed are
paired across algorithms, and a seed alone gives what it gives among others.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# The length of a chunk is part of a stream's definition: one draw for K minibatches
# gives other numbers than K draws for one.
CHUNK_ELEMENTS = 2**18
CHUNK_LIMIT = 16


def generator(seed: int, purpose: str) -> torch.Generator:
    """A generator for one run and one purpose, on the CPU.

    Args:
        seed: of the run.
        purpose: "start", "data", "algorithm/..." or "evaluation".
    """
    entropy = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(entropy[:7], "big"))


def chunk_length(elements: int) -> int:
    """Minibatches in a chunk, given the numbers in one: a power of two up to 16."""
    length = CHUNK_LIMIT
    while length > 1 and length * elements > CHUNK_ELEMENTS:
        length //= 2
    return length


class Stream:
    """A sequence of draws for all runs, taken from one generator a run, by chunks.

    Args:
        seeds: one a run.
        purpose: which of a seed's streams.
        draw: draws `count` consecutive values for one run: a tensor, or a NamedTuple of
            tensors, with leading axis `count`.
        chunk: how many are drawn at once.
        device: where the values are wanted.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        purpose: str,
        draw: Callable[[torch.Generator, int], Any],
        chunk: int,
        device: torch.device,
    ) -> None:
        self._seeds, self._purpose = seeds, purpose
        self._generators: list[torch.Generator] = []
        self._draw = draw
        self._chunk = chunk
        self._device = device
        self._waiting: list[Any] = []
        # States of the generators before the chunk that is being used up.
        self._before: list[Tensor] = []

    def next(self) -> Any:
        """The next value of every run, stacked on a leading `runs` axis."""
        if not self._generators:  # not before: most small games draw nothing
            self._generators = [generator(one, self._purpose) for one in self._seeds]
        if not self._waiting:
            self._before = [one.get_state() for one in self._generators]
            drawn = [self._draw(one, self._chunk) for one in self._generators]
            stacked = _stack(drawn, self._device)
            self._waiting = [_item(stacked, i) for i in reversed(range(self._chunk))]
        return self._waiting.pop()

    def snapshot(self) -> dict[str, Any]:
        """Where the stream stands, as tensors and numbers; empty if never drawn."""
        if not self._before:
            return {}
        return {"before": self._before, "taken": self._chunk - len(self._waiting)}

    def restore(self, saved: dict[str, Any]) -> None:
        """Go to where a snapshot stood; the next value is the one that followed it."""
        if not saved:
            return
        self._generators = [torch.Generator() for _ in self._seeds]
        for one, state in zip(self._generators, saved["before"], strict=True):
            one.set_state(state)
        self._waiting = []
        for _ in range(saved["taken"]):
            self.next()


def _stack(drawn: Sequence[Any], device: torch.device) -> Any:
    """Runs' values as (count, runs, ...) tensors on the device."""
    first = drawn[0]
    if isinstance(first, Tensor):
        return torch.stack(list(drawn), dim=1).to(device)
    parts = [_stack(column, device) for column in zip(*drawn, strict=True)]
    return type(first)(*parts)


def _item(stacked: Any, index: int) -> Any:
    if isinstance(stacked, Tensor):
        return stacked[index]
    return type(stacked)(*[_item(part, index) for part in stacked])

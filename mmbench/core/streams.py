"""Random streams: one generator for each run and purpose, drawn in chunks.

The draws of a run depend on its seed and on the purpose alone: not on the other runs of
the batch, the algorithm or the draws for another purpose. So runs with the same seed
are paired across algorithms, and a run is the same in a batch of any size.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

# The length of a chunk is part of a stream's definition: one draw of K minibatches
# gives other numbers than K draws of one.
MAX_NUMBERS_PER_CHUNK = 2**18
MAX_CHUNK_LENGTH = 16


def generator(seed: int, purpose: str) -> torch.Generator:
    """Return the random generator of one run and one purpose, on the CPU.

    Args:
        seed: seed of the run.
        purpose: "start", "data", "algorithm/..." or "evaluation".
    """
    entropy = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(entropy[:7], "big"))


def chunk_length(numbers: int) -> int:
    """Return the number of values in a chunk: a power of two up to 16.

    Args:
        numbers: random numbers in one value, such as a minibatch.
    """
    length = MAX_CHUNK_LENGTH
    while length > 1 and length * numbers > MAX_NUMBERS_PER_CHUNK:
        length //= 2
    return length


class Stream:
    """A sequence of random values for all runs, from one generator for each run.

    Args:
        seeds: seed of each run.
        purpose: purpose of the draws, which selects one of a seed's streams.
        draw: draws `count` consecutive values for one run: a tensor, or a NamedTuple of
            tensors, with leading axis `count`.
        chunk: number of values drawn at once.
        device: device that the values are moved to.
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
        # States of the generators before the current chunk was drawn.
        self._before: list[Tensor] = []

    def next(self) -> Any:
        """Return the next value of every run, stacked on a leading `runs` axis."""
        if not self._generators:  # made on first use: most small games draw nothing
            self._generators = [generator(seed, self._purpose) for seed in self._seeds]
        if not self._waiting:
            self._before = [source.get_state() for source in self._generators]
            drawn = [self._draw(source, self._chunk) for source in self._generators]
            stacked = _stack(drawn, self._device)
            self._waiting = [_item(stacked, i) for i in reversed(range(self._chunk))]
        return self._waiting.pop()

    @property
    def has_drawn(self) -> bool:
        """Whether a value has been drawn."""
        return bool(self._before)

    def snapshot(self) -> dict[str, Any]:
        """Return the position in the stream; empty if nothing has been drawn."""
        if not self._before:
            return {}
        return {"before": self._before, "taken": self._chunk - len(self._waiting)}

    def restore(self, saved: dict[str, Any]) -> None:
        """Return to the position of a snapshot of this stream.

        Raises:
            Exception: of any type, when it is not such a snapshot.
        """
        if not saved:
            return
        if type(saved["taken"]) is not int or not 0 < saved["taken"] <= self._chunk:
            raise ValueError("a snapshot must be of a position in the chunk")
        self._generators = [torch.Generator() for _ in self._seeds]
        for source, state in zip(self._generators, saved["before"], strict=True):
            source.set_state(state)
        self._waiting = []
        for _ in range(saved["taken"]):
            self.next()


def _stack(drawn: Sequence[Any], device: torch.device) -> Any:
    """Stack the values of all runs as tensors of shape (count, runs, ...)."""
    first = drawn[0]
    if isinstance(first, Tensor):
        return torch.stack(list(drawn), dim=1).to(device)
    return _like(first, (_stack(field, device) for field in zip(*drawn, strict=True)))


def _item(stacked: Any, index: int) -> Any:
    """Return one value of a stacked chunk."""
    if isinstance(stacked, Tensor):
        return stacked[index]
    return _like(stacked, (_item(field, index) for field in stacked))


def _like(pattern: Any, fields: Iterable[Any]) -> Any:
    """Return fields as a tuple of the pattern's type, NamedTuple or not."""
    return tuple(fields) if type(pattern) is tuple else type(pattern)(*fields)

"""Random streams: one generator for each run and purpose, drawn in chunks.

The draws of a run depend on its seed and on the purpose alone: not on the other runs of
the batch, the algorithm or the draws for another purpose. So runs with the same seed
are paired across algorithms, and a run is the same in a batch of any size.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

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


def chunk_length(numbers: int, most: int = MAX_CHUNK_LENGTH) -> int:
    """Return the number of values in a chunk: a power of two.

    Args:
        numbers: random numbers in one value, such as a minibatch.
        most: the largest number of values, a power of two.
    """
    length = most
    while length > 1 and length * numbers > MAX_NUMBERS_PER_CHUNK:
        length //= 2
    return length


class _Chunk(NamedTuple):
    """Values of all runs that are drawn at once.

    Args:
        before: states of the generators before it was drawn.
        values: the values on the CPU, stacked to shape (count, runs, ...).
    """

    before: list[Tensor]
    values: Any


class Stream:
    """A sequence of random values for all runs, from one generator for each run.

    For a GPU the next chunk is drawn while one is used: the runs in several threads, as
    torch leaves Python to others while it draws, and into memory from which the copy to
    the device does not wait. No number depends on this.

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
        self._values: Any = None  # of the current chunk, on the device
        self._taken = chunk
        # States of the generators before the current chunk was drawn.
        self._before: list[Tensor] = []
        self._ahead: Future[_Chunk] | None = None

    def next(self) -> Any:
        """Return the next value of every run, stacked on a leading `runs` axis."""
        return item(self.next_of_chunk(1), 0)

    @property
    def waiting(self) -> int:
        """The number of values that `next_of_chunk` can return at once, at least 1."""
        self._fill()
        return self._chunk - self._taken

    def next_of_chunk(self, count: int) -> Any:
        """Return the next values of every run, stacked to shape (count, runs, ...).

        Args:
            count: number of values: 1, or at most `waiting`.
        """
        self._fill()
        first = self._taken
        self._taken += count
        return item(self._values, slice(first, self._taken))

    def _fill(self) -> None:
        """Draw a chunk if all values of the last one have been taken."""
        if not self._generators:  # made on first use: most small games draw nothing
            self._generators = [generator(seed, self._purpose) for seed in self._seeds]
        if self._taken == self._chunk:
            self._before, values = self._next_chunk()
            self._values, self._taken = _moved(values, self._device), 0

    def _next_chunk(self) -> _Chunk:
        """Return the chunk that comes next; for a GPU, begin the one after it.

        None is begun after the first chunk, for metrics need no second one.
        """
        if self._device.type == "cpu":
            return self._draw_chunk(self._generators, map)
        chunk = self._begin() if self._ahead is None else self._ahead
        found = chunk.result()
        self._ahead = self._begin() if self.has_drawn else None
        return found

    def _begin(self) -> "Future[_Chunk]":
        """Begin to draw a chunk, beside whatever this thread does."""
        side, drawers = _threads()
        return side.submit(self._draw_chunk, self._generators, drawers.map)

    def _draw_chunk(
        self, generators: list[torch.Generator], apply: Callable[..., Iterable]
    ) -> _Chunk:
        """Draw a chunk of every run.

        Args:
            generators: one for each run.
            apply: applies a function to each of them, in order.
        """
        before = [source.get_state() for source in generators]
        drawn = list(apply(lambda source: self._draw(source, self._chunk), generators))
        return _Chunk(before, _stack(drawn, is_pinned=self._device.type == "cuda"))

    @property
    def has_drawn(self) -> bool:
        """Whether a value has been drawn."""
        return bool(self._before)

    def snapshot(self) -> dict[str, Any]:
        """Return the position in the stream; empty if nothing has been drawn."""
        if not self._before:
            return {}
        return {"before": self._before, "taken": self._taken}

    def restore(self, saved: dict[str, Any]) -> None:
        """Return to the position of a snapshot of this stream.

        Raises:
            Exception: of any type, when it is not such a snapshot.
        """
        if not saved:
            return
        if type(saved["taken"]) is not int or not 0 < saved["taken"] <= self._chunk:
            raise ValueError("a snapshot must be of a position in the chunk")
        self._ahead = None
        self._generators = [torch.Generator() for _ in self._seeds]
        for source, state in zip(self._generators, saved["before"], strict=True):
            source.set_state(state)
        self._taken = self._chunk
        self._fill()
        self._taken = saved["taken"]


@cache
def _threads() -> tuple[ThreadPoolExecutor, ThreadPoolExecutor]:
    """Return a thread that draws chunks, and those among which it divides the runs."""
    return ThreadPoolExecutor(1), ThreadPoolExecutor()


def _stack(drawn: Sequence[Any], *, is_pinned: bool) -> Any:
    """Stack the values of all runs as tensors of shape (count, runs, ...).

    Args:
        drawn: the values of each run.
        is_pinned: whether they are stacked in memory that a GPU can read by itself.
    """
    first = drawn[0]
    if not isinstance(first, Tensor):
        fields = zip(*drawn, strict=True)
        return _like(first, (_stack(field, is_pinned=is_pinned) for field in fields))
    if not is_pinned or not torch.cuda.is_available():
        return torch.stack(list(drawn), dim=1)
    count, *shape = first.shape
    out = torch.empty((count, len(drawn), *shape), dtype=first.dtype, pin_memory=True)
    return torch.stack(list(drawn), dim=1, out=out)


def _moved(stacked: Any, device: torch.device) -> Any:
    """Move stacked values to a device; from pinned memory the host does not wait."""
    if isinstance(stacked, Tensor):
        return stacked.to(device, non_blocking=True)
    return _like(stacked, (_moved(field, device) for field in stacked))


def item(stacked: Any, index: int | slice) -> Any:
    """Return one value of a stacked chunk, or a few."""
    if isinstance(stacked, Tensor):
        return stacked[index]
    return _like(stacked, (item(field, index) for field in stacked))


def _like(pattern: Any, fields: Iterable[Any]) -> Any:
    """Return fields as a tuple of the pattern's type, NamedTuple or not."""
    return tuple(fields) if type(pattern) is tuple else type(pattern)(*fields)

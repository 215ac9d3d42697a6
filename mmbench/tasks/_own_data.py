"""What a user's loss is given besides the players: data and noise of a minibatch."""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from mmbench.core.errors import DescriptionError
from mmbench.core.printable import shorten

_READ_AT_ONCE = 1024  # items of a data set

# Draws some points, a tensor or a tuple of tensors, with a random generator.
Draw = Callable[[torch.Generator, int], Any]


class Points:
    """Points that are drawn from, with replacement.

    Args:
        tensors: tensors with one entry for each point, which nobody else may change.
        digest: SHA-256 of their content; empty computes it.
    """

    def __init__(self, tensors: Sequence[Tensor], digest: str = "") -> None:
        self.tensors = tuple(tensors)
        self.digest = digest or _digest(self.tensors)
        self._placed: tuple[Any, tuple[Tensor, ...]] = None, ()

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __reduce__(self) -> tuple:
        # What stands for the points in a key; it is computed once.
        return Points, ((), self.digest)

    def on(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Return the tensors on a device, floats in a dtype."""
        if self._placed[0] != (device, dtype):
            placed = tuple(
                tensor.to(device, dtype if tensor.is_floating_point() else None)
                for tensor in self.tensors
            )
            self._placed = (device, dtype), placed
        return self._placed[1]


class Source(NamedTuple):
    """One argument of a loss that is drawn for each minibatch.

    Args:
        points: points to draw from; None where a function draws.
        draw: function that draws, where there are no points.
        batch: points in a minibatch; 0 for all of them, without drawing.
    """

    points: Points | None
    draw: Draw | None
    batch: int

    def sample(
        self, generator: torch.Generator, count: int, dtype: torch.dtype
    ) -> tuple[Tensor, ...]:
        """Draw what stands for some minibatches of one run, on the CPU.

        Returns:
            Tensors with leading axes (count, points): indices, or the points.
        """
        if self.points is not None:
            if not self.batch:
                return ()
            shape = (count, self.batch)
            return (torch.randint(len(self.points), shape, generator=generator),)
        return tuple(
            tensor.reshape(count, self.batch, *tensor.shape[1:])
            for tensor in self.draws(generator, count * self.batch, dtype)
        )

    def draws(
        self, generator: torch.Generator, count: int, dtype: torch.dtype
    ) -> tuple[Tensor, ...]:
        """Draw some points by the function.

        Raises:
            DescriptionError: when it returns anything else.
        """
        assert self.draw is not None
        drawn = self.draw(generator, count)
        tensors = drawn if isinstance(drawn, tuple) else (drawn,)
        for tensor in tensors:
            if not isinstance(tensor, Tensor) or tensor.shape[:1] != (count,):
                name = getattr(self.draw, "__name__", type(self.draw).__name__)
                got = tuple(tensor.shape) if isinstance(tensor, Tensor) else tensor
                raise DescriptionError(
                    f"{name}(generator, {count}) must return {count} points, a tensor "
                    f"or tuple of tensors of that length; got {shorten(got)}."
                )
        return tuple(
            tensor.detach().to("cpu", dtype if tensor.is_floating_point() else None)
            for tensor in tensors
        )

    def look_up(
        self,
        sampled: tuple[Tensor, ...],
        runs: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Any:
        """Return the points of a minibatch of each run, as the loss takes them.

        Args:
            sampled: what `sample` drew, with a leading `runs` axis.
            runs: number of runs.
            device: device of the points.
            dtype: dtype of floats.
        """
        if self.points is not None:
            placed = self.points.on(device, dtype)
            if self.batch:
                sampled = tuple(tensor[sampled[0]] for tensor in placed)
            else:
                sampled = tuple(tensor.expand(runs, *tensor.shape) for tensor in placed)
        return unwrap(sampled)

    @property
    def numbers(self) -> int:
        """How many random numbers a minibatch needs, about."""
        if self.points is not None:
            return self.batch
        probe = self.draws(torch.Generator().manual_seed(0), 1, torch.float32)
        return self.batch * sum(math.prod(tensor.shape[1:]) for tensor in probe)


def unwrap(tensors: tuple[Tensor, ...]) -> Any:
    """Return the only entry of a tuple, or the tuple if it has several."""
    return tensors[0] if len(tensors) == 1 else tensors


def source_of(data: Any, batch: int | None) -> Source:
    """Return the source that a user's data stand for.

    Args:
        data: tensor, array, tuple of these, `Dataset`, `DataLoader` or function
            (generator, count) -> points.
        batch: points in a minibatch; 0 for all of them; None for that of a loader.

    Raises:
        DescriptionError: when the data or the batch do not fit.
    """
    collate = default_collate
    if isinstance(data, DataLoader):
        batch = (data.batch_size or 1) if batch is None else batch
        data, collate = data.dataset, data.collate_fn or default_collate
    batch = batch or 0
    if type(batch) is not int or batch < 0:
        raise DescriptionError(
            f"batch must be a whole number of at least 0; got {shorten(batch)}."
        )
    if isinstance(data, IterableDataset):
        raise DescriptionError(
            "data must be a data set with a length and items by number, or a function "
            f"(generator, count) -> points; got the iterable {type(data).__name__}."
        )
    if isinstance(data, Dataset):
        data = _read(data, collate)
    if callable(data) and not isinstance(data, Tensor):
        if not batch:
            raise DescriptionError(
                "batch must be at least 1 where a function draws the data; got 0."
            )
        return Source(None, data, batch)
    given = data if isinstance(data, tuple | list) else (data,)
    try:
        tensors = [torch.as_tensor(one).detach().cpu().clone() for one in given]
    except (TypeError, ValueError, RuntimeError) as error:
        raise DescriptionError(
            "data must be a tensor, a tuple of tensors, a Dataset, a DataLoader or a "
            f"function (generator, count) -> points; got {shorten(data)}."
        ) from error
    lengths = {tuple(tensor.shape[:1]) for tensor in tensors}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise DescriptionError(
            "data must be tensors of one length, at least 1; got shapes "
            f"{', '.join(str(tuple(tensor.shape)) for tensor in tensors) or 'none'}."
        )
    return Source(Points(tensors), None, batch)


def _read(data: Any, collate: Callable[[list[Any]], Any]) -> tuple[Tensor, ...]:
    """Read all items of a data set, with torch's global generator at a fixed seed."""
    parts = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for first in range(0, len(data), _READ_AT_ONCE):
            end = min(first + _READ_AT_ONCE, len(data))
            read = collate([data[i] for i in range(first, end)])
            part = tuple(read) if isinstance(read, tuple | list) else (read,)
            if not all(isinstance(one, Tensor) for one in part):
                raise DescriptionError(
                    "A data set must have items of tensors and numbers, which batches "
                    f"are stacked of; got {shorten(data[0])}."
                )
            parts.append(part)
    return tuple(torch.cat(fields) for fields in zip(*parts, strict=True))


def _digest(tensors: Sequence[Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.dtype} {tuple(tensor.shape)};".encode())
        content = tensor.contiguous().reshape(-1).view(torch.uint8)
        found.update(content.numpy().data)
    return found.hexdigest()

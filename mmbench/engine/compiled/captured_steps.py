"""Captured steps: on a GPU, one launch for each step instead of hundreds.

A captured step is a list of operations on fixed memory, here called buffers: it reads
the runs and the draws in them, and leaves the runs after the step in the same ones.

A step with a solver that stops by a tolerance is captured in pieces: what comes before
its loop, one turn of the loop, and what comes after it. The host launches the turn
until no run goes on, and looks at the device as often as it does without a capture.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmbench.core.repetition import (
    MAX_UNCHECKED_ITERATIONS,
    Turn,
    is_over,
    making_loops,
)
from mmbench.engine.compiled.cuda_graphs import Function, Graphs
from mmbench.engine.compiled.step_function import RunState, Sizes, StepFunction
from mmbench.engine.compiled.tensor_nests import list_tensors, replace_tensors
from mmbench.engine.compiled.traces import DependentError, Watch, has_mask, is_dependent

aten = torch.ops.aten
# Of these, the host asks where a mask is true, if the index is one.
PUTS = (aten.index_put.default, aten.index_put_.default)


class CapturedSteps:
    """Steps of all runs, captured once for each turn, and replayed.

    Args:
        step: one step.
        runs: the number of runs computed side by side.
        length: the most steps of a call.
        shown: the number of runs whose path is kept.
        graphs: captures functions.

    Raises:
        DependentError: when what a step does next depends on a number.
    """

    def __init__(
        self, step: StepFunction, runs: int, length: int, shown: int, graphs: Graphs
    ) -> None:
        self._step, self._length, self._shown = step, length, shown
        self._runs, drawn, self._sizes = step.examples(runs)
        copies = [tensor.clone() for tensor in list_tensors(drawn)]
        self._draws, self._drawn = copies, replace_tensors(drawn, copies)
        z = self._runs.z
        self._number = torch.zeros((), dtype=torch.int64, device=z.device)
        self._path = z[:shown].repeat(length, 1, 1)
        turns = [partial(self._make_step, turn) for turn in range(step.period)]
        for make_step in turns:
            self._number.zero_()  # it is a place in the path
            with _RefusedLooks(), making_loops(_make_one_turn):
                graphs.warm_up(make_step)
        self._number.zero_()
        pieces = _Pieces(graphs)
        self._replays = [pieces.capture(make_step) for make_step in turns]

    def __call__(
        self,
        runs: RunState,
        drawn: Iterable[Sequence[Any]],
        sizes: Sizes,
        step: int,
        count: int,
    ) -> tuple[RunState, Tensor | None]:
        """Make steps.

        Args:
            runs: the runs before them.
            drawn: draws of each step, which are asked for one step after the other.
            sizes: step sizes of every run, where they are swept.
            step: the number of the first step, counted from the start of the runs.
            count: steps to make, at most `length`.

        Returns:
            The runs after them, and their path, which the next call overwrites.
        """
        assert count <= self._length
        _copy((self._runs, self._sizes), (runs, sizes))
        self._number.zero_()
        draws = iter(drawn)
        for made in range(count):
            for buffer, value in zip(
                self._draws, list_tensors(next(draws, ())), strict=True
            ):
                buffer.copy_(value)
            self._replays[(step + made) % len(self._replays)]()
        # Those that are returned stay as they are when the next call is made.
        copies = [tensor.clone() for tensor in list_tensors(self._runs)]
        path = self._path[:count] if self._shown else None
        return replace_tensors(self._runs, copies), path

    def _make_step(self, turn: int) -> None:
        """Make a step from the buffers to the buffers."""
        before = self._runs
        if self._shown:
            shown = before.z[None, : self._shown]
            self._path.index_copy_(0, self._number[None], shown)
        after = self._step(before, self._number, self._drawn, self._sizes, turn)
        _copy(before, after)
        self._number.add_(1)


def _copy(buffers: Any, values: Any) -> None:
    """Copy the tensors of a nest to those of another of the same structure."""
    for buffer, value in zip(list_tensors(buffers), list_tensors(values), strict=True):
        buffer.copy_(value)


def _make_one_turn(turn: Turn, begun: Sequence[Tensor], _: int) -> list[Tensor]:
    """Make one turn of a loop; loops within it must need no look."""
    with making_loops(None):
        return turn(begun)


class _Pieces:
    """Captures functions in pieces, between which the host looks at the device.

    Args:
        graphs: captures each piece.
    """

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._capture = ExitStack()  # of the piece that is not ended
        self._pieces: list[Function] = []

    def capture(self, function: Function) -> Function:
        """Return what a function does; its code runs once."""
        pieces: list[Function] = []
        self._pieces = pieces
        with making_loops(self._capture_loop), self._capture:
            self._begin()
            function()

        def replay() -> None:
            for piece in pieces:
                piece()

        return replay

    def _begin(self) -> None:
        """Begin a piece."""
        piece = self._capture.enter_context(self._graphs.capturing())
        self._pieces.append(piece)

    def _capture_loop(
        self, turn: Turn, begun: Sequence[Tensor], limit: int
    ) -> Sequence[Tensor]:
        """End a piece, capture a turn of a loop, and begin the next piece."""
        if limit <= MAX_UNCHECKED_ITERATIONS:
            for _ in range(limit):
                begun = _make_one_turn(turn, begun, limit)
            return begun
        at = [tensor.clone() for tensor in begun]
        self._capture.close()
        with self._graphs.capturing() as replay:
            _copy(at, _make_one_turn(turn, at, limit))
        self._pieces.append(partial(_repeat, replay, at[0], limit))
        self._begin()
        return at


def _repeat(replay: Function, on: Tensor, limit: int) -> None:
    """Make turns of a loop until no run goes on, as `repeat` does on a GPU.

    The first turn is made in any case: what the turn leaves for what comes after the
    loop, such as a value that is computed once and kept, must be there.
    """
    for made in range(limit):
        if made and is_over(on, made, limit):
            break
        replay()


class _RefusedLooks(Watch):
    """Refuses operations whose result, or its shape, the host has to look at."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        """Make an operation, if the host does not wait for it.

        Raises:
            DependentError: when it does.
        """
        if is_dependent(func, args) or (func in PUTS and has_mask(args[1])):
            raise DependentError
        return func(*args, **(kwargs or {}))

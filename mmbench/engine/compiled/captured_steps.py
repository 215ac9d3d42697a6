"""Captured steps: on a GPU, one launch for each step instead of hundreds.

A captured step is a list of operations on fixed memory, here called buffers: it reads
the runs and the draws in them, and leaves the runs after the step in the same ones.

A step with a solver that stops by a tolerance is captured in pieces: what comes before
its loop, one turn of the loop, and what comes after it. The host launches the turn
until no run goes on, and looks at the device as often as it does without a capture.
Where a turn adds to what is carried, as in GMRES, the turns between two looks are a
piece each, and so is the end of the loop after every look.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmbench.core.repetition import (
    MAX_UNCHECKED_ITERATIONS,
    Loops,
    Turn,
    is_asked,
    is_finished,
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
            with _RefusedLooks(), making_loops(_ONE_TURN):
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


def _finish_after_one_turn(turn: Any, begun: Any, finish: Any, _: int) -> list[Tensor]:
    """Make one turn of a loop and end it; loops within it must need no look."""
    with making_loops(None):
        made: list[Tensor] = finish(turn(begun))
    return made


# Makes what is asked in any step with loops, without a look.
_ONE_TURN = Loops(lambda turn, begun, *_: turn(begun), _finish_after_one_turn)


class _Pieces:
    """Captures functions in pieces, between which the host looks at the device.

    Args:
        graphs: captures each piece.
    """

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._capture = ExitStack()  # of the piece that is not ended
        self._pieces: list[Function] = []
        self._loops = Loops(self._repeat, self._grow)

    def capture(self, function: Function) -> Function:
        """Return what a function does; its code runs once."""
        with making_loops(self._loops), self._capture:
            return self._captured(function)

    def _captured(self, function: Function) -> Function:
        outer, pieces = self._pieces, list[Function]()
        self._pieces = pieces
        self._begin()
        function()
        self._capture.close()
        self._pieces = outer

        def replay() -> None:
            for piece in pieces:
                piece()

        return replay

    def _begin(self) -> None:
        """Begin a piece."""
        piece = self._capture.enter_context(self._graphs.capturing())
        self._pieces.append(piece)

    def _repeat(
        self, turn: Turn, begun: Sequence[Tensor], limit: int, is_always_checked: bool
    ) -> Sequence[Tensor]:
        """End a piece, capture a turn of a loop, and begin the next piece."""
        if limit <= MAX_UNCHECKED_ITERATIONS and not is_always_checked:
            for _ in range(limit):
                begun = turn(begun)
            return begun
        at = [tensor.clone() for tensor in begun]
        self._capture.close()
        replay = self._captured(lambda: _copy(at, turn(at)))

        def replay_loop() -> None:
            for made in range(limit):
                if is_finished(at[0], made, limit, is_always_checked=is_always_checked):
                    break
                replay()

        self._pieces.append(replay_loop)
        self._begin()
        return at

    def _grow(self, turn: Any, begun: Any, finish: Any, limit: int) -> Sequence[Tensor]:
        """End a piece, capture all turns of a loop, and begin the next piece.

        Args:
            turn, begun, finish, limit: as in `grow`.

        Returns:
            Where any of the ends of the loop leaves its result.
        """
        self._capture.close()
        at, stops, results = begun, list[_Stop](), list[Tensor]()
        last = 0
        with making_loops(None):
            for made in range(1, limit + 1):
                if not is_asked(made) and made < limit:
                    continue
                with self._graphs.capturing() as turns:
                    for _ in range(last, made):
                        at = turn(at)
                with self._graphs.capturing() as end:
                    found = finish(at)
                    if results:
                        _copy(results, found)
                    else:
                        results += [tensor.clone() for tensor in found]
                stops.append(_Stop(made, turns, at[0], end))
                last = made

        def replay_loop() -> None:
            for made, turns, on, end in stops:
                turns()
                if made == limit or is_over(on, made):
                    end()
                    break

        self._pieces.append(replay_loop)
        self._begin()
        return results


class _Stop(NamedTuple):
    """Where a loop may end.

    Args:
        made: turns made by then.
        turns: replays those since the last stop.
        on: the runs that go on after them.
        end: replays the end of the loop.
    """

    made: int
    turns: Function
    on: Tensor
    end: Function


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

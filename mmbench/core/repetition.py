"""Repetition of a turn until no run needs another one, also while a step is traced.

A trace is a list of operations: a loop whose length depends on numbers is not in it,
and one of a known length is there turn by turn. Where `making_loops` holds, loops are
made by what is given there. Where `marked_loops` holds, a loop is traced as one turn
between two operations that mark its beginning and its end.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mmbench.core.errors import DescriptionError

# Up to this limit, all turns are made without checking whether a run needs them.
MAX_UNCHECKED_ITERATIONS = 8
# On a GPU, iterations between two checks, once as many have been made. From the start
# on, a solve of four iterations would make eight, and launch twice the operations.
GPU_CHECK_INTERVAL = 8

_marks = torch.library.Library("mmbench", "DEF")
for _name in ("begin_loop", "end_loop"):
    _marks.define(f"{_name}(Tensor[] carried, int limit) -> Tensor[]")
    _marks.impl(
        _name,
        lambda carried, _: [tensor.clone() for tensor in carried],
        "CompositeExplicitAutograd",
    )
BEGIN_LOOP: Any = torch.ops.mmbench.begin_loop.default
END_LOOP: Any = torch.ops.mmbench.end_loop.default


Carried = TypeVar("Carried", bound=tuple)
Turn = Callable[[Sequence[Tensor]], list[Tensor]]


class Loops(NamedTuple):
    """What makes the loops of steps.

    Args:
        repeat: makes a loop of (turn, what the first turn is given, largest number of
            turns, whether each is checked), as `repeat`. The first tensor is the mask
            of the runs that go on.
        grow: makes a loop of (turn, what the first turn is given, finish, largest
            number of turns), as `grow`; None leaves it turn by turn.
    """

    repeat: Callable[[Turn, Sequence[Tensor], int, bool], Sequence[Tensor]]
    grow: (
        Callable[
            [Callable[[Any], Any], Any, Callable[[Any], list[Tensor]], int],
            Sequence[Tensor],
        ]
        | None
    ) = None


@runtime_checkable
class Charged(Protocol):
    """What counts the charges of a traced step.

    Attributes:
        charges: charges to every living run, by name.
        run_charges: charges that differ from run to run, by name.
        alive: runs that pay.
    """

    charges: dict[str, int]
    run_charges: dict[str, Int[Tensor, " runs"]]
    alive: Bool[Tensor, " runs"]


_charged: ContextVar[Charged | None] = ContextVar("_charged", default=None)
_loops: ContextVar[Loops | None] = ContextVar("_loops", default=None)


@contextmanager
def making_loops(loops: Loops | None) -> Iterator[None]:
    """Let the loops of steps whose charges are carried be made in another way.

    Args:
        loops: what makes them; None makes turns until no run goes on.
    """
    token = _loops.set(loops)
    try:
        yield
    finally:
        _loops.reset(token)


def marked_loops() -> AbstractContextManager[None]:
    """Let loops be traced as one turn between two marks."""
    return making_loops(Loops(_mark))


@contextmanager
def charging(charged: Charged) -> Iterator[None]:
    """Let what a loop charges be carried from turn to turn."""
    token = _charged.set(charged)
    try:
        yield
    finally:
        _charged.reset(token)


def is_over(on: Bool[Tensor, " runs"], made: int, limit: int | None = None) -> bool:
    """Return whether no run goes on, where this is checked.

    Masks keep what has stopped as it is, so that a check changes no number and no
    count. On a GPU the host waits for it: the first turn is made without one, and a
    long loop is checked less often.

    Args:
        on: runs that go on.
        made: turns made.
        limit: largest number of turns; few are made without a check. None checks
            in any case.
    """
    if limit is not None and limit <= MAX_UNCHECKED_ITERATIONS:
        return False
    if on.device.type == "cuda" and not is_asked(made):
        return False
    return not bool(on.any())


def is_asked(made: int) -> bool:
    """Return whether the host looks at a GPU after some turns."""
    return 0 < made <= GPU_CHECK_INTERVAL or (
        made > 0 and not made % GPU_CHECK_INTERVAL
    )


def unless_all(on: Bool[Tensor, " runs"]) -> Bool[Tensor, " runs"] | None:
    """Return a mask of runs, or None where it is seen to hold all of them.

    What all runs do takes less time without a mask. As in `is_over`, no number and no
    count depends on whether the host looks: not on a GPU, and not while a step is
    traced.
    """
    is_seen = on.device.type == "cpu" and _charged.get() is None
    return None if is_seen and bool(on.all()) else on


def repeat(
    turn: Callable[[Carried], Carried],
    begun: Carried,
    limit: int,
    *,
    is_always_checked: bool = False,
) -> Carried:
    """Repeat a turn until no run goes on.

    Args:
        turn: from what is carried from turn to turn to the same after another turn; it
            keeps all that belongs to a run that does not go on.
        begun: a NamedTuple of tensors with a leading runs axis, the first of them the
            mask of the runs that go on.
        limit: largest number of turns.
        is_always_checked: whether it is asked before each turn if a run goes on, for
            turns that take long; otherwise this is asked as in `is_over`.
    """
    charged, loops = _charged.get(), _loops.get()
    if limit and charged is not None and loops is not None:
        return _repeat_by(loops, turn, begun, limit, is_always_checked, charged)
    at = begun
    for made in range(limit):
        if is_finished(at[0], made, limit, is_always_checked=is_always_checked):
            break
        at = turn(at)
    return at


def is_finished(
    on: Bool[Tensor, " runs"], made: int, limit: int, *, is_always_checked: bool
) -> bool:
    """Return whether a loop of `repeat` ends before its limit, where this is checked.

    Args:
        on: runs that go on.
        made: turns made.
        limit: largest number of turns.
        is_always_checked: as in `repeat`.
    """
    return not bool(on.any()) if is_always_checked else is_over(on, made, limit)


def grow(
    turn: Callable[[Any], Any],
    begun: Any,
    finish: Callable[[Any], Carried],
    limit: int,
    *,
    is_checked: bool,
) -> Carried:
    """Repeat a turn that adds to what is carried, until no run goes on.

    Args:
        turn: from what is carried from turn to turn to the same after another turn; it
            changes no result of a run that does not go on.
        begun: tensors in a tuple, the first of them the mask of the runs that go on.
        finish: from what is carried at last to the result, a NamedTuple of tensors
            whose shapes are the same after any number of turns.
        limit: largest number of turns, at least 1.
        is_checked: whether it is asked if a run goes on.
    """
    charged, loops = _charged.get(), _loops.get()
    if is_checked and charged is not None and loops is not None and loops.grow:
        return _grow_by(loops, turn, begun, finish, limit, charged)
    at = begun
    for made in range(limit):
        if is_checked and is_over(at[0], made):
            break
        at = turn(at)
    return finish(at)


def _repeat_by(
    loops: Loops,
    turn: Callable[[Carried], Carried],
    begun: Carried,
    limit: int,
    is_always_checked: bool,
    charged: Charged,
) -> Carried:
    """Repeat a turn in another way, which carries the charges too."""
    make: Any = type(begun)
    names, before = list(charged.charges), dict(charged.run_charges)
    to_all, found = dict(charged.charges), set(before)

    def flat_turn(carried: Sequence[Tensor]) -> list[Tensor]:
        counted = dict(zip(names, carried[len(begun) :], strict=True))
        charged.run_charges = dict(counted)
        at = turn(make(*carried[: len(begun)]))
        _check_charges(charged, to_all)
        after = charged.run_charges
        found.update(name for name in names if after[name] is not counted[name])
        return [*at, *(after[name] for name in names)]

    flat = [*begun, *_list_charges(charged)]
    end = loops.repeat(flat_turn, flat, limit, is_always_checked)
    counted = zip(names, end[len(begun) :], strict=True)
    charged.run_charges = {name: value for name, value in counted if name in found}
    return make(*end[: len(begun)])


def _grow_by(
    loops: Loops,
    turn: Callable[[Any], Any],
    begun: Any,
    finish: Callable[[Any], Carried],
    limit: int,
    charged: Charged,
) -> Carried:
    """Repeat a turn that adds to what is carried in another way, with the charges."""
    assert loops.grow is not None
    before, to_all = dict(charged.run_charges), dict(charged.charges)
    results: list[Carried] = []

    def flat_finish(at: Any) -> list[Tensor]:
        _check_charges(charged, to_all)
        results.append(finish(at))
        return [*results[-1], *_list_charges(charged)]

    end = loops.grow(turn, begun, flat_finish, limit)
    size, make = len(results[-1]), type(results[-1])
    counted = zip(charged.charges, end[size:], strict=True)
    after = charged.run_charges
    charged.run_charges = before | {
        name: value
        for name, value in counted
        if name in after and after[name] is not before.get(name)
    }
    return make(*end[:size])


def _list_charges(charged: Charged) -> list[Tensor]:
    """Return the charges of each run for every name, zeros where there are none."""
    zeros = torch.zeros_like(charged.alive, dtype=torch.int32)
    return [charged.run_charges.get(name, zeros) for name in charged.charges]


def _check_charges(charged: Charged, to_all: dict[str, int]) -> None:
    """Raise a `DescriptionError` if a loop has charged every living run."""
    if charged.charges != to_all:
        raise DescriptionError("What a loop asks must be charged by a mask of runs.")


def _mark(turn: Turn, begun: Sequence[Tensor], limit: int, _: bool) -> Sequence[Tensor]:
    """Trace one turn between the marks of a loop."""
    end: Sequence[Tensor] = END_LOOP(turn(BEGIN_LOOP(begun, limit)), limit)
    return end

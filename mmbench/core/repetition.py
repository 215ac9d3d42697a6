"""Repetition of a turn until no run needs another one, also while a step is traced.

A trace is a list of operations: a loop whose length depends on numbers is not in it,
and one of a known length is there turn by turn. Where `making_loops` holds, a loop is
made by the function given there. Where `marked_loops` holds, a loop is traced as one
turn between two operations that mark its beginning and its end.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, runtime_checkable

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
# Makes a loop: (turn, what the first turn is given, largest number of turns). The first
# tensor is the mask of the runs that go on.
MakeLoop = Callable[[Turn, Sequence[Tensor], int], Sequence[Tensor]]


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
_make_loop: ContextVar[MakeLoop | None] = ContextVar("_make_loop", default=None)


@contextmanager
def making_loops(make_loop: MakeLoop | None) -> Iterator[None]:
    """Let a function make the loops of steps whose charges are carried.

    Args:
        make_loop: the function; None makes turns until no run goes on.
    """
    token = _make_loop.set(make_loop)
    try:
        yield
    finally:
        _make_loop.reset(token)


def marked_loops() -> AbstractContextManager[None]:
    """Let loops be traced as one turn between two marks."""
    return making_loops(_mark)


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
    if on.device.type == "cuda":
        is_long = made > GPU_CHECK_INTERVAL
        if made == 0 or (is_long and made % GPU_CHECK_INTERVAL):
            return False
    return not bool(on.any())


def repeat(turn: Callable[[Carried], Carried], begun: Carried, limit: int) -> Carried:
    """Repeat a turn until no run goes on.

    Args:
        turn: from what is carried from turn to turn to the same after another turn; it
            keeps all that belongs to a run that does not go on.
        begun: a NamedTuple of tensors with a leading runs axis, the first of them the
            mask of the runs that go on.
        limit: largest number of turns.
    """
    charged, make_loop = _charged.get(), _make_loop.get()
    if charged is not None and make_loop is not None:
        return _made_by(make_loop, turn, begun, limit, charged)
    at = begun
    for made in range(limit):
        if is_over(at[0], made, limit):
            break
        at = turn(at)
    return at


def _made_by(
    make_loop: MakeLoop,
    turn: Callable[[Carried], Carried],
    begun: Carried,
    limit: int,
    charged: Charged,
) -> Carried:
    """Let a function make a loop, which carries its charges too."""
    make: Any = type(begun)
    zeros = torch.zeros_like(charged.alive, dtype=torch.int32)
    names, before = list(charged.charges), dict(charged.run_charges)
    charges = [before.get(name, zeros) for name in names]
    to_all = dict(charged.charges)
    found = set(before)

    def flat_turn(carried: Sequence[Tensor]) -> list[Tensor]:
        counted = dict(zip(names, carried[len(begun) :], strict=True))
        charged.run_charges = dict(counted)
        at = turn(make(*carried[: len(begun)]))
        if charged.charges != to_all:
            raise DescriptionError(
                "What a loop asks must be charged by a mask of runs."
            )
        after = charged.run_charges
        found.update(name for name in names if after[name] is not counted[name])
        return [*at, *(after[name] for name in names)]

    end = make_loop(flat_turn, [*begun, *charges], limit)
    charged.run_charges = {
        name: value
        for name, value in zip(names, end[len(begun) :], strict=True)
        if name in found
    }
    return make(*end[: len(begun)])


def _mark(turn: Turn, begun: Sequence[Tensor], limit: int) -> Sequence[Tensor]:
    """Trace one turn between the marks of a loop."""
    end: Sequence[Tensor] = END_LOOP(turn(BEGIN_LOOP(begun, limit)), limit)
    return end

"""Taped oracle: what a step asks of an oracle, as a function of tensors alone."""

from collections.abc import Iterable, Iterator
from typing import Any

from jaxtyping import Int
from torch import Tensor

from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.oracle import COUNTED, Draw, Oracle
from mmbench.core.vectors import Mask

Turn = tuple[int, int]  # whose it is, and of how many


class RecordingOracle(Oracle):
    """An oracle that notes what is drawn from it, and whose turn it was.

    Attributes:
        draws: in their order.
        turns: in theirs.
    """

    def __init__(self, game: Game, seeds: tuple[int, ...], memory: tuple) -> None:
        super().__init__(game, seeds, memory=memory)
        self.draws: list[Draw] = []
        self.turns: list[Turn] = []

    def turn(self, count: Int[Tensor, "runs"], of: int) -> int:
        """Whose turn it is."""
        found = super().turn(count, of)
        self.turns.append((found, of))
        return found

    def _draw(self, what: Draw) -> Any:
        self.draws.append(what)
        return super()._draw(what)


class TracingOracle(Oracle):
    """An oracle of one step: given its draws, it keeps its charges apart.

    Args:
        game: the game asked.
        seeds: one a run; only their number counts.
        memory: what the game remembers.
        alive: runs that pay.
        draws: what the step will draw, in order.
        values: of these draws.
        turns: whose it is in this step.

    Attributes:
        same: charges to every living run, plain numbers.
        own: charges that differ from run to run, by what was counted.
    """

    def __init__(
        self,
        game: Game,
        seeds: tuple[int, ...],
        memory: tuple,
        alive: Mask,
        draws: Iterable[Draw],
        values: Iterable[Any],
        turns: Iterable[Turn] = (),
    ) -> None:
        super().__init__(game, seeds, memory=memory)
        self._alive = alive
        self._given: Iterator[tuple[Draw, Any]] = zip(draws, values, strict=True)
        self._turns = iter(turns)
        self.same = dict.fromkeys(COUNTED, 0)
        self.own: dict[str, Int[Tensor, runs]] = {}

    def _draw(self, what: Draw) -> Any:
        expected, value = next(self._given, (None, None))
        if expected != what:
            raise DescriptionError(
                f"Every step must draw the same; got {what} instead of {expected}."
            )
        return value

    def turn(self, count: Int[Tensor, "runs"], of: int) -> int:
        """Whose turn it is."""
        found, expected = next(self._turns, (0, 0))
        if expected != of:
            raise DescriptionError(
                f"Every step must take the same turns; got {of} instead of {expected}."
            )
        return found

    def _charge(self, what: str, amount: int, on: Mask | None = None) -> None:
        if on is None:
            self.same[what] += amount
        else:
            charged = amount * (on & self._alive).int()
            self.own[what] = self.own[what] + charged if what in self.own else charged

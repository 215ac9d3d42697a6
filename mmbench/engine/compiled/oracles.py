"""Oracle states that record what a step asks, or answer it with given values."""

from collections.abc import Iterable, Iterator
from typing import Any

from jaxtyping import Int
from torch import Tensor

from mmbench.core.columns import COUNTED
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.oracle_state import Draw, OracleState
from mmbench.core.vectors import Mask

Turn = tuple[int, int]  # the turn, from 0, and the number of turns


class RecordingState(OracleState):
    """An oracle state that records what is drawn from it, and what turns are asked for.

    Args:
        game: the game asked.
        seeds: one for each run.
        memory: the memory of the game.

    Attributes:
        draws: what was drawn, in order.
        turns: the turns asked for, in order.
    """

    def __init__(self, game: Game, seeds: tuple[int, ...], memory: tuple) -> None:
        super().__init__(game, seeds, memory=memory)
        self.draws: list[Draw] = []
        self.turns: list[Turn] = []

    def turn(self, count: Int[Tensor, " runs"], of: int) -> int:
        """Return the turn, from 0, and record it."""
        found = super().turn(count, of)
        self.turns.append((found, of))
        return found

    def draw(self, what: Draw) -> Any:
        """Return the next value of a stream, and record what was drawn."""
        self.draws.append(what)
        return super().draw(what)


class TracingState(OracleState):
    """An oracle state for one traced step: it is given draws and turns, keeps charges.

    Args:
        game: the game asked.
        seeds: one for each run; only their number counts.
        memory: the memory of the game.
        alive: runs that pay.
        draws: what the step will draw, in order.
        values: the values of these draws.
        turns: the turns that the step will ask for, in order.

    Attributes:
        charges: charges to every living run, by name.
        run_charges: charges that differ from run to run, by name.
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
        self.alive = alive
        self._given: Iterator[tuple[Draw, Any]] = zip(draws, values, strict=True)
        self._turns = iter(turns)
        self.charges = dict.fromkeys(COUNTED, 0)
        self.run_charges: dict[str, Int[Tensor, " runs"]] = {}

    def draw(self, what: Draw) -> Any:
        """Return the value given for this draw."""
        expected, value = next(self._given, (None, None))
        if expected != what:
            raise DescriptionError(
                f"Every step must draw the same; got {what} instead of {expected}."
            )
        return value

    def turn(self, count: Int[Tensor, " runs"], of: int) -> int:
        """Return the turn given for this step."""
        found, expected = next(self._turns, (0, 0))
        if expected != of:
            raise DescriptionError(
                f"Every step must take the same turns; got {of} instead of {expected}."
            )
        return found

    def charge(self, name: str, amount: int, on: Mask | None = None) -> None:
        """Add to the charges of this step."""
        if on is None:
            self.charges[name] += amount
            return
        charged = amount * self._charged(on).int()
        if name in self.run_charges:
            charged = self.run_charges[name] + charged
        self.run_charges[name] = charged

"""How fast the work goes, and how long it will take."""

import time
from collections.abc import Sequence

import numpy as np

from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording

# A cell's first steps pay for reading data and for the crowded early records.
SETTLED = 0.05


class Work:
    """The cell in work, and how far it has come.

    Attributes:
        cell: which.
        share: of it that is done.
        resumed: of it that had been done before.
        recording: of the chunk at work, as far as it is known.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.share = self.resumed = 0.0
        self.recording: Recording | None = None
        self._iterations = 0.0
        self._since = time.perf_counter()

    def advance(self, run_steps: int, recording: Recording | None) -> None:
        """So many more steps of runs have been made, here or before."""
        share = run_steps / (len(self.cell.seeds) * self.cell.steps)
        self.share = min(1.0, self.share + share)
        if recording is None or recording.ended:  # it comes from a checkpoint
            self.resumed += share
        else:
            self._iterations += run_steps / len(recording.seeds)
            self.recording = recording

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._since

    @property
    def speed(self) -> str:
        """Steps a second, of all runs side by side, measuring included."""
        rate = self._iterations / max(self.elapsed, 1e-9)
        return f"{short(rate) if rate >= 10 else f'{rate:.2g}'} it/s"

    def score(self, letters: int) -> str:
        """The last value of the first column with a direction, median over the runs.

        Args:
            letters: of the column's name at most.
        """
        last = self.recording.columns[-1:] if self.recording else []
        for column in self.cell.columns:
            if last and column.better != "neither" and column.name in last[0]:
                values = np.asarray(last[0][column.name], dtype=float)
                if np.isnan(values).all():
                    return ""
                name = column.name
                if len(name) > letters:
                    name = f"{name[: letters - 1]}…"
                return f"{name} {np.nanmedian(values):.3g}"
        return ""


class Forecast:
    """Time left, from what a gradient has cost on each task so far.

    Tasks differ a thousandfold, so cells of a task that has not been met are priced at
    the mean of those that have, and the forecast is not sure.
    """

    def __init__(self) -> None:
        self._met: dict[str, tuple[float, float]] = {}

    def learn(self, cell: Cell, spent: float, share: float = 1.0) -> None:
        """A cell, or a share of it, has taken so many seconds."""
        work, before = self._met.get(str(cell.task), (0.0, 0.0))
        self._met[str(cell.task)] = work + share * _price(cell), before + spent

    def left(
        self,
        cell: Cell,
        share: float,
        spent: float,
        rest: Sequence[Cell],
        resumed: float = 0.0,
    ) -> tuple[float, bool]:
        """Seconds left, and whether every task has been met.

        Args:
            cell: in work.
            share: of it that is done.
            spent: seconds on it.
            rest: cells after it.
            resumed: share of it that had been done before.
        """
        met = dict(self._met)
        if share - resumed > SETTLED:
            work, before = met.get(str(cell.task), (0.0, 0.0))
            made = (share - resumed) * _price(cell)
            met[str(cell.task)] = work + made, before + spent
        met = {one: (work, took) for one, (work, took) in met.items() if work > 0}
        if not met:
            return 0.0, False
        everywhere = sum(s for _, s in met.values()) / sum(w for w, _ in met.values())
        left, sure = 0.0, True
        for part, one in [(1 - share, cell), *((1.0, one) for one in rest)]:
            work, took = met.get(str(one.task), (0.0, 0.0))
            sure = sure and work > 0
            left += part * _price(one) * (took / work if work else everywhere)
        return left, sure


def _price(cell: Cell) -> float:
    price = max(cell.algorithm.cost.gradient_equivalents, 1.0)
    return len(cell.seeds) * cell.steps * price


def short(number: float) -> str:
    """A number in four characters or so: 950, 12k, 3.4M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            value = number / size
            return f"{value:.1f}{letter}" if value < 10 else f"{value:.0f}{letter}"
    return f"{number:.0f}"


def clock(value: float) -> str:
    """A duration as hours:minutes:seconds, hours left out where there are none."""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

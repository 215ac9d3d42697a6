"""Speed of the cell in progress, and an estimate of the time left."""

import time
from collections.abc import Sequence

import numpy as np

from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording

# Share of a cell from which its speed counts: its first steps include the reading of
# data, and its first records lie close together.
LEAST_SHARE = 0.05


class Work:
    """The cell in progress: its share done, its speed and its latest scores.

    Args:
        cell: the cell, which begins now.

    Attributes:
        share: share of its steps that are done, from 0 to 1.
        resumed: share of its steps that come from a checkpoint.
        recording: recording of the chunk in progress, if any is known.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.share = self.resumed = 0.0
        self.recording: Recording | None = None
        self._iterations = 0.0
        self._since = time.perf_counter()

    def advance(self, run_steps: int, recording: Recording | None) -> None:
        """Count steps, summed over runs, made now or before a checkpoint."""
        share = run_steps / (len(self.cell.seeds) * self.cell.steps)
        self.share = min(1.0, self.share + share)
        if recording is None or recording.ended:  # from a checkpoint
            self.resumed += share
        else:
            self._iterations += run_steps / len(recording.seeds)
            self.recording = recording

    @property
    def elapsed(self) -> float:
        """Seconds since the cell began."""
        return time.perf_counter() - self._since

    @property
    def steps(self) -> str:
        """Steps that a run has made, of those that it makes, as in "3.2k/10k"."""
        total = self.cell.steps
        return f"{abbreviate(self.share * total)}/{abbreviate(total)}"

    @property
    def speed(self) -> str:
        """Steps per second that all runs make together, measuring included."""
        rate = self._iterations / max(self.elapsed, 1e-9)
        return f"{abbreviate(rate) if rate >= 10 else f'{rate:.2g}'} it/s"

    def score(self, letters: int) -> str:
        """Return the first column with a direction and its latest median over runs.

        Args:
            letters: most characters of the column's name.
        """
        records = self.recording.records if self.recording else []
        last = records[-1].columns if records else {}
        for column in self.cell.columns:
            if column.better != "neither" and column.name in last:
                values = np.asarray(last[column.name][-1], dtype=float)
                if np.isnan(values).all():
                    return ""
                name = column.name
                if len(name) > letters:
                    name = f"{name[: letters - 1]}…"
                with np.errstate(over="ignore"):  # of two huge values
                    return f"{name} {np.nanmedian(values):.3g}"
        return ""


class Forecast:
    """An estimate of the time left, from the time of a gradient on each task so far.

    The time of a gradient differs a thousandfold between tasks. Cells of a task that
    was not timed yet are taken to need the mean of those that were, and the estimate is
    then not sure.
    """

    def __init__(self) -> None:
        self._timed: dict[str, tuple[float, float]] = {}

    def learn(self, cell: Cell, spent: float, share: float = 1.0) -> None:
        """Take into account the seconds spent on a cell, or on a share of it."""
        work, before = self._timed.get(str(cell.task), (0.0, 0.0))
        self._timed[str(cell.task)] = work + share * _gradients(cell), before + spent

    def left(self, works: Sequence[Work], rest: Sequence[Cell]) -> tuple[float, bool]:
        """Return the estimated seconds left, and whether every task was timed.

        Args:
            works: cells in progress side by side, at least one.
            rest: cells that follow them.
        """
        timed = dict(self._timed)
        for one in works:
            share = one.share - one.resumed
            if share > LEAST_SHARE:
                work, before = timed.get(str(one.cell.task), (0.0, 0.0))
                made = share * _gradients(one.cell)
                timed[str(one.cell.task)] = work + made, before + one.elapsed
        timed = {task: (work, took) for task, (work, took) in timed.items() if work > 0}
        if not timed:
            return 0.0, False
        mean = sum(s for _, s in timed.values()) / sum(w for w, _ in timed.values())
        left, sure = 0.0, True
        undone_cells = [(1 - one.share, one.cell) for one in works]
        for undone, each in [*undone_cells, *((1.0, each) for each in rest)]:
            work, took = timed.get(str(each.task), (0.0, 0.0))
            sure = sure and work > 0
            left += undone * _gradients(each) * (took / work if work else mean)
        return left / len(works), sure


def _gradients(cell: Cell) -> float:
    """Return the gradients that a cell computes over all runs."""
    each = max(cell.algorithm.cost.gradient_equivalents, 1.0)
    return len(cell.seeds) * cell.steps * each


def abbreviate(number: float) -> str:
    """Return a number in about four characters, as in 950, 12k and 3.4M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            value = number / size
            return f"{value:.1f}{letter}" if value < 10 else f"{value:.0f}{letter}"
    return f"{number:.0f}"


def format_clock(value: float) -> str:
    """Return seconds as hours:minutes:seconds, or minutes:seconds below an hour."""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

"""How the work goes: one bar on a terminal, one line a cell otherwise."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from mmbench.cli._terminal import counted, listed, seconds
from mmbench.core.description import name_of, text
from mmbench.core.status import Status
from mmbench.execute import Watcher
from mmbench.plan import Cell
from mmbench.trajectory import Trajectory

REASON_LENGTH = 300

# A cell's first steps pay for reading data and for the crowded early records.
SETTLED = 0.05


def named(cell: Cell) -> str:
    """A cell as one says it."""
    return f"{text(cell.task)} x {cell.label}"


def short_name(cell: Cell) -> str:
    """A cell on a narrow line, without the task's parameters."""
    return f"{name_of(type(cell.task))} x {cell.label}"


def brief(reason: str) -> str:
    """A reason on one line."""
    line = " ".join(reason.split())
    return line if len(line) <= REASON_LENGTH else f"{line[: REASON_LENGTH - 3]}..."


class Counting(Watcher):
    """Counts cells and time; what it shows is for the classes below.

    Attributes:
        begun: whether input was found good and work has started.
        waiting: cells that must be computed.
        done: how many of them are.
    """

    def __init__(self, screen: Console) -> None:
        self.screen = screen
        self.begun = False
        self.waiting: Sequence[Cell] = ()
        self.done = 0
        self.since = 0.0

    def close(self) -> None:
        """The work is done, or will not be."""

    def plan(self, cells: Sequence[Cell], waiting: Sequence[Cell]) -> None:
        """Called once: all cells, and those that must be computed."""
        self.begun, self.waiting = True, waiting

    def begin(self, cell: Cell) -> None:
        """A cell begins."""
        self.since = time.perf_counter()

    def end(self, cell: Cell, trajectory: Trajectory) -> None:
        """A cell has ended and is stored."""
        self.done += 1

    @property
    def elapsed(self) -> float:
        """Seconds since the cell in work began."""
        return time.perf_counter() - self.since

    def line(self, cell: Cell, trajectory: Trajectory) -> str:
        """What became of a cell, on one line."""
        outcomes = {status: trajectory.status.count(status) for status in Status}
        reason = f" ({brief(trajectory.reason)})" if trajectory.reason else ""
        return (
            f"[{self.done}/{len(self.waiting)}] {named(cell)}: "
            f"{counted(len(cell.seeds), 'run')}, {listed(outcomes)}{reason}, "
            f"{seconds(self.elapsed)}"
        )


class Lines(Counting):
    """One plain line a cell."""

    def end(self, cell: Cell, trajectory: Trajectory) -> None:
        """A cell has ended and is stored."""
        super().end(cell, trajectory)
        self.screen.print(self.line(cell, trajectory))
        self.screen.file.flush()  # a log is read while it grows


class Bar(Counting):
    """One bar over the runs of all waiting cells; it goes when the work is done."""

    def __init__(self, screen: Console) -> None:
        super().__init__(screen)
        self._progress = Progress(
            TextColumn("{task.fields[runs]}", markup=False),
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", max_width=30),
            ),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[speed]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            console=screen,
            refresh_per_second=4,
            transient=True,
        )
        self._forecast = Forecast()
        self._finished = 0
        self._steps = 0

    def close(self) -> None:
        """The work is done, or will not be."""
        self._progress.stop()

    def plan(self, cells: Sequence[Cell], waiting: Sequence[Cell]) -> None:
        """Called once: all cells, and those that must be computed."""
        super().plan(cells, waiting)
        if waiting:
            self._progress.start()
            total = sum(len(cell.seeds) for cell in waiting)
            self._bar = self._progress.add_task(
                "", total=total, runs=f"0/{total:,} runs", speed="", left=""
            )

    def begin(self, cell: Cell) -> None:
        """A cell begins."""
        super().begin(cell)
        self._cell, self._steps = cell, 0
        self._progress.update(self._bar, description=short_name(cell))

    def advance(self, run_steps: int) -> None:
        """So many more steps of runs have been made."""
        cell = self._cell
        self._steps += run_steps
        share = self._steps / (len(cell.seeds) * cell.steps)
        spent = self.elapsed
        rest = self.waiting[self.done + 1 :]
        left, sure = self._forecast.left(cell, share, spent, rest)
        self._progress.update(
            self._bar,
            completed=self._finished + share * len(cell.seeds),
            speed=f"{short(self._steps / max(spent, 1e-9))} steps/s",
            left=f"{clock(left)}{'' if sure else '+'} left" if left else "",
        )

    def end(self, cell: Cell, trajectory: Trajectory) -> None:
        """A cell has ended and is stored."""
        super().end(cell, trajectory)
        self._forecast.learn(cell, self.elapsed)
        self._finished += len(cell.seeds)
        total = sum(len(one.seeds) for one in self.waiting)
        self._progress.update(
            self._bar,
            completed=self._finished,
            runs=f"{self._finished:,}/{total:,} runs",
        )
        if trajectory.reason:  # worth knowing before the end
            self._progress.console.print(self.line(cell, trajectory))


class Forecast:
    """Time left, from what a gradient has cost on each task so far.

    Tasks differ a thousandfold, so cells of a task that has not been met are priced at
    the mean of those that have, and the forecast is not sure.
    """

    def __init__(self) -> None:
        self._met: dict[str, tuple[float, float]] = {}

    def learn(self, cell: Cell, spent: float) -> None:
        """A cell has taken so many seconds."""
        work, before = self._met.get(str(cell.task), (0.0, 0.0))
        self._met[str(cell.task)] = work + _work(cell), before + spent

    def left(
        self, cell: Cell, share: float, spent: float, rest: Sequence[Cell]
    ) -> tuple[float, bool]:
        """Seconds left, and whether every task has been met.

        Args:
            cell: in work.
            share: of it that is done.
            spent: seconds on it.
            rest: cells after it.
        """
        met = dict(self._met)
        if share > SETTLED:
            work, before = met.get(str(cell.task), (0.0, 0.0))
            met[str(cell.task)] = work + share * _work(cell), before + spent
        if not met:
            return 0.0, False
        everywhere = sum(s for _, s in met.values()) / sum(w for w, _ in met.values())
        left, sure = 0.0, True
        for part, one in [(1 - share, cell), *((1.0, one) for one in rest)]:
            work, took = met.get(str(one.task), (0.0, 0.0))
            sure = sure and work > 0
            left += part * _work(one) * (took / work if work else everywhere)
        return left, sure


def _work(cell: Cell) -> float:
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

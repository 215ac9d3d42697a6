"""How the work goes: one bar on a terminal, one line a cell otherwise."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from mmbench.cli import say
from mmbench.cli._console import counted, listed, seconds
from mmbench.cli._time_left import Forecast, Work, clock
from mmbench.core.description import name_of, text
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.execute import Observer

REASON_LENGTH = 300
MINUTE = 60.0  # seconds between two lines about one cell
ROOMY = 110  # columns of a terminal on which nothing is cut
SHORT, WHOLE = 10, 30  # letters of a column's name
AGAIN = "measured again from kept iterates"
ELSEWHERE = "computed by another process"


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


class Counting(Observer):
    """Counts cells, steps and time; what it shows is for the classes below.

    Attributes:
        begun: whether input was found good and work has started.
        waiting: cells that must be computed.
        done: how many of them are.
        again: how many of those were only measured again.
    """

    def __init__(self, screen: Console) -> None:
        self.screen = screen
        self.begun = False
        self.waiting: Sequence[Cell] = ()
        self.done = self.again = 0
        self._left: dict[str, Cell] = {}
        self._forecast = Forecast()
        self._work: Work | None = None

    def close(self) -> None:
        """The work is done, or will not be."""

    def on_plan(self, cells: Sequence[Cell], waiting: Sequence[Cell]) -> None:
        """Called once: all cells, and those that must be computed."""
        self.begun, self.waiting = True, waiting
        self._left = {cell.key: cell for cell in waiting}

    def on_warning(self, sentence: str) -> None:
        """Something about the store that its owner should know."""
        say(f"Note: {sentence}")

    def on_start(self, cell: Cell) -> None:
        """A cell begins."""
        self._work = Work(cell)

    def on_progress(self, run_steps: int, recording: Recording | None = None) -> None:
        """So many more steps of runs have been made."""
        if self._work:
            self._work.advance(run_steps, recording)

    def on_stored_by_another_process(self, cell: Cell) -> None:
        """A waiting cell has been computed and stored by another process."""
        self._settle(cell)

    def on_remeasured(self, cell: Cell) -> None:
        """A stored cell has got further metrics without running again."""
        self._settle(cell)
        self.again += 1

    def on_end(self, cell: Cell, trajectory: Trajectory) -> None:
        """A cell has ended and is stored."""
        if work := self._at(cell):
            self._forecast.learn(cell, work.elapsed, 1 - work.resumed)
        self._settle(cell)

    def _settle(self, cell: Cell) -> None:
        self.done += 1
        self._left.pop(cell.key, None)

    def _at(self, cell: Cell) -> Work | None:
        """The work on a cell, if it was this process that did it."""
        return self._work if self._work and self._work.cell.key == cell.key else None

    @property
    def left(self) -> str:
        """Time left, with a plus where some task has not been met; or nothing."""
        work = self._work
        if not work:
            return ""
        rest = [one for key, one in self._left.items() if key != work.cell.key]
        left, sure = self._forecast.left(
            work.cell, work.share, work.elapsed, rest, work.resumed
        )
        return f"{clock(left)}{'' if sure else '+'} left" if left else ""

    def line(self, cell: Cell, trajectory: Trajectory) -> str:
        """What became of a cell, on one line."""
        outcomes = {status: trajectory.status.count(status) for status in Status}
        reason = f" ({brief(trajectory.reason)})" if trajectory.reason else ""
        work = self._at(cell)
        took = f", {seconds(work.elapsed)}" if work else ""
        return self._numbered(
            cell,
            f"{counted(len(cell.seeds), 'run')}, {listed(outcomes)}{reason}{took}",
        )

    def _numbered(self, cell: Cell, said: str) -> str:
        return f"[{self.done}/{len(self.waiting)}] {named(cell)}: {said}"


class Lines(Counting):
    """One plain line a cell, and one a minute in a cell that takes long."""

    def on_start(self, cell: Cell) -> None:
        """A cell begins."""
        super().on_start(cell)
        self._said = 0  # minutes that have been told of

    def on_progress(self, run_steps: int, recording: Recording | None = None) -> None:
        """So many more steps of runs have been made."""
        super().on_progress(run_steps, recording)
        work = self._work
        if work and work.elapsed >= MINUTE * (self._said + 1):
            self._said = int(work.elapsed / MINUTE)
            done = f"{100 * work.share:.0f} %"
            told = (done, work.speed, work.score(WHOLE), self.left)
            said = ", ".join(one for one in told if one)
            self._print(f"  {short_name(work.cell)}: {said}")

    def on_stored_by_another_process(self, cell: Cell) -> None:
        """A waiting cell has been computed and stored by another process."""
        super().on_stored_by_another_process(cell)
        self._print(self._numbered(cell, ELSEWHERE))

    def on_remeasured(self, cell: Cell) -> None:
        """A stored cell has got further metrics without running again."""
        super().on_remeasured(cell)
        self._print(self._numbered(cell, AGAIN))

    def on_end(self, cell: Cell, trajectory: Trajectory) -> None:
        """A cell has ended and is stored."""
        super().on_end(cell, trajectory)
        self._print(self.line(cell, trajectory))

    def _print(self, line: str) -> None:
        self.screen.print(line)
        self.screen.file.flush()  # a log is read while it grows


class Bar(Counting):
    """One bar over the runs of all waiting cells; it goes when the work is done."""

    def __init__(self, screen: Console) -> None:
        super().__init__(screen)
        self._narrow = screen.width < ROOMY
        # What is cut where a line is too long, so that a line stays a line.
        told = Column(no_wrap=True, overflow="ellipsis", max_width=20)
        if not self._narrow:
            told.max_width = 40
        self._progress = Progress(
            TextColumn("{task.fields[runs]}", markup=False),
            TextColumn("{task.description}", markup=False, table_column=told),
            BarColumn(bar_width=6 if self._narrow else 12),
            *(
                TextColumn(f"{{task.fields[{name}]}}", markup=False)
                for name in ("speed", "score", "left")
            ),
            console=screen,
            refresh_per_second=4,
            transient=True,
        )
        self._finished = 0

    def close(self) -> None:
        """The work is done, or will not be."""
        self._progress.stop()

    def on_plan(self, cells: Sequence[Cell], waiting: Sequence[Cell]) -> None:
        """Called once: all cells, and those that must be computed."""
        super().on_plan(cells, waiting)
        if waiting:
            self._progress.start()
            self._total = sum(len(cell.seeds) for cell in waiting)
            self._bar = self._progress.add_task(
                "", total=self._total, runs=self._runs(), speed="", score="", left=""
            )

    def on_start(self, cell: Cell) -> None:
        """A cell begins."""
        super().on_start(cell)
        self._progress.update(
            self._bar, description=short_name(cell), speed="", score=""
        )

    def on_progress(self, run_steps: int, recording: Recording | None = None) -> None:
        """So many more steps of runs have been made."""
        super().on_progress(run_steps, recording)
        if work := self._work:
            self._progress.update(
                self._bar,
                completed=self._finished + work.share * len(work.cell.seeds),
                speed=work.speed,
                score=work.score(SHORT if self._narrow else WHOLE),
                left=self.left,
            )

    def on_stored_by_another_process(self, cell: Cell) -> None:
        """A waiting cell has been computed and stored by another process."""
        super().on_stored_by_another_process(cell)
        self._settled(cell, self._numbered(cell, ELSEWHERE))

    def on_remeasured(self, cell: Cell) -> None:
        """A stored cell has got further metrics without running again."""
        super().on_remeasured(cell)
        self._settled(cell, self._numbered(cell, AGAIN))

    def on_end(self, cell: Cell, trajectory: Trajectory) -> None:
        """A cell has ended and is stored."""
        super().on_end(cell, trajectory)
        # A reason is worth knowing before the end.
        self._settled(cell, self.line(cell, trajectory) if trajectory.reason else "")

    def _settled(self, cell: Cell, line: str) -> None:
        self._finished += len(cell.seeds)
        self._progress.update(
            self._bar, completed=self._finished, runs=self._runs(), score=""
        )
        if line:
            self._progress.console.print(line)

    def _runs(self) -> str:
        return f"{self._finished:,}/{self._total:,} runs"

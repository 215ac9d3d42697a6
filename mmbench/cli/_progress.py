"""Progress of `mmbench run`: a bar on a terminal, otherwise a line for each cell."""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from mmbench.cli import print_stderr
from mmbench.cli._console import format_duration, format_outcomes, pluralize
from mmbench.cli._time_left import Forecast, Work, format_clock
from mmbench.core.description import name_of, text
from mmbench.core.printable import printable
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.execute import Observer

PIPE_WIDTH = 1000  # columns; lines in a pipe are not folded, for grep and cut
REASON_LENGTH = 300  # characters
LINE_SECONDS = 60.0  # between two lines about the same cell
WIDE_COLUMNS = 110  # from this width on, a terminal has room for whole names
LEAST_COLUMNS = 70  # below it, there is no room but for runs, steps and time
EMPTY: dict[str, Any] = {
    "steps": "",
    "speed": "",
    "score": "",
    "left": "",
}  # no cell has begun
SHORT_NAME, LONG_NAME = 10, 30  # characters of a column's name
REMEASURED = "measured again from kept iterates"
STORED_BY_ANOTHER = "computed by another process"


def cell_title(cell: Cell) -> str:
    """Return the task and label of a cell, as in "bilinear[dim=2] x gda"."""
    return f"{text(cell.task)} x {cell.label}"


def short_title(cell: Cell) -> str:
    """Return the title of a cell without the task's parameters."""
    return f"{name_of(type(cell.task))} x {cell.label}"


def shorten_reason(reason: str) -> str:
    """Return the reason of an error on one line of at most `REASON_LENGTH`."""
    line = " ".join(reason.split())
    return line if len(line) <= REASON_LENGTH else f"{line[: REASON_LENGTH - 3]}..."


class _Console(Console):
    """A console that makes control characters visible."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the printable text in rich's form."""
        return super().render_str(printable(text), **options)


def make_progress(*, stderr: bool = False) -> "RunProgress":
    """Return the progress of a run, with the display that fits where it is shown.

    Args:
        stderr: whether it is shown on stderr, since stdout has the results.
    """
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    console = _Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if terminal else PIPE_WIDTH,
    )
    return RunProgress(Bar(console) if terminal else Lines(console))


class RunProgress(Observer):
    """An observer that counts cells, runs and time, and has a display show them.

    Args:
        display: `Bar` or `Lines`.

    Attributes:
        begun: whether the input was valid and work has started.
        waiting: cells that must be computed.
        done: number of them that are finished.
        again: number of those that were only measured again.
        taken: key to the number of runs that stored cells of other seeds had.
        runs: number of runs of the finished cells.
        works: cells in progress by key, the one that began first at the front.
    """

    def __init__(self, display: "Display") -> None:
        self.display = display
        self.begun = False
        self.waiting: Sequence[Cell] = ()
        self.done = self.again = self.runs = 0
        self.taken: Counter[str] = Counter()
        self.works: dict[str, Work] = {}
        self._left: dict[str, Cell] = {}
        self._forecast = Forecast()

    def close(self) -> None:
        """End the display, whether or not the work is finished."""
        self.display.close()

    def on_plan(self, cells: Sequence[Cell], waiting: Sequence[Cell]) -> None:
        """Called once: all cells, and those that must be computed."""
        self.begun, self.waiting = True, waiting
        self._left = {cell.key: cell for cell in waiting}
        self.display.start(self)

    def on_warning(self, sentence: str) -> None:
        """Print a note about the store."""
        print_stderr(f"Note: {sentence}")

    @property
    def work(self) -> Work | None:
        """The cell in progress that began first."""
        return next(iter(self.works.values()), None)

    @property
    def runs_done(self) -> float:
        """The number of runs made, with the shares of those in progress."""
        parts = (work.share * len(work.cell.seeds) for work in self.works.values())
        return self.runs + sum(parts)

    def on_start(self, cell: Cell) -> None:
        """Called when the computation of a cell starts, or starts once more."""
        self.works[cell.key] = Work(cell)
        self.taken.pop(cell.key, None)
        self.display.begin(self)

    def on_progress(
        self, cell: Cell, run_steps: int, recording: Recording | None = None
    ) -> None:
        """Called when runs of a cell have made more steps, counted over all runs."""
        self.works[cell.key].advance(run_steps, recording)
        self.display.advance(self, self.works[cell.key])

    def on_taken(self, cell: Cell, runs: int) -> None:
        """Called when runs of a cell are taken from stored cells of other seeds."""
        self.taken[cell.key] += runs

    def on_stored_by_another_process(self, cell: Cell) -> None:
        """Called when another process has computed and stored a waiting cell."""
        self._finish(cell, STORED_BY_ANOTHER)

    def on_remeasured(self, cell: Cell) -> None:
        """Called when a stored cell got further metrics without running again."""
        self.again += 1
        self._finish(cell, REMEASURED)

    def on_end(self, cell: Cell, trajectory: Trajectory) -> None:
        """Called when a cell has ended and is stored."""
        outcomes = {status: trajectory.status.count(status) for status in Status}
        result = f"{pluralize(len(cell.seeds), 'run')}, {format_outcomes(outcomes)}"
        if taken := self.taken[cell.key]:
            result += f", {taken:,} from the store"
        elif (work := self.works.get(cell.key)) and work.resumed > 0:
            result += f", {work.resumed:.0%} of the steps made before"
        if trajectory.reason:
            result += f" ({shorten_reason(trajectory.reason)})"
        if work := self.works.get(cell.key):
            self._forecast.learn(cell, work.elapsed, 1 - work.resumed)
            result += f", {format_duration(work.elapsed)}"
            result += f", {trajectory.backend.partition(',')[0] or 'eager'}"
        self._finish(cell, result, notable=bool(trajectory.reason))

    def _finish(self, cell: Cell, result: str, *, notable: bool = True) -> None:
        self.done += 1
        self.runs += len(cell.seeds)
        self._left.pop(cell.key, None)
        self.works.pop(cell.key, None)
        line = f"[{self.done}/{len(self.waiting)}] {cell_title(cell)}: {result}"
        self.display.finish(self, line, notable=notable)

    @property
    def time_left(self) -> str:
        """Estimated time left, or nothing where it is unknown.

        A plus follows while some task has not been timed yet.
        """
        if not self.works:
            return ""
        rest = [cell for key, cell in self._left.items() if key not in self.works]
        left, sure = self._forecast.left(tuple(self.works.values()), rest)
        return f"{format_clock(left)}{'' if sure else '+'} left" if left else ""


class Display(Protocol):
    """What shows the progress of a run."""

    def start(self, progress: RunProgress) -> None:
        """Called once, when it is known which cells must be computed."""

    def begin(self, progress: RunProgress) -> None:
        """Called when a cell begins."""

    def advance(self, progress: RunProgress, work: Work) -> None:
        """Called when a cell in progress has made more steps."""

    def finish(self, progress: RunProgress, line: str, *, notable: bool) -> None:
        """Called when a cell is finished.

        Args:
            progress: counts that include the cell.
            line: what became of the cell.
            notable: whether the line is worth reading before the work is finished.
        """

    def close(self) -> None:
        """Called once, at the end."""


class Lines:
    """A display for logs: a line for each cell, and one each minute in a long cell."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Key to minutes of each cell in progress, at its last line.
        self._minutes: dict[str, int] = {}

    def start(self, progress: RunProgress) -> None:
        """Show nothing yet."""

    def begin(self, progress: RunProgress) -> None:
        """Show nothing yet."""

    def advance(self, progress: RunProgress, work: Work) -> None:
        """Print a line about a long cell if a minute has passed since the last one."""
        minutes = self._minutes.get(work.cell.key, 0)
        if work.elapsed < LINE_SECONDS * (minutes + 1):
            return
        self._minutes[work.cell.key] = int(work.elapsed / LINE_SECONDS)
        share = f"{100 * work.share:.0f} %"
        facts = (share, work.speed, work.score(LONG_NAME), progress.time_left)
        self._print(f"  {short_title(work.cell)}: {', '.join(filter(None, facts))}")

    def finish(self, progress: RunProgress, line: str, *, notable: bool) -> None:
        """Print the line of a finished cell."""
        self._print(line)

    def close(self) -> None:
        """Leave the lines as they are."""

    def _print(self, line: str) -> None:
        self._console.print(line)
        self._console.file.flush()  # a log is read while it grows


class Bar:
    """A display for terminals: one bar over all runs, removed at the end."""

    def __init__(self, console: Console) -> None:
        narrow = console.width < WIDE_COLUMNS
        self._name_length = SHORT_NAME if narrow else LONG_NAME
        # The title is cut where the line would be too long for the terminal.
        title = Column(
            no_wrap=True, overflow="ellipsis", max_width=12 if narrow else 40
        )
        shown: tuple[str, ...] = ("runs", "title", "bar", "steps", "speed", "score")
        if console.width < LEAST_COLUMNS:
            shown = ("runs", "steps")
        columns: dict[str, ProgressColumn] = {
            "title": TextColumn("{task.description}", markup=False, table_column=title),
            "bar": BarColumn(bar_width=3 if narrow else 12),
        }
        self._progress = Progress(
            *(
                columns.get(name)
                or TextColumn(f"{{task.fields[{name}]}}", markup=False)
                for name in (*shown, "left")
            ),
            console=console,
            refresh_per_second=4,
            transient=True,
        )
        self._total = 0
        self._shown = ""  # key of the cell that is shown

    def start(self, progress: RunProgress) -> None:
        """Show the bar if there is anything to compute."""
        if not progress.waiting:
            return
        self._total = sum(len(cell.seeds) for cell in progress.waiting)
        self._progress.start()
        self._bar = self._progress.add_task(
            "", total=self._total, runs=self._runs(0), **EMPTY
        )

    def begin(self, progress: RunProgress) -> None:
        """Show the title of the cell that is shown, where that is another one."""
        self._show_title(progress)

    def _show_title(self, progress: RunProgress) -> None:
        work = progress.work
        if work and work.cell.key != self._shown:
            self._shown = work.cell.key
            title = short_title(work.cell)
            self._progress.update(self._bar, description=title, **EMPTY)

    def advance(self, progress: RunProgress, work: Work) -> None:
        """Show the speed, the score and the time left.

        Of several cells in progress, those of the one that began first.
        """
        self._show_title(progress)
        if work is not progress.work:
            self._progress.update(self._bar, completed=progress.runs_done)
            return
        self._progress.update(
            self._bar,
            completed=progress.runs_done,
            steps=work.steps,
            speed=work.speed,
            score=work.score(self._name_length),
            left=progress.time_left,
        )

    def finish(self, progress: RunProgress, line: str, *, notable: bool) -> None:
        """Count the runs of a finished cell, and print its line if it is notable."""
        self._progress.update(
            self._bar,
            completed=progress.runs_done,
            runs=self._runs(progress.runs),
            score="",
        )
        if notable:
            self._progress.console.print(line)

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()

    def _runs(self, finished: int) -> str:
        return f"{finished:,}/{self._total:,} runs"

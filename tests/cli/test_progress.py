"""Progress: a bar on a terminal, lines in a log."""

import io
import re

import numpy as np
import pytest
from command_line import GRID, Cli
from long_cells import cells_of_images
from rich.console import Console

from mmbench.cli._progress import Bar, Lines, RunProgress
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import run_cell


@pytest.mark.usefixtures("terminal")
def test_one_bar_on_a_terminal(cli: Cli) -> None:
    result = cli("run", *GRID, "-a", "mine.py:Moody", "--steps", "400")
    assert result.exit_code == 1
    drawn = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", result.stdout)
    lines = [line for line in re.split(r"[\r\n]", drawn) if line]
    assert any(re.match(r"[024]/4 runs bilinear x [\w…]+ +━", line) for line in lines)
    # An error is shown at once, above the bar; a cell without one is not.
    assert "[2/2] bilinear x Moody: 2 runs, 2 error (ValueError" in drawn
    assert "[1/2]" not in drawn
    assert "2 cells of grid: 2 computed in" in drawn
    bars = [line for line in lines if "━" in line]
    assert max(len(line.rstrip()) for line in bars) <= 80


def progress_of(cells: tuple[Cell, ...], screen: Console, kind: type) -> RunProgress:
    """Return the progress within the last of some cells, at 3.2 steps a second."""
    progress = RunProgress(kind(screen))
    progress.on_plan(cells, cells)
    for cell in cells[:-1]:
        progress.on_start(cell)
        progress.on_end(cell, run_cell(cell))
    cell = cells[-1]
    progress.on_start(cell)
    recording = Recording(cell, cell.seeds)
    scores = {column.name: np.full(len(cell.seeds), 1.5) for column in cell.columns}
    scores[cell.columns[0].name] = np.array([123.45, np.nan, 120.0])
    recording.add(0, 0.0, {}, scores)
    progress.on_progress(cell, 0, None)
    progress.work._since -= 1875.0  # seconds ago
    progress.on_progress(cell, 6000 * len(cell.seeds), recording)
    return progress


@pytest.mark.parametrize("label", ["GDA", "a method of a very long name, indeed"])
def test_the_bar_has_speed_and_score_on_eighty_columns(label: str) -> None:
    """The bar is one line, and the time left is never cut."""
    file = io.StringIO()
    screen = Console(file=file, width=80, force_terminal=True, highlight=False)
    progress = progress_of(cells_of_images(label), screen, Bar)
    progress.display._progress.refresh()
    progress.close()
    drawn = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", file.getvalue())
    lines = [line.rstrip() for line in re.split(r"[\r\n]", drawn)]
    line = next(line for line in reversed(lines) if "it/s" in line)
    assert line.startswith("997/1,000 runs cifar10 x ")
    assert re.search(r" \d[\d.]*k/\d+k ", line), line  # steps of a run, done and in all
    assert "3.2 it/s fd_cifar1… 122 " in line  # the median of those that have one
    assert re.search(r" \d+:\d\d:\d\d\+? left$", line)
    assert len(line) <= 80


def test_a_narrow_terminal_has_runs_steps_and_time_left() -> None:
    """On forty columns, in one line."""
    file = io.StringIO()
    screen = Console(file=file, width=40, force_terminal=True, highlight=False)
    progress = progress_of(cells_of_images("GDA"), screen, Bar)
    progress.display._progress.refresh()
    progress.close()
    drawn = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", file.getvalue())
    lines = [line.rstrip() for line in re.split(r"[\r\n]", drawn)]
    line = next(line for line in reversed(lines) if "left" in line)
    assert re.fullmatch(r"997/1,000 runs \d[\d.]*k/\d+k \d+:\d\d:\d\d\+? left", line)


def test_the_bar_has_whole_names_where_there_is_room() -> None:
    file = io.StringIO()
    screen = Console(file=file, width=140, force_terminal=True, highlight=False)
    progress = progress_of(cells_of_images(), screen, Bar)
    progress.display._progress.refresh()
    progress.close()
    assert "fd_cifar10cnn_10k 122" in file.getvalue()


def test_a_long_cell_has_a_line_a_minute_in_a_log() -> None:
    """A log has no line for each report, and none within a short cell."""
    file = io.StringIO()
    progress = progress_of(cells_of_images(), Console(file=file, width=1000), Lines)
    progress.on_progress(progress.work.cell, 3, progress.work.recording)
    first, second = file.getvalue().splitlines()
    assert first.startswith("[1/2] bilinear x gda: 997 runs")
    assert re.fullmatch(
        r"  cifar10 x GDA: 6 %, 3\.2 it/s, fd_cifar10cnn_10k 122, .* left", second
    )
    progress.work._since -= 60
    progress.on_progress(progress.work.cell, 3, progress.work.recording)
    assert len(file.getvalue().splitlines()) == 3


def test_remeasured_cells_are_reported(cli: Cli) -> None:
    """A remeasured cell has a line and is counted in the summary."""
    cli("run", *GRID, "--keep", "all", "-m", "distance")
    more = cli("run", *GRID, "--keep", "all", "-m", "distance", "-m", "gap")
    assert "[1/1] bilinear x gda: measured again from kept iterates\n" in more.stdout
    assert "0 computed in " in more.stdout
    assert "1 measured again, 0 already there" in more.stdout


@pytest.mark.usefixtures("terminal")
def test_remeasured_cells_are_reported_on_a_terminal(cli: Cli) -> None:
    cli("run", *GRID, "--keep", "last", "-m", "distance")
    more = cli("run", *GRID, "--keep", "last", "-m", "distance", "-m", "gap")
    assert "measured again from kept iterates" in more.stdout

"""The command line: verbs, formats, resuming, and every kind of bad input."""

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from rich.console import Console

from mmbench.algorithms import ALGORITHMS
from mmbench.analysis.results import load
from mmbench.cli import VERBS, main
from mmbench.cli._progress import Bar, Lines
from mmbench.cli._selection import Selection
from mmbench.cli._time_left import Forecast, Work, clock, short
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import run_cell
from mmbench.metrics import METRICS
from mmbench.runner.execute import Observer
from mmbench.runner.plan import plan
from mmbench.store.folder import CheckpointFile, Store
from mmbench.suites import SUITES
from mmbench.suites.base import Grid, Suite
from mmbench.tasks import TASKS

Cli = Callable[..., Result]

OUTSIDE = '''
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from mmbench import Algorithm, Cost, Source


@dataclass(frozen=True, kw_only=True)
class Mine(Algorithm):
    """Mine: a plain step, by a class from outside.

    Args:
        k: divides the step.
    """

    k: int = 1

    source = Source(authors="Nobody", year=2026, title="Nothing")

    @property
    def cost(self):
        return Cost(grad_x=1, grad_y=1)

    def step(self, oracle, z, state):
        return z - 0.1 / self.k * oracle.field(z), state


class Moody(Mine):
    """Moody: raises unless there is a file."""

    def step(self, oracle, z, state):
        if not Path("calm").exists():
            raise ValueError("I [will] not\\nstep")
        return super().step(oracle, z, state)


class Once(Mine):
    """Once: is interrupted, once."""

    def step(self, oracle, z, state):
        if not Path("calm").exists():
            Path("calm").touch()
            os.kill(os.getpid(), signal.SIGINT)
        return super().step(oracle, z, state)


class Picky(Mine):
    """Picky: its check raises."""

    def check(self):
        raise RuntimeError("never good enough")


class Priceless(Mine):
    """Priceless: its cost raises."""

    @property
    def cost(self):
        return 1 / 0


class Abstract(Algorithm):
    """Abstract: no step."""


class Stranger:
    """No algorithm."""
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, with a few files to be named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    (tmp_path / "mine.py").write_text(OUTSIDE)
    (tmp_path / "raises.py").write_text("raise ValueError('not today')")
    (tmp_path / "exits.py").write_text("import sys\nsys.exit('bye')")
    (tmp_path / "wrong.py").write_text("def broken(:")
    return tmp_path


@pytest.fixture
def cli() -> Cli:
    """Runs words of the command line in this process."""

    def run(*words: str) -> Result:
        result = CliRunner().invoke(main, words)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


TINY = ("--seeds", "2", "--steps", "20", "--records", "2")
GRID = ("-t", "bilinear", "-a", "gda", *TINY)


# ---- list and show ----


@pytest.mark.parametrize(
    ("family", "registry"),
    [
        ("tasks", TASKS),
        ("algorithms", ALGORITHMS),
        ("metrics", METRICS),
        ("suites", SUITES),
    ],
)
def test_list_has_a_line_for_each_member(cli: Cli, family: str, registry: dict) -> None:
    told = json.loads(cli("list", family, "--json").stdout)
    assert [one["name"] for one in told[family]] == list(registry)
    assert all(one["summary"] for one in told[family])
    lines = cli("list", family).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(registry)


def test_list_without_a_family_has_all(cli: Cli) -> None:
    told = json.loads(cli("list", "--json").stdout)
    assert {"tasks", "algorithms", "metrics", "suites"} < set(told)
    printed = cli("list").stdout
    for members in told.values():
        assert all(one["name"] in printed for one in members)


def test_show_tells_parameters_cost_and_source(cli: Cli) -> None:
    told = json.loads(cli("show", "extragradient", "--json").stdout)
    assert told["family"] == "algorithm"
    assert told["parameters"][0]["name"] == "step_size"
    assert told["parameters"][0]["default"] == "0.1"
    assert "above 0" in told["parameters"][0]["domain"]
    assert told["gradient_equivalents"] == 4
    printed = cli("show", "extragradient").stdout
    for said in ("look ahead", "step_size", "default 0.1", "Korpelevich", "2 ∇x"):
        assert said in printed


def test_show_answers_for_parameters(cli: Cli) -> None:
    assert "6 ∇y" in cli("show", "alternating_gda[k=6]").stdout
    assert json.loads(cli("show", "cgd", "--json").stdout)["needs"] == [
        "a zero-sum game"
    ]


@pytest.mark.parametrize(
    "name",
    [
        *TASKS,
        *ALGORITHMS,
        *METRICS,
        "adam",
        "every",
        "smoke",
        "gan",
        "mine.py:Mine",
    ],
)
def test_show_answers_for_every_name(cli: Cli, name: str) -> None:
    told = json.loads(cli("show", name, "--json").stdout)
    assert told["summary"]
    assert told["summary"][:20] in cli("show", name).stdout


def test_show_tells_a_tasks_target_and_a_metrics_columns(cli: Cli) -> None:
    task = json.loads(cli("show", "bilinear", "--json").stdout)
    assert task["target"] == "distance ≤ 0.001"
    assert "a zero-sum game" in task["gives"]
    metric = json.loads(cli("show", "gap", "--json").stdout)
    assert metric["columns"][0]["name"] == "gap"
    assert metric["protocol"] == {}


def test_show_tells_how_images_are_measured(cli: Cli) -> None:
    """With the digest whole in JSON and short on the page."""
    protocol = json.loads(cli("show", "frechet_distance", "--json").stdout)["protocol"]
    assert len(protocol["sha256"]) == 64
    printed = cli("show", "frechet_distance").stdout
    assert f"sha256 {protocol['sha256'][:12]}…; resize none" in printed
    assert protocol["sha256"] not in printed


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("name", [*TASKS, *METRICS, *SUITES])
def test_show_reads_well_on_eighty_columns(cli: Cli, name: str) -> None:
    lines = cli("show", name).stdout.splitlines()
    # Formulas and lists stand as they are in the docstring.
    wide = [line for line in lines if len(line) > 80]
    assert all(line.startswith("    ") for line in wide), wide
    assert not wide or name not in SUITES, wide


# ---- plan, run, again ----


def test_plan_says_what_is_there(cli: Cli) -> None:
    before = json.loads(cli("plan", *GRID, "-a", "omd", "--json").stdout)
    assert (before["waiting"], before["run_steps"]) == (2, 80)
    assert not Path("mmbench-results").exists()
    assert cli("run", *GRID).exit_code == 0
    after = json.loads(cli("plan", *GRID, "-a", "omd", "--json").stdout)
    assert [cell["stored"] for cell in after["cells"]] == [True, False]
    printed = cli("plan", *GRID, "-a", "omd").stdout
    assert "2 cells: 1 in mmbench-results, 1 to compute" in printed
    assert after["cells"][0]["key"][:8] in printed


def test_run_prints_a_line_a_cell_and_a_summary(cli: Cli) -> None:
    result = cli("run", *GRID, "-a", "hot = gda[step_size=90]", "--store", "kept")
    assert result.exit_code == 0  # divergence is data
    assert "[1/2] bilinear x gda: 2 runs, 2 finished, " in result.stdout
    assert "[2/2] bilinear x hot: 2 runs, 2 diverged, " in result.stdout
    assert "2 cells of grid: 2 computed in " in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last == (
        "Next: mmbench report -t bilinear -a gda -a 'hot = gda[step_size=90]' "
        "--seeds 2 --steps 20 --records 2 --store kept --out mmbench-report"
    )
    assert not result.stderr
    assert set(load("kept").label) == {"gda", "hot"}


def test_the_second_run_computes_nothing(cli: Cli) -> None:
    cli("run", *GRID)
    (file,) = Path("mmbench-results").glob("*.parquet")
    before = file.stat().st_mtime_ns
    again = cli("run", *GRID)
    assert "0 computed" in again.stdout
    assert "1 already there" in again.stdout
    assert "[1/" not in again.stdout
    assert file.stat().st_mtime_ns == before
    more = cli("run", *GRID, "-a", "omd")
    assert "[1/1] bilinear x omd" in more.stdout
    assert file.stat().st_mtime_ns == before


def test_a_missing_column_is_computed(cli: Cli) -> None:
    cli("run", *GRID, "-m", "distance")
    assert "gap" not in load("mmbench-results")
    more = cli("run", *GRID, "-m", "distance", "-m", "gap")
    assert "1 computed" in more.stdout
    assert {"distance", "gap"} < set(load("mmbench-results"))
    assert "0 computed" in cli("run", *GRID, "-m", "gap").stdout


def test_a_truncated_result_is_computed_again(cli: Cli) -> None:
    cli("run", *GRID)
    (file,) = Path("mmbench-results").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    refused = cli("results")
    assert refused.exit_code == 2
    assert "It is left out." in refused.stderr
    assert "1 computed" in cli("run", *GRID).stdout
    assert cli("results").exit_code == 0


def test_options_change_the_grids_of_a_suite(cli: Cli) -> None:
    words = ("plan", "smoke", "--json", "--first-seed", "7", "--dtype", "float64")
    cells = json.loads(cli(*words, *TINY).stdout)["cells"]
    assert len(cells) == 20
    for cell in cells:
        assert (cell["runs"], cell["steps"], cell["first_seed"]) == (2, 20, 7)
        assert cell["dtype"] == "float64"


@pytest.mark.parametrize("words", [("smoke",), ("-t", "bilinear", "-a", "gda")])
def test_precision_and_keep_change_grids(words: tuple[str, ...]) -> None:
    """Also of suites; only the precision is part of what a cell is."""
    name = words[0] if len(words) == 1 else None
    axes = {"tasks": (), "algorithms": (), "metrics": ()}
    if not name:
        axes |= {"tasks": ("bilinear",), "algorithms": ("gda",)}
    plain = Selection(name, axes, {}).cells
    changed = Selection(name, axes, {"precision": "bf16", "keep": "last"}).cells
    kept = Selection(name, axes, {"keep": "last"}).cells
    assert {cell.precision for cell in changed} == {"bf16"}
    assert {cell.keep for cell in changed} == {"last"}
    assert [cell.key for cell in kept] == [cell.key for cell in plain]
    assert not {cell.key for cell in changed} & {cell.key for cell in plain}


def test_the_advice_after_a_run_has_its_options(cli: Cli) -> None:
    result = cli("run", *GRID, "--precision", "bf16", "--keep", "all")
    assert result.exit_code == 0
    assert "--precision bf16 --keep all --out" in result.stdout.splitlines()[-1]
    (key,) = Store("mmbench-results")
    assert Store("mmbench-results").iterates(key)["z"].shape[:2] == (7, 2)


def test_a_suite_from_a_file(cli: Cli, folder: Path) -> None:
    (folder / "suites").mkdir()
    (folder / "suites" / "own.toml").write_text(
        'title = "Own"\n[[grid]]\ntasks = ["bilinear"]\nseeds = 2\nsteps = 20\n'
        'algorithms = ["gda", {label = "M", algorithm = "../mine.py:Mine[k=2]"}]\n'
    )
    result = cli("run", "suites/own.toml")
    assert result.exit_code == 0
    assert "bilinear x M: 2 runs" in result.stdout
    assert "Next: mmbench report suites/own.toml" in result.stdout
    assert "Own" in cli("show", "suites/own.toml").stdout


def test_a_class_of_ones_own_by_file_and_by_module(cli: Cli) -> None:
    result = cli("run", *GRID, "-a", "Mine = mine.py:Mine[k=3]")
    assert result.exit_code == 0
    assert "bilinear x Mine: 2 runs, 2 finished" in result.stdout
    by_module = cli("run", *GRID, "-a", "mine:Mine[k=5]")
    assert by_module.exit_code == 0, by_module.stderr


# ---- on a terminal ----


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the output of the runner look like a terminal of 80 columns."""
    wrapper = click.testing._NamedTextIOWrapper
    monkeypatch.setattr(wrapper, "isatty", lambda _: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.usefixtures("terminal")
def test_one_bar_on_a_terminal(cli: Cli) -> None:
    result = cli("run", *GRID, "-a", "mine.py:Moody", "--steps", "400")
    assert result.exit_code == 1
    drawn = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", result.stdout)
    lines = [line for line in re.split(r"[\r\n]", drawn) if line]
    assert any(re.match(r"[024]/4 runs bilinear x \w+ +━", line) for line in lines)
    # An error is told at once, above the bar; a cell that went well is not.
    assert "[2/2] bilinear x Moody: 2 runs, 2 error (ValueError" in drawn
    assert "[1/2]" not in drawn
    assert "2 cells of grid: 2 computed in" in drawn
    bars = [line for line in lines if "━" in line]
    assert max(len(line.rstrip()) for line in bars) <= 80


def at_work(cells: tuple[Cell, ...], screen: Console, kind: type) -> Observer:
    """An observer in the last of some cells, which goes at 3.2 steps a second."""
    observer = kind(screen)
    observer.plan(cells, cells)
    for cell in cells[:-1]:
        observer.begin(cell)
        observer.end(cell, run_cell(cell))
    cell = cells[-1]
    observer.begin(cell)
    recording = Recording(cell, cell.seeds)
    scores = {column.name: np.full(len(cell.seeds), 1.5) for column in cell.columns}
    scores[cell.columns[0].name] = np.array([123.45, np.nan, 120.0])
    recording.add(0, 0.0, {}, scores)
    observer.advance(0, None)
    observer._work._since -= 1875.0  # seconds ago
    observer.advance(6000 * len(cell.seeds), recording)
    return observer


def cells_of_images(label: str = "GDA", **options: Any) -> tuple[Cell, ...]:
    """A short cell, and a long one of three runs."""
    grid = Grid(tasks=("bilinear",), algorithms=("gda",), seeds=997, steps=1, records=1)
    words = f"{label} = gda[step_size=0.001]"
    metrics = ("frechet_distance", "losses")
    images = Grid(
        tasks=("cifar10",), algorithms=(words,), metrics=metrics, seeds=3, steps=100_000
    )
    return plan(Suite(name="x", grids=(grid, replace(images, **options))))


@pytest.mark.parametrize("label", ["GDA", "a method of a very long name, indeed"])
def test_the_bar_has_speed_and_score_on_eighty_columns(label: str) -> None:
    """One line whatever it has to say, and the time left is never cut."""
    file = io.StringIO()
    screen = Console(file=file, width=80, force_terminal=True, highlight=False)
    observer = at_work(cells_of_images(label), screen, Bar)
    observer._progress.refresh()
    observer.close()
    drawn = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", file.getvalue())
    lines = [line.rstrip() for line in re.split(r"[\r\n]", drawn)]
    (line,) = {line for line in lines if "it/s" in line}
    assert line.startswith("997/1,000 runs cifar10 x ")
    assert "3.2 it/s fd_cifar1… 122 " in line  # the median of those that have one
    assert re.search(r" \d+:\d\d:\d\d\+? left$", line)
    assert len(line) <= 80


def test_the_bar_has_whole_names_where_there_is_room() -> None:
    file = io.StringIO()
    screen = Console(file=file, width=140, force_terminal=True, highlight=False)
    observer = at_work(cells_of_images(), screen, Bar)
    observer._progress.refresh()
    observer.close()
    assert "fd_cifar10cnn_10k 122" in file.getvalue()


def test_a_long_cell_has_a_line_a_minute_in_a_log() -> None:
    """Not one at each report, and none in a short cell."""
    file = io.StringIO()
    observer = at_work(cells_of_images(), Console(file=file, width=1000), Lines)
    observer.advance(3, observer._work.recording)
    first, second = file.getvalue().splitlines()
    assert first.startswith("[1/2] bilinear x gda: 997 runs")
    assert re.fullmatch(
        r"  cifar10 x GDA: 6 %, 3\.2 it/s, fd_cifar10cnn_10k 122, .* left", second
    )
    observer._work._since -= 60
    observer.advance(3, observer._work.recording)
    assert len(file.getvalue().splitlines()) == 3


def test_a_log_of_sixty_cells_is_short(cli: Cli) -> None:
    """Below five thousand characters, or nobody reads it."""
    words = [f"g{at} = gda[step_size=0.0{at:02}1]" for at in range(60)]
    grid = [word for one in words for word in ("-a", one)]
    result = cli(
        "run", "-t", "bilinear", *grid, "--seeds", "1", "--steps", "2", "--records", "1"
    )
    told = result.stdout.partition("\nNext: ")[0]  # the command itself is long
    assert told.count("\n[") >= 59
    assert len(told) < 5000


def test_work_from_a_checkpoint_is_not_taken_for_speed() -> None:
    """Steps that were made before count as done and cost nothing."""
    (cell,) = cells_of_images()[1:]
    work = Work(cell)
    work._since -= 10.0
    work.advance(3 * 50_000, None)
    assert work.speed == "0 it/s"
    work.advance(3 * 100, Recording(cell, cell.seeds))
    assert work.speed == "10 it/s"
    assert (work.share, work.resumed) == (pytest.approx(0.501), 0.5)
    forecast = Forecast()
    forecast.learn(cell, 10.0, 0.5)  # half of it took ten seconds
    assert forecast.left(cell, 0.5, 0.0, [cell], resumed=0.5) == (10 + 20, True)


def test_cells_that_are_measured_again_are_told(cli: Cli) -> None:
    """In one line and in the summary, and without a time."""
    cli("run", *GRID, "--keep", "all", "-m", "distance")
    more = cli("run", *GRID, "--keep", "all", "-m", "distance", "-m", "gap")
    assert "[1/1] bilinear x gda: measured again from kept iterates\n" in more.stdout
    assert "0 computed in " in more.stdout
    assert "1 measured again, 0 already there" in more.stdout


@pytest.mark.usefixtures("terminal")
def test_cells_that_are_measured_again_are_told_on_a_terminal(cli: Cli) -> None:
    cli("run", *GRID, "--keep", "last", "-m", "distance")
    more = cli("run", *GRID, "--keep", "last", "-m", "distance", "-m", "gap")
    assert "measured again from kept iterates" in more.stdout


@pytest.mark.usefixtures("terminal")
def test_words_are_not_broken_on_a_terminal(cli: Cli) -> None:
    result = cli("show", "extragradnt")
    assert len(result.stderr.splitlines()) > 1
    assert all(len(line) <= 80 for line in result.stderr.splitlines())
    assert "Did you mean 'extragradient'?" in " ".join(result.stderr.split())
    assert all(len(line) <= 80 for line in cli("list").stdout.splitlines())
    assert all(len(line) <= 80 for line in cli("show", "smoke").stdout.splitlines())


def test_the_forecast_prices_each_task_by_itself() -> None:
    def cells(task: str, *algorithms: str) -> tuple[Cell, ...]:
        grid = Grid(tasks=(task,), algorithms=algorithms, seeds=2, steps=10)
        return plan(Suite(name="x", grids=(grid,)))

    quick, twice = cells("bilinear", "gda", "extragradient")  # 2 and 4 gradients
    (slow,) = cells("dirac_gan", "gda")
    forecast = Forecast()
    assert forecast.left(quick, 0.01, 5.0, [twice]) == (0.0, False)
    assert forecast.left(quick, 0.5, 1.0, [twice]) == (1.0 + 4.0, True)
    forecast.learn(quick, 2.0)
    assert forecast.left(twice, 0.0, 0.0, []) == (4.0, True)
    assert forecast.left(twice, 0.0, 0.0, [slow]) == (4.0 + 2.0, False)
    forecast.learn(slow, 100.0)
    assert forecast.left(twice, 0.0, 0.0, [slow]) == (4.0 + 100.0, True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.4, "0"), (950, "950"), (1234, "1.2k"), (56_000, "56k"), (3.4e6, "3.4M")],
)
def test_speeds_are_short(value: float, shown: str) -> None:
    assert short(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(5, "0:05"), (59.6, "1:00"), (3725, "1:02:05")]
)
def test_time_left_reads_like_a_clock(value: float, shown: str) -> None:
    assert clock(value) == shown


# ---- errors inside a cell ----


def test_an_error_ends_its_cell_only_and_is_tried_again(cli: Cli) -> None:
    words = ("run", "-t", "bilinear", "-a", "mine.py:Moody", "-a", "gda", *TINY)
    first = cli(*words)
    assert first.exit_code == 1
    assert "[1/2] bilinear x Moody: 2 runs, 2 error (ValueError: I" in first.stdout
    assert "[2/2] bilinear x gda: 2 runs, 2 finished" in first.stdout
    assert "1 cell ended with an error" in first.stderr
    assert "bilinear x Moody: ValueError: I [will] not step" in first.stderr
    rows = load("mmbench-results")
    assert set(rows[rows.algorithm == "Moody"].status) == {"error"}
    assert set(rows[rows.label == "gda"].status) == {"finished"}
    Path("calm").touch()
    second = cli(*words)
    assert second.exit_code == 0
    assert "[1/1] bilinear x Moody: 2 runs, 2 finished" in second.stdout
    assert not second.stderr


def test_strict_fails_when_runs_break_down(cli: Cli) -> None:
    hot = ("run", "-t", "bilinear", "-a", "gda[step_size=90]", *TINY)
    assert cli(*hot).exit_code == 0
    strict = cli(*hot, "--strict")  # also when nothing had to be computed
    assert strict.exit_code == 1
    assert "bilinear x gda[step_size=90]: 2 diverged" in strict.stderr
    assert cli("run", *GRID, "--strict").exit_code == 0


def test_ctrl_c_keeps_finished_cells() -> None:
    words = ["run", *GRID, "-a", "mine.py:Once", "-a", "omd"]

    def mmbench() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mmbench", *words],
            capture_output=True,
            text=True,
            check=False,
            # Jobs in the background of a shell inherit that it is ignored.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    first = mmbench()
    assert first.returncode == 130
    assert "1 of 3 cells are finished and kept in mmbench-results" in first.stderr
    assert "The same command goes on from there." in first.stderr
    assert "Traceback" not in first.stderr
    assert len(list(Store("mmbench-results"))) == 1
    second = mmbench()
    assert second.returncode == 0
    assert "[1/2] bilinear x Once" in second.stdout
    assert "2 computed" in second.stdout


@pytest.fixture
def heeding() -> Iterator[None]:
    """SIGINT is heeded, also where a shell's background job would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding")
def test_ctrl_c_elsewhere_is_quiet(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("mmbench.cli.list.summaries", interrupted)
    result = cli("list")
    assert result.exit_code == 130
    assert result.stderr == "Interrupted.\n"


# ---- results and report ----


@pytest.fixture
def stored(cli: Cli) -> Cli:
    """A store with two cells."""
    assert cli("run", *GRID, "-t", "dirac_gan").exit_code == 0
    return cli


def test_results_in_every_format(stored: Cli) -> None:
    frame = load("mmbench-results")
    shown = stored("results", "--format", "csv")
    read = pd.read_csv(io.StringIO(shown.stdout), keep_default_na=False, na_values=[""])
    assert list(read) == list(frame)
    assert read.distance.tolist() == pytest.approx(frame.distance.tolist(), nan_ok=True)
    rows = json.loads(stored("results", "--format", "json").stdout)
    assert len(rows) == len(frame)
    assert rows[0]["distance"] == frame.distance[0]
    binary = stored("results", "--format", "parquet").stdout_bytes
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(binary)), frame)
    table = stored("results", "--format", "markdown").stdout.splitlines()
    assert len(table) == len(frame) + 2
    assert len({line.count("|") for line in table}) == 1


def test_json_keeps_small_numbers_and_has_no_nan() -> None:
    from mmbench.cli.results import FORMATS

    frame = pd.DataFrame({"a": [1.25e-30, float("nan"), float("inf")], "b": [1, 2, 3]})
    assert json.loads(FORMATS["json"](frame)) == [
        {"a": 1.25e-30, "b": 1},
        {"a": None, "b": 2},
        {"a": None, "b": 3},
    ]


@pytest.mark.parametrize("name", ["t.csv", "t.json", "t.parquet", "t.md"])
def test_results_go_to_a_file_in_the_format_of_its_name(stored: Cli, name: str) -> None:
    result = stored("results", "--out", name)
    assert (result.exit_code, result.stdout) == (0, "")
    begins = {"t.csv": b"task,", "t.json": b"[{", "t.parquet": b"PAR1", "t.md": b"| ta"}
    assert Path(name).read_bytes().startswith(begins[name])


def test_results_of_a_part(stored: Cli) -> None:
    shown = stored("results", *GRID).stdout
    assert set(pd.read_csv(io.StringIO(shown)).task) == {"bilinear"}
    partly = stored("results", *GRID, "-a", "omd")
    assert partly.exit_code == 0
    assert "1 of 2 cells are not in mmbench-results yet" in partly.stderr
    assert len(partly.stdout.splitlines()) == len(shown.splitlines())


@pytest.mark.parametrize("verb", ["results", "report"])
def test_what_is_lacking_is_computed_into_the_store_asked(cli: Cli, verb: str) -> None:
    """Whoever follows the advice finds the cells there afterwards."""
    place = ("--store", "my store's")
    more = (*GRID, "-a", "omd")

    def advised(said: str) -> list[str]:
        words = shlex.split(said.partition("mmbench run")[2])
        assert words[-2:] == list(place)
        return ["run", *words]

    assert cli("run", "-t", "dirac_gan", "-a", "gda", *TINY, *place).exit_code == 0
    nothing = cli(verb, *GRID, *place)
    assert nothing.exit_code == 2
    assert cli(*advised(nothing.stderr)).exit_code == 0
    partly = cli(verb, *more, *place)
    assert partly.exit_code == 0
    assert "1 of 2 cells are not in my store's yet" in partly.stderr
    assert cli(*advised(partly.stderr.partition(" yet: ")[2])).exit_code == 0
    assert "Note" not in cli(verb, *more, *place).stderr
    assert not Path("mmbench-results").exists()


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("verb", ["results", "report"])
def test_cells_at_work_are_shown(
    cli: Cli, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process is at work, or after it has been killed."""
    write = CheckpointFile.write
    written = []

    def dying(slot: CheckpointFile, content: bytes) -> None:
        write(slot, content)
        written.append(slot)
        if len(written) == 15:
            raise Killed

    words = (*GRID, "-a", "omd", "-a", "cgd")
    assert cli("run", *GRID, "-a", "omd").exit_code == 0
    with monkeypatch.context() as patch:
        patch.setenv("MMBENCH_CHECKPOINT", "0")
        patch.setattr(CheckpointFile, "write", dying)
        with pytest.raises(Killed):
            cli("run", *words)
    words = (*words, "-a", "extragradient")
    result = cli(verb, *words, "--out", "out.csv" if verb == "results" else "out")
    assert result.exit_code == 0
    assert "1 of 4 cells are at work" in result.stderr
    assert "1 of 4 cells are not in mmbench-results yet" in result.stderr
    if verb == "results":
        frame = pd.read_csv("out.csv")
        assert set(frame[frame.label == "cgd"].status) == {"running"}
        assert frame[frame.label == "cgd"].step.max() == 10
        assert set(frame[frame.label != "cgd"].status) == {"finished"}
    else:
        page = Path("out/index.html").read_text("utf-8")
        assert "1 of 4 cells is not there yet" in page
        assert "“cgd” is at work, at step 14 of 20." in page


@pytest.mark.usefixtures("stored")
def test_a_closed_pipe_is_quiet() -> None:
    done = subprocess.run(
        f"{sys.executable} -m mmbench results | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("task,")
    assert done.stderr == ""


@pytest.mark.usefixtures("terminal")
def test_parquet_is_not_for_a_terminal(stored: Cli) -> None:
    refused = stored("results", "--format", "parquet")
    assert refused.exit_code == 2
    assert "must go to a file or a pipe" in " ".join(refused.stderr.split())
    assert stored("results", "--format", "parquet", "--out", "t").exit_code == 0


def test_report_writes_a_page(stored: Cli) -> None:
    result = stored("report", *GRID, "--out", "page")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "Report: page/index.html\n"
    assert "dirac_gan" not in Path("page/index.html").read_text()
    assert stored("report", "--out", "all").exit_code == 0
    assert "dirac_gan" in Path("all/index.html").read_text()


def test_run_writes_the_report_too(stored: Cli) -> None:
    result = stored("run", *GRID, "--report", "page")
    assert result.exit_code == 0
    assert Path("page/index.html").exists()


# ---- the rest ----


def test_features_train_writes_a_classifier(cli: Cli) -> None:
    words = ("features", "train", "digits", "--epochs", "1", "--out", "d.safetensors")
    result = cli(*words)
    assert result.exit_code == 0
    assert "of the test images right" in result.stdout
    assert Path("d.safetensors").stat().st_size > 10_000


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(cli: Cli, verb: str) -> None:
    result = cli(verb, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_version(cli: Cli) -> None:
    assert cli("--version").stdout.startswith("mmbench 0.")


# ---- bad input: exit code 2, one sentence, before any work ----


def refused(*words: str, said: str) -> pytest.param:
    return pytest.param(words, said, id=" ".join(words)[:60])


RUN = ("run", "-t", "bilinear", "-a")

BAD = [
    # names
    refused("run", "smok", said="Unknown suite 'smok'. Did you mean 'smoke'?"),
    refused("run", "bilinear", said="'bilinear' is one of the tasks, which -t takes"),
    refused("run", "gda[k=2]", said="'gda' is one of the algorithms, which -a takes"),
    refused("run", "none.toml", said="No such file"),
    refused("run", "-t", "bilinaer", "-a", "gda", said="Did you mean 'bilinear'?"),
    refused(*RUN, "extragradent", said="Did you mean 'extragradient'?"),
    refused(*RUN, "gda", "-m", "distanse", said="Did you mean 'distance'?"),
    refused(*RUN, "gda[stepsize=1]", said="Did you mean 'step_size'?"),
    refused(*RUN, "gda[direction=adm]", said="Did you mean 'adam'?"),
    refused("show", "extragradnt", said="Did you mean 'extragradient'?"),
    refused("show", "smoek", said="Did you mean 'smoke'?"),
    refused("lst", said="Did you mean 'list'?"),
    refused("list", "task", said="'tasks'"),
    refused("run", "smoke", "--sed", "3", said="--seeds"),
    refused("features", "train", "cifar", "--out", "x", said="'mnist', 'digits'"),
    # values
    refused(*RUN, "gda[step_size=-1]", said="GDA.step_size must be a number above 0"),
    refused(*RUN, "gda[step_size=fast]", said="got 'fast'"),
    refused(*RUN, "gda[step_size=(1,2,3)]", said="got (1, 2, 3)"),
    refused(*RUN, "alternating_gda[k=1.5]", said="must be a whole number at least 1"),
    refused(*RUN, "gda[step_size=1", said="a ']' is missing"),
    refused(*RUN, "gda[step_size]", said="has no value"),
    refused("run", "-t", "bilinear[dim=0]", "-a", "gda", said="got 0"),
    refused(*RUN, "gda", "--seeds", "0", said="0 is not in the range"),
    refused(*RUN, "gda", "--steps", "many", said="not a valid integer"),
    refused(*RUN, "gda", "--dtype", "float16", said="'float32', 'float64'"),
    refused(*RUN, "gda", "--device", "tpu", said="'auto', 'cpu', 'cuda'"),
    refused("run", said="-t and -a is missing"),
    refused("run", "-t", "bilinear", said="-a is missing"),
    refused("run", "--seeds", "3", said="A suite, or -t TASK and -a ALGORITHM"),
    refused("run", "smoke", "-a", "gda", said="-a must be left out beside a suite"),
    refused(*RUN, "x = gda", "-a", "x = omd", said="Labels must be unique"),
    # misfits
    refused(*RUN, "gda", "-m", "worst[of=gap]", said="gives; known: distance."),
    refused(*RUN, "gda", "-m", "mode_coverage", said="generator can be sampled"),
    refused(
        *RUN[:2],
        "dirac_gan[loss=nonsaturating]",
        "-a",
        "cgd",
        said="cgd needs a zero-sum game",
    ),
    # classes from outside
    refused(*RUN, ":Mine", said="':Mine' must read like path/to/file.py:Class"),
    refused(*RUN, "mine.py:", said="'mine.py:' must read like"),
    refused(*RUN, "none.py:Mine", said="No such file"),
    refused(*RUN, "no_such_module:Mine", said="No module named"),
    refused(*RUN, "mine.py:Mien", said="Did you mean 'Mine'?"),
    refused(*RUN, "mine.py:Mine[j=1]", said="Unknown parameter of mine.py:Mine 'j'"),
    refused(*RUN, "mine.py:Mine[k=x]", said="Mine.k must be a whole number"),
    refused(*RUN, "mine.py:Stranger", said="subclass of mmbench's Algorithm"),
    refused(*RUN, "mine.py:Abstract", said="must define cost, step"),
    refused(*RUN, "raises.py:Mine", said="it raised ValueError: not today"),
    refused(*RUN, "exits.py:Mine", said="SystemExit: bye"),
    refused(*RUN, "wrong.py:Mine", said="SyntaxError"),
    refused(*RUN, "mine.py:Picky", said="RuntimeError: never good enough"),
    refused(*RUN, "mine.py:Priceless", said="ZeroDivisionError"),
    refused("show", "mine.py:Stranger", said="must be a subclass of one of"),
    # places
    refused(*RUN, "gda", "--store", "mine.py", said="--store must be a folder"),
    refused(*RUN, "gda", "--store", "mine.py/in", said="--store must be a folder"),
    refused(*RUN, "gda", "--report", "mine.py", said="--report must be a folder"),
    refused("results", said="--store must be a folder with results"),
    refused("results", "--store", "none", said="there is none at none"),
    refused("report", "smoke", "--store", "none", said="there is none at none"),
    # data
    refused("run", "-t", "mnist01", "-a", "gda", "--data-dir", "none", said="MNIST"),
    refused(
        "features", "train", "mnist", "--out", "x", "--data-dir", "none", said="of M"
    ),
]


@pytest.mark.parametrize(("words", "said"), BAD)
def test_bad_input_is_refused(cli: Cli, words: tuple[str, ...], said: str) -> None:
    result = cli(*words)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    sentence = result.stderr.strip().splitlines()
    # click's own refusals have two lines about usage before the sentence.
    assert len(sentence) == 1 or sentence[0].startswith("Usage:")
    assert not list(Path().glob("**/*.parquet"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_cuda_is_refused(cli: Cli) -> None:
    result = cli("run", *GRID, "--device", "cuda")
    assert result.exit_code == 2
    assert "no CUDA device; use cpu or auto" in result.stderr


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b"\x1f\x8b\x08 truncated"), "SHA-256"),
        (lambda path: path.mkdir(), "must be a file that can be read"),
        (lambda path: path.symlink_to("nowhere"), "must be a file that can be read"),
    ],
    ids=["truncated", "folder", "dangling"],
)
def test_a_bad_data_file_is_refused(
    cli: Cli, folder: Path, make: Callable[[Path], object], said: str
) -> None:
    make(folder / "train-images-idx3-ubyte.gz")
    words = ("run", "-t", "bilinear", "-t", "mnist01", "-a", "gda", *TINY)
    result = cli(*words, "--data-dir", str(folder))
    assert result.exit_code == 2
    assert said in result.stderr
    assert "train-images-idx3-ubyte.gz" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    # Bilinear needs no data, yet nothing was computed.
    assert not list(Path().glob("**/*.parquet"))


@pytest.mark.parametrize("verb", ["results", "report"])
def test_an_empty_store_is_refused(cli: Cli, verb: str) -> None:
    Path("empty").mkdir()
    result = cli(verb, "--store", "empty")
    assert result.exit_code == 2
    assert "empty has none" in result.stderr
    asked = cli(verb, "smoke", "--store", "empty")
    assert asked.exit_code == 2
    assert "Compute them first: mmbench run smoke --store empty" in asked.stderr


def test_an_unwritable_out_is_refused(stored: Cli) -> None:
    result = stored("results", "--out", "none/t.csv")
    assert result.exit_code == 2
    assert "--out must be a file that can be written" in result.stderr
    page = stored("report", "--out", "mine.py")
    assert page.exit_code == 2
    assert "--out must be a folder" in page.stderr


def test_a_store_that_fails_at_work_is_no_refusal(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmbench.store.folder.write_whole", full)
    result = cli("run", *GRID)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr

"""`mmbench run`: what it computes, prints and stores, and how it ends."""

import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from command_line import GRID, TINY, Cli
from quadratic_games import TwoLosses

from mmbench.analysis.results import load
from mmbench.cli import run
from mmbench.core.placement import Placement
from mmbench.runner import local_workers
from mmbench.runner.limits import Workers
from mmbench.runner.plan import plan
from mmbench.store import table_index
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite


def test_run_prints_a_line_a_cell_and_a_summary(cli: Cli) -> None:
    result = cli("run", *GRID, "-a", "hot = gda[step_size=90]", "--store", "kept")
    assert result.exit_code == 0  # divergence is data
    assert "[1/2] bilinear x gda: 2 runs, 2 finished, " in result.stdout
    assert "[2/2] bilinear x hot: 2 runs, 2 diverged, " in result.stdout
    assert "2 cells of grid: 2 computed in " in result.stdout
    ways = (
        "finished: the budget was spent and the task's target did not hold; diverged: "
        "an entry of the next iterate would have passed the task's limit."
    )
    assert ways in result.stdout.splitlines()
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


def test_the_advice_after_a_run_has_its_options(cli: Cli) -> None:
    grid = ("-t", "bilinear[dim=2]", *GRID[2:])
    result = cli("run", *grid, "--precision", "bf16", "--keep", "all")
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


def test_a_log_of_sixty_cells_is_short(cli: Cli) -> None:
    """The log of sixty cells has fewer than five thousand characters."""
    words = [f"g{at} = gda[step_size=0.0{at:02}1]" for at in range(60)]
    grid = [word for one in words for word in ("-a", one)]
    result = cli(
        "run", "-t", "bilinear", *grid, "--seeds", "1", "--steps", "2", "--records", "1"
    )
    output = result.stdout.partition("\nNext: ")[0]  # the command itself is long
    assert output.count("\n[") >= 59
    assert len(output) < 5000


def test_an_error_ends_its_cell_only_and_is_tried_again(cli: Cli) -> None:
    words = ("run", "-t", "bilinear", "-a", "mine.py:Moody", "-a", "gda", *TINY)
    first = cli(*words)
    assert first.exit_code == 1
    assert (
        "[1/2] bilinear x Moody: 2 runs, 2 error (ValueError in mine.py, line 36: I"
        in first.stdout
    )
    assert "[2/2] bilinear x gda: 2 runs, 2 finished" in first.stdout
    assert "1 cell ended with an error" in first.stderr
    assert "bilinear x Moody: ValueError in mine.py, line 36: I [will]" in first.stderr
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


def test_ctrl_c_keeps_finished_cells(cli: Cli) -> None:
    words = ["run", *GRID, "-a", "mine.py:Once", "-a", "omd"]
    first = subprocess.run(
        [sys.executable, "-m", "mmbench", *words],
        capture_output=True,
        text=True,
        check=False,
        # Jobs in the background of a shell inherit that it is ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert first.returncode == 130
    assert "1 of 3 cells are finished and kept in mmbench-results" in first.stderr
    assert "The same command goes on from there." in first.stderr
    assert "Traceback" not in first.stderr
    assert len(list(Store("mmbench-results"))) == 1
    second = cli(*words)
    assert second.exit_code == 0
    assert "[1/2] bilinear x Once" in second.stdout
    assert "2 computed" in second.stdout


def test_a_run_of_many_cells_leaves_an_index(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whole blocks of cells with short tables, so that results are read sooner."""
    monkeypatch.setattr(table_index, "BLOCK_CELLS", 2)
    long = ("-t", "bilinear", "-a", "cgd", "--seeds", "40", "--steps", "20")
    cli("run", *GRID, "-a", "omd", "-a", "extragradient", "-a", "cgd")
    assert not Path("mmbench-results", table_index.TABLES).exists()
    monkeypatch.setattr(table_index, "FEWEST_CELLS", 1)
    assert "1 computed" in cli("run", *long).stdout
    assert not Path("mmbench-results", table_index.TABLES).exists()
    again = cli("run", *GRID, *("-a", "omd", "-a", "sga"), "--first-seed", "7")
    assert "3 computed" in again.stdout
    blocks = map(table_index._decode, table_index._read(Store("mmbench-results")))
    assert [len(block.entries) for block in blocks if block] == [2]


def test_run_writes_the_report_too(stored: Cli) -> None:
    result = stored("run", *GRID, "--report", "page")
    assert result.exit_code == 0
    assert Path("page/index.html").exists()


def test_a_store_that_fails_at_work_is_no_refusal(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmbench.store.folder.write_atomically", full)
    result = cli("run", *GRID)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr


def test_a_task_without_a_target_says_what_orders_the_algorithms(
    cli: Cli, tmp_path: Path
) -> None:
    """One sentence after the summary, for each such task."""
    (tmp_path / "game.py").write_text(
        "from dataclasses import dataclass\n"
        "from mmbench.tasks import Bilinear\n\n\n"
        "class Open(Bilinear):\n"
        "    target = None\n"
        "    metrics = ('losses', 'field_norm')\n"
    )
    shown = cli("run", *GRID, "-t", "game.py:Open").stdout
    assert (
        "Open declares no target: a report orders the algorithms on it by the last "
        "field_norm.\n" in shown
    )
    assert "bilinear declares no target" not in shown


def test_a_process_is_forked_for_cells_with_workers_and_without_code_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Few steps of networks have workers, too; code of others may have computed."""
    monkeypatch.setattr(local_workers, "cpu_count", lambda: 2)
    short = Grid(tasks=("bilinear",), algorithms=("gda",), seeds=2, steps=1)
    few = Grid(tasks=("four_gaussians",), algorithms=("gda",), seeds=16, steps=2000)
    own = replace(few, tasks=(TwoLosses(),), seeds=300, steps=10**6)
    found = [
        run._have_workers(plan(Suite(name="x", grids=(grid,))), Placement(), Workers(0))
        for grid in (short, few, own)
    ]
    assert found == [False, True, False]

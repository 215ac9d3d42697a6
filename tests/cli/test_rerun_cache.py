"""Cached outcomes of `mmbench run` are used only while nothing has changed."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from warm_python import WarmPython

import mmbench
from mmbench.cli import _rerun_cache, main
from mmbench.cli import run as verb
from mmbench.cli._rerun_cache import collect_inputs, read_outcomes, write_outcomes
from mmbench.engine.cell import Cell
from mmbench.engine.chunk import Chunk
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite

SUITE = Suite(
    name="test",
    grids=(
        Grid(
            tasks=("bilinear",),
            algorithms=("gda", "hot = gda[step_size=90]"),
            seeds=2,
            steps=20,
            records=2,
        ),
    ),
)
OUTCOMES = [("bilinear", {"finished": 2}), ("bilinear", {"diverged": 2})]
GRID = ("-t", "bilinear", "-a", "gda", "--seeds", "2", "--steps", "20")
EXTERNAL = """
from mmbench.algorithms.gda import GDA


class Mine(GDA):
    '''Mine: descent by an external class.'''
"""


@pytest.fixture(autouse=True)
def _folder_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder of the test, which has the user's cache too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def collect(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Collect inputs as a process does that has imported nothing yet."""

    def collecting(suite: Suite = SUITE, store: Path = Path("store")) -> Any:
        with monkeypatch.context() as fresh:
            fresh.delitem(sys.modules, "mmbench.runner.plan")
            return collect_inputs(suite, store)

    return collecting


@pytest.fixture
def cells() -> tuple[Cell, ...]:
    """Return cells that are stored."""
    planned = plan(SUITE)
    execute(planned, Store("store"))
    return planned


def entries() -> list[Path]:
    """Return the entries of the cache."""
    return list(Path("cache/mmbench/answers").glob("*"))


@pytest.fixture
def inputs(collect: Callable, cells: Sequence[Cell]) -> Iterator[Any]:
    """Return the inputs of an entry of the cache."""
    collected = collect()
    write_outcomes(collected, SUITE, cells)
    assert read_outcomes(collected) == OUTCOMES
    return collected


def test_an_entry_is_used_for_the_same_inputs(collect: Callable, inputs: Any) -> None:
    """The folder of the store may be written in another way."""
    assert collect() == inputs
    assert collect(store=Path("other/../store")) == inputs
    assert read_outcomes(collect()) == OUTCOMES


# ---- what changes ----


@pytest.mark.parametrize("ending", ["parquet", "safetensors"])
def test_no_entry_is_used_after_a_changed_byte(inputs: Any, ending: str) -> None:
    """The byte may be in a table or in another file of the cell."""
    path = next(Path("store").glob(f"*.{ending}"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert read_outcomes(inputs) is None


@pytest.mark.parametrize("ending", ["parquet", "safetensors"])
def test_no_entry_is_used_after_a_file_is_lost(inputs: Any, ending: str) -> None:
    """The file may be a table or another file of the cell."""
    next(Path("store").glob(f"*.{ending}")).unlink()
    assert read_outcomes(inputs) is None


def test_no_damaged_entry_is_used(inputs: Any) -> None:
    """Its bytes may have changed or be cut off."""
    (path,) = entries()
    content = path.read_bytes()
    for damaged in (content.replace(b"finished", b"diverged"), content[:-1], b"", b"a"):
        path.write_bytes(damaged)
        assert read_outcomes(inputs) is None


def test_suites_and_stores_have_their_own_entries(
    collect: Callable, inputs: Any
) -> None:
    """Another suite, another setting and another store have no entry."""
    grid = Grid(tasks=("bilinear",), algorithms=("gda",), seeds=2, steps=20, records=2)
    assert read_outcomes(collect(suite=Suite(name="test", grids=(grid,)))) is None
    grid = replace(SUITE.grids[0], keep="all")  # no part of the keys
    assert read_outcomes(collect(suite=Suite(name="test", grids=(grid,)))) is None
    assert read_outcomes(collect(store=Path("cache"))) is None


def test_variables_of_mmbench_are_inputs(
    collect: Callable, inputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other environment variables are not."""
    monkeypatch.setenv("OTHER", "1")
    assert read_outcomes(collect()) == OUTCOMES
    monkeypatch.setenv("MMBENCH_CHECKPOINT", "1")
    assert read_outcomes(collect()) is None


def test_the_source_of_mmbench_is_an_input(
    collect: Callable, cells: Sequence[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another line in any file makes other inputs."""
    package = Path("package")
    (package / "inner").mkdir(parents=True)
    (package / "inner/one.py").write_text("1", "utf-8")
    monkeypatch.setattr(mmbench, "__file__", str(package / "__init__.py"))
    inputs = collect()
    write_outcomes(inputs, SUITE, cells)
    assert read_outcomes(collect()) == OUTCOMES
    (package / "inner/one.py").write_text("2", "utf-8")
    assert read_outcomes(collect()) is None
    write_outcomes(inputs, SUITE, cells)  # of what was loaded, the source is gone
    assert read_outcomes(collect()) is None
    (package / "inner/one.py").unlink()
    assert collect() is None


def test_the_version_of_mmbench_is_an_input(
    collect: Callable, inputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one even where the source is the same."""
    monkeypatch.setattr(_rerun_cache, "version", lambda _: "0.0.1")
    assert read_outcomes(collect()) is None


# ---- what is not cached ----


def test_there_are_no_inputs_after_the_modules_are_imported(inputs: Any) -> None:
    """Imported modules may come from source that has changed since."""
    assert inputs
    assert collect_inputs(SUITE, Path("store")) is None


@pytest.mark.parametrize(
    "words", ["mine.py:Mine", "m = mine.py:Mine[k=1]", "lookahead[base=package:Mine]"]
)
def test_external_classes_are_not_cached(collect: Callable, words: str) -> None:
    """They may be tasks, algorithms or metrics, or parameters of these."""
    grid = Grid(tasks=("bilinear",), algorithms=(words,))
    assert collect(suite=Suite(name="test", grids=(grid,))) is None
    grid = Grid(tasks=(words,), algorithms=("gda",))
    assert collect(suite=Suite(name="test", grids=(grid,))) is None
    grid = Grid(tasks=("bilinear",), algorithms=("gda",), metrics=(words,))
    assert collect(suite=Suite(name="test", grids=(grid,))) is None


def test_nothing_is_cached_while_a_cell_is_missing(
    collect: Callable, cells: Sequence[Cell]
) -> None:
    """A cell may be missing or damaged."""
    table = Store("store").table(cells[0].key)
    content = table.read_bytes()
    table.write_bytes(content[:-9])
    write_outcomes(collect(), SUITE, cells)
    table.unlink()
    write_outcomes(collect(), SUITE, cells)
    assert not entries()
    table.write_bytes(content)
    write_outcomes(collect(), SUITE, cells)
    assert entries()


def test_nothing_is_cached_of_a_cell_that_failed(
    collect: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command computes it again."""

    def broken(*_: Any) -> Any:
        raise ValueError("no step")

    monkeypatch.setattr(Chunk, "_make_step", broken)
    planned = plan(SUITE)
    execute(planned, Store("store"))
    write_outcomes(collect(), SUITE, planned)
    assert not entries()


def test_a_cache_that_cannot_be_written_is_ignored(
    collect: Callable, cells: Sequence[Cell]
) -> None:
    """Nothing is cached then."""
    Path("cache").write_text("a file", "utf-8")
    write_outcomes(collect(), SUITE, cells)
    assert read_outcomes(collect()) is None


def test_the_oldest_entries_are_deleted(
    collect: Callable,
    inputs: Any,
    cells: Sequence[Cell],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The latest entry stays."""
    monkeypatch.setattr(_rerun_cache, "MAX_ENTRIES", 1)
    (path,) = entries()
    os.utime(path, (0, 0))
    other = Suite(name="other", grids=SUITE.grids)
    latest = collect(suite=other)
    write_outcomes(latest, other, cells)
    assert read_outcomes(inputs) is None
    assert read_outcomes(latest) == OUTCOMES
    assert len(entries()) == 1


# ---- the command ----


@pytest.fixture
def _cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an entry for every selection."""
    monkeypatch.setattr(verb, "collect_inputs", lambda *_: {"suite": "any"})
    monkeypatch.setattr(
        verb, "read_outcomes", lambda _: [("bilinear", {"finished": 20})]
    )
    monkeypatch.setattr(verb, "write_outcomes", lambda *_: None)


@pytest.mark.usefixtures("_cached")
@pytest.mark.parametrize("option", [(), ("--store", "S"), ("--records", "2")])
def test_run_prints_cached_outcomes(option: tuple[str, ...]) -> None:
    """The store is not read."""
    result = CliRunner().invoke(main, ["run", *GRID, *option])
    assert re.search(r"0 computed in \d\.\d s, 1 already there", result.stdout)
    assert "Next: mmbench report -t bilinear" in result.stdout


@pytest.mark.usefixtures("_cached")
@pytest.mark.parametrize(
    "option",
    [
        ("--strict",),
        ("--same-environment",),
        ("--timeout", "100"),
        ("--device", "auto"),
        ("--report", "page"),
    ],
)
def test_run_with_other_options_ignores_the_cache(option: tuple[str, ...]) -> None:
    """Such a run reads the store."""
    result = CliRunner().invoke(main, ["run", *GRID, *option])
    assert result.exit_code == 0
    assert "1 cell of grid: 1 computed in" in result.stdout


def mmbench_run(*words: str) -> tuple[str, set[str]]:
    """Return the output of `mmbench run` in a new process, and the modules imported."""
    code = (
        "import atexit, sys\n"
        "from mmbench.cli import main\n"
        "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, set(done.stderr.split())


def test_a_rerun_imports_no_torch() -> None:
    """The second run prints the last lines of the first one."""
    heavy = {"torch", "pyarrow", "numpy", "mmbench.runner.plan"}
    unused = {"pandas", "scipy", "sympy"}  # also where cells are computed and stored
    first, loaded = mmbench_run(*GRID)
    assert heavy <= loaded
    assert not unused & loaded
    assert "1 cell of grid: 1 computed in" in first
    second, loaded = mmbench_run(*GRID)
    assert not (heavy | unused) & loaded
    ended = r"1 cell of grid: 0 computed in \d\.\d s, 1 already there\."
    assert re.search(ended, second)
    assert second.splitlines()[:2] == first.splitlines()[1:3]  # the table
    assert second.splitlines()[-1] == first.splitlines()[-1]


def test_an_edited_external_file_is_computed_again(warm_python: WarmPython) -> None:
    """The specs stay the same, and the store has the cells of the file before."""
    words = ("-t", "bilinear", "-a", "m = mine.py:Mine", "--seeds", "2", "--steps", "9")
    code = "from mmbench.cli import main\nmain()"
    Path("mine.py").write_text(EXTERNAL, "utf-8")
    assert "1 computed in" in warm_python("-c", code, "run", *words).stdout
    assert "0 computed in" in warm_python("-c", code, "run", *words).stdout
    Path("mine.py").write_text(f"{EXTERNAL}\nANOTHER = 1\n", "utf-8")
    assert "1 computed in" in warm_python("-c", code, "run", *words).stdout

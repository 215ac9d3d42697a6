"""Answers of `mmbench run` are given again only while nothing has changed."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import mmbench
from mmbench.algorithms.gda import GDA
from mmbench.cli import _rerun_cache, main
from mmbench.cli import run as verb
from mmbench.cli._rerun_cache import collect_inputs, read_outcomes, write_outcomes
from mmbench.engine.cell import Cell
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
OUTSIDE = """
from mmbench.algorithms.gda import GDA


class Mine(GDA):
    '''Mine: descent by a class from outside.'''
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything lies in a folder of the test, the user's cache included."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Asks as a process does that has loaded nothing yet."""

    def asking(suite: Suite = SUITE, store: Path = Path("store")) -> Any:
        with monkeypatch.context() as fresh:
            fresh.delitem(sys.modules, "mmbench.runner.plan")
            return collect_inputs(suite, store)

    return asking


@pytest.fixture
def cells() -> tuple[Cell, ...]:
    """Cells that are stored."""
    planned = plan(SUITE)
    execute(planned, Store("store"))
    return planned


def kept() -> list[Path]:
    """The answers in the cache."""
    return list(Path("cache/mmbench/answers").glob("*"))


@pytest.fixture
def asked(ask: Callable, cells: Sequence[Cell]) -> Iterator[Any]:
    """A question that has been answered."""
    one = ask()
    write_outcomes(one, SUITE, cells)
    assert read_outcomes(one) == OUTCOMES
    return one


def test_an_answer_is_given_to_the_same_question(ask: Callable, asked: Any) -> None:
    """With the folder named in whatever way."""
    assert ask() == asked
    assert ask(store=Path("other/../store")) == asked
    assert read_outcomes(ask()) == OUTCOMES


# ---- what changes ----


@pytest.mark.parametrize("ending", ["parquet", "safetensors"])
def test_a_changed_byte_is_not_answered_for(asked: Any, ending: str) -> None:
    """Neither in a table nor beside it."""
    path = next(Path("store").glob(f"*.{ending}"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert read_outcomes(asked) is None


@pytest.mark.parametrize("ending", ["parquet", "safetensors"])
def test_a_missing_file_is_not_answered_for(asked: Any, ending: str) -> None:
    """Neither a table nor what lies beside it."""
    next(Path("store").glob(f"*.{ending}")).unlink()
    assert read_outcomes(asked) is None


def test_a_damaged_answer_is_none(asked: Any) -> None:
    """Wherever its bytes have changed, or end."""
    (path,) = kept()
    content = path.read_bytes()
    for damaged in (content.replace(b"finished", b"diverged"), content[:-1], b"", b"a"):
        path.write_bytes(damaged)
        assert read_outcomes(asked) is None


def test_other_suites_and_stores_have_other_answers(ask: Callable, asked: Any) -> None:
    """Nothing is known of them."""
    grid = Grid(tasks=("bilinear",), algorithms=("gda",), seeds=2, steps=20, records=2)
    assert read_outcomes(ask(suite=Suite(name="test", grids=(grid,)))) is None
    assert read_outcomes(ask(store=Path("cache"))) is None


def test_a_variable_of_mmbench_is_part_of_the_question(
    ask: Callable, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no other."""
    monkeypatch.setenv("OTHER", "1")
    assert read_outcomes(ask()) == OUTCOMES
    monkeypatch.setenv("MMBENCH_CHECKPOINT", "1")
    assert read_outcomes(ask()) is None


def test_the_source_of_mmbench_is_part_of_the_question(
    ask: Callable, cells: Sequence[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another line in any file is another question."""
    package = Path("package")
    (package / "inner").mkdir(parents=True)
    (package / "inner/one.py").write_text("1", "utf-8")
    monkeypatch.setattr(mmbench, "__file__", str(package / "__init__.py"))
    asked = ask()
    write_outcomes(asked, SUITE, cells)
    assert read_outcomes(ask()) == OUTCOMES
    (package / "inner/one.py").write_text("2", "utf-8")
    assert read_outcomes(ask()) is None
    write_outcomes(asked, SUITE, cells)  # of what was loaded, the source is gone
    assert read_outcomes(ask()) is None
    (package / "inner/one.py").unlink()
    assert ask() is None


def test_the_version_of_mmbench_is_part_of_the_question(
    ask: Callable, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its source is the same."""
    monkeypatch.setattr(_rerun_cache, "version", lambda _: "0.0.1")
    assert read_outcomes(ask()) is None


# ---- what is not asked or kept ----


def test_nothing_is_asked_once_cells_can_be_made(asked: Any) -> None:
    """What is loaded may come from source that has changed since."""
    assert asked
    assert collect_inputs(SUITE, Path("store")) is None


@pytest.mark.parametrize(
    "words", ["mine.py:Mine", "m = mine.py:Mine[k=1]", "lookahead[base=package:Mine]"]
)
def test_nothing_is_asked_of_classes_from_outside(ask: Callable, words: str) -> None:
    """Wherever they stand."""
    grid = Grid(tasks=("bilinear",), algorithms=(words,))
    assert ask(suite=Suite(name="test", grids=(grid,))) is None
    grid = Grid(tasks=(words,), algorithms=("gda",))
    assert ask(suite=Suite(name="test", grids=(grid,))) is None
    grid = Grid(tasks=("bilinear",), algorithms=("gda",), metrics=(words,))
    assert ask(suite=Suite(name="test", grids=(grid,))) is None


def test_nothing_is_kept_while_something_is_missing(
    ask: Callable, cells: Sequence[Cell]
) -> None:
    """A cell that is not there, or is damaged, or lacks a metric."""
    table = Store("store").table(cells[0].key)
    content = table.read_bytes()
    table.write_bytes(content[:-9])
    write_outcomes(ask(), SUITE, cells)
    table.unlink()
    write_outcomes(ask(), SUITE, cells)
    assert not kept()
    table.write_bytes(content)
    write_outcomes(ask(), SUITE, cells)
    assert kept()


def test_nothing_is_kept_of_a_cell_that_failed(
    ask: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command tries it again."""

    def broken(*_: Any) -> Any:
        raise ValueError("no step")

    monkeypatch.setattr(GDA, "step", broken)
    planned = plan(SUITE)
    execute(planned, Store("store"))
    write_outcomes(ask(), SUITE, planned)
    assert not kept()


def test_a_cache_that_cannot_be_written_is_no_harm(
    ask: Callable, cells: Sequence[Cell]
) -> None:
    """Nothing is kept then."""
    Path("cache").write_text("a file", "utf-8")
    write_outcomes(ask(), SUITE, cells)
    assert read_outcomes(ask()) is None


def test_the_oldest_answers_give_way(
    ask: Callable, asked: Any, cells: Sequence[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latest stays."""
    monkeypatch.setattr(_rerun_cache, "MAX_ENTRIES", 1)
    (path,) = kept()
    os.utime(path, (0, 0))
    other = Suite(name="other", grids=SUITE.grids)
    one = ask(suite=other)
    write_outcomes(one, other, cells)
    assert read_outcomes(asked) is None
    assert read_outcomes(one) == OUTCOMES
    assert len(kept()) == 1


# ---- the command ----


@pytest.fixture
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer to whatever is asked."""
    monkeypatch.setattr(verb, "collect_inputs", lambda *_: {"asked": "anything"})
    monkeypatch.setattr(
        verb, "read_outcomes", lambda _: [("bilinear", {"finished": 20})]
    )
    monkeypatch.setattr(verb, "write_outcomes", lambda *_: None)


@pytest.mark.usefixtures("_known")
@pytest.mark.parametrize("option", [(), ("--store", "S"), ("--records", "2")])
def test_a_known_answer_is_given(option: tuple[str, ...]) -> None:
    """Without a look into the store."""
    told = CliRunner().invoke(main, ["run", *GRID, *option])
    assert "1 cell of grid: 0 computed in 0.0 s, 1 already there." in told.stdout
    assert "Next: mmbench report -t bilinear" in told.stdout


@pytest.mark.usefixtures("_known")
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
def test_an_answer_is_not_given_where_more_is_asked(option: tuple[str, ...]) -> None:
    """Such a run looks into the store."""
    told = CliRunner().invoke(main, ["run", *GRID, *option])
    assert told.exit_code == 0
    assert "1 cell of grid: 1 computed in" in told.stdout


def mmbench_run(*words: str) -> tuple[str, set[str]]:
    """What `mmbench run` prints in a process of its own, and what it has loaded."""
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


def test_a_stored_suite_is_answered_without_torch() -> None:
    """The second run prints the last lines of the first, and loads nothing heavy."""
    heavy = {"torch", "pandas", "pyarrow", "scipy", "numpy", "mmbench.runner.plan"}
    first, loaded = mmbench_run(*GRID)
    assert heavy - {"scipy"} <= loaded
    assert "1 cell of grid: 1 computed in" in first
    second, loaded = mmbench_run(*GRID)
    assert not heavy & loaded
    assert "1 cell of grid: 0 computed in 0.0 s, 1 already there." in second
    assert second.splitlines()[:2] == first.splitlines()[1:3]  # the table
    assert second.splitlines()[-1] == first.splitlines()[-1]
    (table,) = Path("mmbench-results").glob("*.parquet")
    table.write_bytes(table.read_bytes()[:-1])
    assert "1 computed in" in mmbench_run(*GRID)[0]


def test_an_edited_outside_file_is_computed_again() -> None:
    """The words are the same and the store has what they named before."""
    words = ("-t", "bilinear", "-a", "m = mine.py:Mine", "--seeds", "2", "--steps", "9")
    Path("mine.py").write_text(OUTSIDE, "utf-8")
    assert "1 computed in" in mmbench_run(*words)[0]
    assert "0 computed in" in mmbench_run(*words)[0]
    Path("mine.py").write_text(f"{OUTSIDE}\n# Another line.\n", "utf-8")
    assert "1 computed in" in mmbench_run(*words)[0]

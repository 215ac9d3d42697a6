"""Local workers: the same comes out as in one process, whatever befalls them."""

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from outside import PLAIN
from small_cells import CountingObserver
from stores import assert_same_cells

import mmbench
from mmbench.algorithms.gda import GDA
from mmbench.core.errors import CodeError
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.runner import local_workers
from mmbench.runner.execute import execute
from mmbench.runner.limits import Limits, Workers
from mmbench.runner.local_workers import (
    Events,
    LocalWorkers,
    bound_to_this_process,
    count_workers,
)
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite

OUTSIDE = (
    PLAIN
    + """
    class Mortal(Plain):
        # Ends its process once.
        def before(self, oracle, step):
            died = Path(__file__).with_name("died")
            if step == 3 and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    class Killer(Plain):
        def before(self, oracle, step):
            os.kill(os.getpid(), signal.SIGKILL)

    class Failing(Plain):
        def before(self, oracle, step):
            if step == 5:
                raise ValueError("no more")
"""
)
NET = "four_gaussians[hidden=4,noise=2,batch=8]"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of algorithms from outside."""
    path = tmp_path_factory.mktemp("outside") / "outside.py"
    path.write_text(textwrap.dedent(OUTSIDE))
    return path


@pytest.fixture
def willing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start workers for whatever work there is."""
    monkeypatch.setattr(local_workers, "START_SECONDS", 1e-9)


def cells(*grids: Grid) -> tuple[Cell, ...]:
    """Of these grids."""
    return plan(Suite(name="test", grids=grids))


def grid(*algorithms: Any, task: str = "bilinear", **options: Any) -> Grid:
    """A small one."""
    small = {"seeds": 3, "steps": 20, "records": 4} | options
    return Grid(tasks=(task,), algorithms=algorithms, **small)


def no_child_is_left() -> bool:
    """Return whether no process that computes cells has outlived its work."""
    return not any(
        "mmbench.runner.guardian" in " ".join(one.cmdline())
        for one in psutil.Process().children()
    )


@pytest.mark.usefixtures("willing")
def test_workers_give_the_same_as_one_process(tmp_path: Path, outside: Path) -> None:
    """A chain of a split cell, classes of a file, an error and a death: bit for bit."""
    outside.with_name("died").touch()  # not in this process
    planned = cells(
        grid("first = gda", task=NET, seeds=40, keep="last"),
        grid("rest = omd", task=NET, seeds=40, after="first", keep="all"),
        grid("gda", f"mine = {outside}:Plain[size=0.2]", f"bad = {outside}:Failing"),
        grid(f"mortal = {outside}:Mortal"),
    )
    here, there = Store(tmp_path / "a"), Store(tmp_path / "b")
    execute(planned, here)
    outside.with_name("died").unlink()
    observer = CountingObserver()
    done = execute(planned, there, observer=observer, workers=Workers(2))
    assert outside.with_name("died").exists()
    assert {cell.key for cell in done} == {cell.key for cell in planned}
    labels = sorted(cell.label for cell in planned)
    assert sorted(observer.begun) == sorted(observer.ended) == labels
    assert_same_cells(there, here, [cell.key for cell in planned])
    assert not list(there.folder.glob("parts*"))
    assert execute(planned[:2], there, workers=Workers(2)) == []
    assert no_child_is_left()


@pytest.mark.slow
@pytest.mark.usefixtures("willing")
def test_a_cell_that_ends_its_processes_is_given_up(
    tmp_path: Path, outside: Path
) -> None:
    """The others finish."""
    planned = cells(grid("gda", f"kills = {outside}:Killer", "omd"))
    store = Store(tmp_path / "store")
    execute(planned, store, workers=Workers(2))
    outcomes = {cell.label: store.footer(cell.key)["outcomes"] for cell in planned}
    assert outcomes == {"gda": {"finished": 3}, "kills": {"error": 3}} | {
        "omd": {"finished": 3}
    }
    reason = store.footer(planned[1].key)["reason"]
    assert reason == "The cell's process ended with signal SIGKILL."


@pytest.mark.slow
@pytest.mark.usefixtures("willing")
def test_an_interruption_ends_all_workers(tmp_path: Path) -> None:
    """What is finished is stored, and no process is left."""

    class Impatient(CountingObserver):
        def on_end(self, cell: Cell, trajectory: Any) -> None:
            raise KeyboardInterrupt

    planned = cells(grid("gda", "omd", "cgd", steps=2000))
    store = Store(tmp_path / "store")
    with pytest.raises(KeyboardInterrupt):
        execute(planned, store, observer=Impatient(), workers=Workers(2))
    assert no_child_is_left()
    assert not list(store.folder.glob("*.lease"))
    assert len(execute(planned, store)) < len(planned)


@pytest.mark.slow
@pytest.mark.usefixtures("willing")
def test_code_that_differs_ends_the_command(tmp_path: Path) -> None:
    """A worker that imports other code than was planned stores nothing."""
    path = tmp_path / "edited.py"
    path.write_text(textwrap.dedent(OUTSIDE))
    planned = cells(grid(f"{path}:Plain", "gda"))
    path.write_text(textwrap.dedent(OUTSIDE).replace("0.1", "0.2"))
    store = Store(tmp_path / "store")
    with pytest.raises(CodeError, match="edited.py"):
        execute(planned, store, workers=Workers(2))
    assert planned[0].key not in list(store)


def test_workers_are_started_where_the_work_is_worth_it() -> None:
    """By rule: of the steps, the chunks of runs and the cores."""
    here = Placement()
    short = cells(grid("gda", "omd"))
    assert count_workers(short, here, 4) == 1
    long = cells(grid("gda", "omd", steps=10**6))
    assert count_workers(long, here, 4) == 2  # of one chunk of runs each
    assert count_workers(long, here, 1) == 1
    wide = cells(grid("gda", steps=10**6, seeds=3000))
    assert count_workers(wide, here, 4) == 4


@dataclass(frozen=True, kw_only=True)
class Mine(GDA):
    """Of a session."""


def test_classes_of_a_session_stay_in_its_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the cells that theirs continue."""
    first, rest, other = cells(
        grid("first = gda", keep="last"), grid(Mine(), after="first"), grid("cgd")
    )
    monkeypatch.setattr(sys.modules[__name__], "Mine", Mine, raising=False)
    assert bound_to_this_process([first, rest, other]) == []
    monkeypatch.setattr(Mine, "__module__", "__main__")
    assert bound_to_this_process([first, rest, other]) == [first, rest]


def test_games_that_no_variable_holds_stay_in_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process finds a game by the variable of a file that holds it."""
    held = mmbench.game(lambda x, y: x @ y, dim_x=1, dim_y=1, name="held")
    (cell,) = plan(
        Suite(name="test", grids=(Grid(tasks=(held,), algorithms=("gda",)),))
    )
    assert bound_to_this_process([cell]) == [cell]
    monkeypatch.setattr(sys.modules[__name__], "GAME", held, raising=False)
    assert bound_to_this_process([cell]) == []


def test_the_longest_cell_is_split_among_workers(tmp_path: Path) -> None:
    """One that takes more than half of what each worker has to do, by its chunks."""
    nothing = Events(*[lambda *_: None] * 6)
    planned = cells(grid("gda", "omd"), grid("cgd", task=NET, seeds=64, steps=200))
    workers = LocalWorkers(
        planned, {}, {}, Store(tmp_path), Placement(), Limits(), 2, nothing
    )
    shards = {cell.label: len(workers._shards[cell.key]) for cell in planned}
    assert shards == {"gda": 1, "omd": 1, "cgd": 4}
    job = workers._schedule.take()
    assert job is not None
    assert job.whole.label == "cgd"
    assert len(job.cell.seeds) == 16


def test_a_cell_waits_until_the_one_before_is_stored(tmp_path: Path) -> None:
    """Its last shard may have been computed, and not yet be joined with the others."""
    nothing = Events(*[lambda *_: None] * 6)
    planned = cells(
        grid("first = gda", task=NET, seeds=32, keep="last"),
        grid("rest = omd", task=NET, seeds=32, after="first"),
    )
    workers = LocalWorkers(
        planned, {}, {}, Store(tmp_path), Placement(), Limits(), 2, nothing
    )
    schedule = workers._schedule
    shards = [schedule.take() for _ in range(2)]
    assert [job.whole.label for job in shards if job] == ["first", "first"]
    assert [schedule.finish(job) for job in shards if job] == [False, True]
    assert schedule._next() is None
    schedule.end(planned[0])
    job = schedule._next()
    assert job is not None
    assert job.whole.label == "rest"


def test_a_worker_takes_cells_of_one_game_after_the_other(tmp_path: Path) -> None:
    """Of those that are as long as the longest, another worker another game first."""
    nothing = Events(*[lambda *_: None] * 6)
    other = NET.replace("hidden=4", "hidden=5")
    planned = cells(
        grid("gda", "omd", task=NET, steps=200),
        grid("gda", "omd", task=other, steps=200),
        grid("gda", "omd"),
    )
    workers = LocalWorkers(
        planned, {}, {}, Store(tmp_path), Placement(), Limits(), 2, nothing
    )
    schedule = workers._schedule
    jobs: dict[int, list] = {0: [], 1: []}
    for worker in (0, 1, 1, 0, 0, 1):
        before = jobs[worker][-1] if jobs[worker] else None
        jobs[worker].append(schedule.take(before))
    taken = {
        worker: [planned.index(job.cell) for job in own] for worker, own in jobs.items()
    }
    assert taken == {0: [0, 1, 4], 1: [2, 3, 5]}
    assert schedule.take() is None


SCRIPT = """
from dataclasses import dataclass

import mmbench
from mmbench.algorithms import GDA

@dataclass(frozen=True, kw_only=True)
class Mine(GDA):
    pass

frame = mmbench.run(
    ["bilinear"], ["gda", "omd", Mine()], seeds=3, steps=60_000, workers=2
)
print(*sorted(frame["label"].unique()))
"""


@pytest.mark.slow
def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    """Workers do not import the main module, which would run it again."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "Mine gda omd\n"

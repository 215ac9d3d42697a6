"""Leases: one holder at a time, and none that is dead."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from mmbench.analysis.results import load
from mmbench.engine.cell import Cell
from mmbench.runner.execute import Observer, execute
from mmbench.runner.lookup import done_elsewhere
from mmbench.runner.plan import plan
from mmbench.store import lease
from mmbench.store.folder import Store
from mmbench.store.lease import STALE, alive, holder, leased
from mmbench.suites.base import Grid, Suite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a lease may lie."""
    return tmp_path / "key.lease"


def left_behind(path: Path, host: str, pid: int, age: float = 0.0) -> None:
    """A lease of somebody else."""
    path.write_text(json.dumps({"host": host, "pid": pid, "token": "another"}))
    then = time.time() - age
    os.utime(path, (then, then))


def dead_pid() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_one_holder_at_a_time(path: Path) -> None:
    """The second is told no; afterwards the file is gone and anyone may."""
    with leased(path) as first:
        with leased(path) as second:
            assert (first, second) == (True, False)
        assert alive(path)
        assert holder(path)["pid"] == os.getpid()
        assert holder(path)["host"] == socket.gethostname()
    assert not path.exists()
    with leased(path) as third:
        assert third


def test_an_exception_gives_it_back(path: Path) -> None:
    """Ctrl-C too."""
    with pytest.raises(KeyboardInterrupt), leased(path):
        raise KeyboardInterrupt
    assert not path.exists()


def test_the_dead_hold_nothing(path: Path) -> None:
    """A process of this machine that has ended, whenever it was."""
    left_behind(path, socket.gethostname(), dead_pid())
    assert not alive(path)
    with leased(path) as ours:
        assert ours


@pytest.mark.parametrize(
    ("age", "lives"), [(0, True), (STALE / 2, True), (2 * STALE, False)]
)
@pytest.mark.parametrize("clock", [1, -1])
def test_other_machines_hold_it_while_they_touch_it(
    path: Path, age: float, lives: bool, clock: int
) -> None:
    """Until it was not touched for long; whichever clock is ahead."""
    left_behind(path, "elsewhere", 1, clock * age)
    assert alive(path) is lives
    with leased(path) as ours:
        assert ours is not lives


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "x"}', "\0"])
def test_what_cannot_be_read_holds_as_long(path: Path, text: str) -> None:
    """A lease that is being written, or was damaged, blocks nobody for ever."""
    path.write_text(text)
    assert alive(path)
    os.utime(path, (0, 0))
    assert not alive(path)


def test_the_holder_touches_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a step of the work takes."""
    monkeypatch.setattr(lease, "BEAT", 0.01)
    with leased(path):
        os.utime(path, (0, 0))
        end = time.monotonic() + 5
        while not alive(path) and time.monotonic() < end:
            time.sleep(0.01)
        assert alive(path)


def test_a_lease_that_another_took_is_left_to_it(path: Path) -> None:
    """A holder that was thought dead does not remove its heir's."""
    with leased(path):
        left_behind(path, "elsewhere", 1)
    assert holder(path)["token"] == "another"


def test_a_place_without_writing_stops_nothing(tmp_path: Path) -> None:
    """Where no lease can be made nobody else can write either."""
    with leased(tmp_path / "no" / "key.lease") as ours:
        assert ours


# ---- cells ----


def cells(*algorithms: str) -> tuple[Cell, ...]:
    """Small cells."""
    grid = Grid(
        tasks=("bilinear",),
        algorithms=algorithms or ("gda", "omd"),
        seeds=2,
        steps=10,
        records=2,
    )
    return plan(Suite(name="test", grids=(grid,)))


class Listening(Observer):
    """Remembers what became of the cells."""

    def __init__(self) -> None:
        self.elsewhere_done: list[str] = []
        self.begun: list[str] = []

    def stored_elsewhere(self, cell: Cell) -> None:
        """Another process has done it."""
        self.elsewhere_done.append(cell.label)

    def begin(self, cell: Cell) -> None:
        """It is computed here."""
        self.begun.append(cell.label)


def test_a_cell_that_another_computes_is_taken_last(tmp_path: Path) -> None:
    """The others go first; what was stored meanwhile is not computed again."""
    store, (first, _) = Store(tmp_path), cells()
    done = threading.Event()
    started = threading.Event()

    def another() -> None:
        with store.lease(first.key) as ours:
            assert ours
            started.set()
            done.wait(10)
            execute([first], elsewhere)
            files = {
                path.name: [path.read_bytes()]
                for path in sorted(elsewhere.folder.glob(f"{first.key}.*"))
            }
            store.write_files(first.key, dict(sorted(files.items(), reverse=True)))

    elsewhere = Store(tmp_path / "elsewhere")
    other = threading.Thread(target=another)
    other.start()
    started.wait(10)

    class Releasing(Listening):
        def end(self, cell: Cell, trajectory: object) -> None:
            done.set()

    observer = Releasing()
    computed = execute(cells(), store, observer=observer)
    other.join()
    assert [cell.label for cell in computed] == observer.begun == ["omd"]
    assert observer.elsewhere_done == ["gda"]
    assert set(load(tmp_path).label) == {"gda", "omd"}


def test_a_cell_that_nobody_finishes_is_computed_here(tmp_path: Path) -> None:
    """A killed process's lease stops no one."""
    store, (cell,) = Store(tmp_path), cells("gda")
    left_behind(tmp_path / f"{cell.key}.lease", socket.gethostname(), dead_pid())
    assert execute([cell], store) == [cell]
    assert not list(tmp_path.glob("*.lease"))


def test_errors_of_others_are_not_tried_again_at_once(tmp_path: Path) -> None:
    """What has failed elsewhere since this process planned it is done."""
    store, (cell,) = Store(tmp_path), cells("gda")
    execute([cell], store)
    told = store.footer(cell.key)
    failed = told | {"outcomes": {"error": 2}}
    seen = store.version(cell.key)
    store.put(cell.key, store.frame(cell.key), failed, store.arrays(cell.key))
    assert done_elsewhere(cell, store, seen)
    assert not done_elsewhere(cell, store, store.version(cell.key))
    assert execute([cell], store) == [cell]  # but a new command does


# ---- processes ----

RUN = """
import sys
from pathlib import Path
from test_lease import cells
from mmbench.runner.execute import execute
from mmbench.store.folder import Store
done = execute(cells("gda", "omd", "cgd", "extragradient"), Store(Path(sys.argv[1])))
print(*(cell.key for cell in done))
"""


def test_processes_share_the_work(tmp_path: Path) -> None:
    """Two at once: each cell once, or twice at most, and the table of one."""
    here = Path(__file__).parent
    folders = os.pathsep.join((str(here), str(here.parent)))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(tmp_path / "many")],
            env=os.environ | {"PYTHONPATH": folders, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    times = Counter(
        key for one in started for key in one.communicate(timeout=100)[0].split()
    )
    wanted = cells("gda", "omd", "cgd", "extragradient")
    assert [one.returncode for one in started] == [0, 0]
    assert set(times) == {cell.key for cell in wanted}
    assert max(times.values()) <= 2
    execute(wanted, Store(tmp_path / "one"))
    many, one = (
        load(tmp_path / name).drop(columns="cell_seconds") for name in ("many", "one")
    )
    assert many.equals(one)
    left = {path.suffix for path in (tmp_path / "many").iterdir()}
    assert left <= {".parquet", ".safetensors"}

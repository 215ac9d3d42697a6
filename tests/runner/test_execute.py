"""Execution: stored cells are not computed again, and faults are found at the start."""

import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from leases import dead_pid, leave_lease
from small_cells import CountingObserver, small_cells

import mmbench
from mmbench.analysis.results import collected, gather, load
from mmbench.core.errors import ClusterError, DataError, DeviceError, StoreError
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.runner.execute import Observer, execute
from mmbench.runner.limits import Workers
from mmbench.runner.lookup import is_stored_by_another_process
from mmbench.store.folder import Store
from mmbench.tasks.bilinear import Bilinear


def test_nothing_is_computed_twice(store: Store) -> None:
    """The second time only what is missing runs."""
    first, second = CountingObserver(), CountingObserver()
    assert len(execute(small_cells(), store, observer=first)) == 2
    assert first.planned == (2, 2)
    assert first.begun == first.ended == ["gda", "omd"]
    assert first.run_steps == 2 * 3 * 10
    done = execute(small_cells("gda", "omd", "cgd"), store, observer=second)
    assert [cell.label for cell in done] == ["cgd"]
    assert second.planned == (3, 1)


def test_results_are_the_same_however_obtained(store: Store) -> None:
    """Stored, read back and computed in memory: the same table."""
    results = {}
    execute(
        small_cells(),
        None,
        on_result=lambda cell, done: results.update({cell.key: done}),
    )
    execute(small_cells(), store)
    wanted = [(cell.key, cell.label) for cell in small_cells()]
    ours, theirs = collected(results).frame, gather(store, wanted).frame
    assert list(ours.columns) == list(theirs.columns)
    for name in ours.columns:
        if name != "cell_seconds":
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_a_scheduler_needs_dask(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it one sentence says what to install, before anything is computed."""
    monkeypatch.delitem(sys.modules, "mmbench.runner.dask_cluster", raising=False)
    monkeypatch.setitem(sys.modules, "dask", None)
    workers = Workers(scheduler="tcp://localhost:1")
    with pytest.raises(ClusterError, match=r'pip install "mmbench\[cluster\]"'):
        execute(small_cells(), store, workers=workers)
    assert not list(store)


def test_an_interruption_loses_no_finished_cell(store: Store) -> None:
    """Ctrl-C in the second cell: the first is stored, and is not run again."""

    class Impatient(CountingObserver):
        def on_start(self, cell: Cell) -> None:
            if cell.label == "omd":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(small_cells(), store, observer=Impatient())
    assert [cell.label for cell in execute(small_cells(), store)] == ["omd"]


@dataclass(frozen=True, kw_only=True)
class WithoutData(Bilinear):
    """A task whose data are missing."""

    def prepare(self, data_dir: Path | None = None) -> None:
        """Raise."""
        raise DataError("no data")


def test_faults_are_found_before_any_work(store: Store, tmp_path: Path) -> None:
    """Missing data and an unwritable store stop everything before the first cell."""
    observer = CountingObserver()
    with pytest.raises(DataError):
        execute(
            small_cells(tasks=("quadratic", WithoutData())), store, observer=observer
        )
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(StoreError):
        execute(small_cells(), Store(tmp_path / "file"), observer=observer)
    assert observer.begun == []


class RecordingObserver(Observer):
    """An observer that keeps who computed each cell."""

    def __init__(self) -> None:
        self.stored_by_others: list[str] = []
        self.begun: list[str] = []

    def on_stored_by_another_process(self, cell: Cell) -> None:
        """Keep a cell that another process computed."""
        self.stored_by_others.append(cell.label)

    def on_start(self, cell: Cell) -> None:
        """Keep a cell that this process computes."""
        self.begun.append(cell.label)


def test_a_cell_that_another_computes_is_taken_last(tmp_path: Path) -> None:
    """A leased cell comes last, and is not computed if it is stored by then."""
    store, (first, _) = Store(tmp_path), small_cells()
    done = threading.Event()
    started = threading.Event()

    def another() -> None:
        with store.lease(first.key) as ours:
            assert ours
            started.set()
            done.wait(10)
            execute([first], other_store)
            files = {
                path.name: [path.read_bytes()]
                for path in sorted(other_store.folder.glob(f"{first.key}.*"))
            }
            store.write_files(first.key, dict(sorted(files.items(), reverse=True)))

    other_store = Store(tmp_path / "other")
    other = threading.Thread(target=another)
    other.start()
    started.wait(10)

    class Releasing(RecordingObserver):
        def on_end(self, cell: Cell, trajectory: object) -> None:
            done.set()

    observer = Releasing()
    computed = execute(small_cells(), store, observer=observer)
    other.join()
    assert [cell.label for cell in computed] == observer.begun == ["omd"]
    assert observer.stored_by_others == ["gda"]
    assert set(load(tmp_path).label) == {"gda", "omd"}


def test_a_cell_that_nobody_finishes_is_computed_here(tmp_path: Path) -> None:
    """A killed process's lease stops no one."""
    store, (cell,) = Store(tmp_path), small_cells("gda")
    leave_lease(tmp_path / f"{cell.key}.lease", socket.gethostname(), dead_pid())
    assert execute([cell], store) == [cell]
    assert not list(tmp_path.glob("*.lease"))


def test_errors_of_others_are_not_tried_again_at_once(tmp_path: Path) -> None:
    """A cell that failed in another process since the plan counts as done."""
    store, (cell,) = Store(tmp_path), small_cells("gda")
    execute([cell], store)
    failed = store.footer(cell.key) | {"outcomes": {"error": 3}}
    version = store.version(cell.key)
    store.put(cell.key, store.frame(cell.key), failed, store.arrays(cell.key))
    assert is_stored_by_another_process(cell, store, version)
    assert not is_stored_by_another_process(cell, store, store.version(cell.key))
    assert execute([cell], store) == [cell]  # but a new command does


RUN = """
import sys
from pathlib import Path
from small_cells import small_cells
from mmbench.runner.execute import execute
from mmbench.store.folder import Store
cells = small_cells("gda", "omd", "cgd", "extragradient")
done = execute(cells, Store(Path(sys.argv[1])))
print(*(cell.key for cell in done))
"""


def test_processes_share_the_work(tmp_path: Path) -> None:
    """Two processes compute each cell once, or twice at most, and the same table."""
    package, helpers = (
        Path(mmbench.__file__).parents[1],
        Path(small_cells.__code__.co_filename).parent,
    )
    folders = os.pathsep.join((str(package), str(helpers)))
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
    wanted = small_cells("gda", "omd", "cgd", "extragradient")
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


def test_a_precision_that_the_device_ignores_is_refused(store: Store) -> None:
    """Products would be exact and stored as rounded; nothing starts and is stored."""
    observer = CountingObserver()
    rounded = small_cells("gda", tasks=("bilinear[dim=2]",), precision="tf32")
    cells = (*small_cells("omd"), *rounded)
    with pytest.raises(DeviceError, match="precision tf32 must be computed on a GPU"):
        execute(cells, store, observer=observer)
    with pytest.raises(DeviceError, match="precision tf32 must be computed on a GPU"):
        run_cell(cells[1])
    assert observer.begun == list(store) == []

"""Execution: what is stored is not computed again, and what is wrong is found first."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmbench.core.description import digest
from mmbench.core.errors import DataError, StoreError
from mmbench.execute import Watcher, execute, is_stored
from mmbench.frame import gather, load, tidy
from mmbench.plan import LEADING, Cell, plan
from mmbench.store import Store
from mmbench.suites.base import Grid, Suite
from mmbench.tasks.bilinear import Bilinear


def cells(
    *algorithms: str, tasks: tuple = ("bilinear",), **options: Any
) -> tuple[Cell, ...]:
    """Small cells."""
    grid = Grid(
        tasks=tasks,
        algorithms=algorithms or ("gda", "omd"),
        **{"seeds": 3, "steps": 10, "records": 5} | options,
    )
    return plan(Suite(name="test", grids=(grid,)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


class Counting(Watcher):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.run_steps = 0
        self.planned = (0, 0)

    def plan(self, cells: Any, waiting: Any) -> None:
        """All, and those to compute."""
        self.planned = len(cells), len(waiting)

    def begin(self, cell: Cell) -> None:
        """A cell begins."""
        self.begun.append(cell.label)

    def advance(self, run_steps: int) -> None:
        """Steps were made."""
        self.run_steps += run_steps

    def end(self, cell: Cell, trajectory: Any) -> None:
        """A cell has ended."""
        self.ended.append(cell.label)


def test_nothing_is_computed_twice(store: Store) -> None:
    """The second time only what is missing runs."""
    first, second = Counting(), Counting()
    assert len(execute(cells(), store, watcher=first)) == 2
    assert first.planned == (2, 2)
    assert first.begun == first.ended == ["gda", "omd"]
    assert first.run_steps == 2 * 3 * 10
    done = execute(cells("gda", "omd", "cgd"), store, watcher=second)
    assert [cell.label for cell in done] == ["cgd"]
    assert second.planned == (3, 1)


def test_results_are_the_same_however_obtained(store: Store) -> None:
    """Stored, read back and computed in memory: the same table."""
    frames = {}
    execute(
        cells(), None, fresh=lambda cell, done: frames.update({cell.key: done.frame})
    )
    execute(cells(), store)
    wanted = [(cell.key, cell.label) for cell in cells()]
    ours, theirs = tidy(frames), gather(store, wanted).frame
    assert list(ours.columns) == list(theirs.columns)
    for name in ours.columns:
        if name != "cell_seconds":
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_an_interruption_loses_no_finished_cell(store: Store) -> None:
    """Ctrl-C in the second cell: the first is stored, and is not run again."""

    class Impatient(Counting):
        def begin(self, cell: Cell) -> None:
            if cell.label == "omd":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(cells(), store, watcher=Impatient())
    assert [cell.label for cell in execute(cells(), store)] == ["omd"]


def test_a_damaged_cell_is_computed_again(store: Store) -> None:
    """A truncated file counts as absent and is replaced."""
    execute(cells(), store)
    path = store.folder / f"{cells()[0].key}.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert not is_stored(cells()[0], store)
    assert [cell.label for cell in execute(cells(), store)] == ["gda"]
    assert len(load(store.folder)) == 2 * 3 * len(cells()[0].schedule)


def test_a_new_metric_is_measured(store: Store) -> None:
    """A cell that lacks a column is run again under the same key."""
    execute(cells(metrics=("distance",)), store)
    assert execute(cells(metrics=("distance",)), store) == []
    assert len(execute(cells(metrics=("distance", "gap")), store)) == 2
    assert execute(cells(metrics=("gap",)), store) == []
    assert "gap" in load(store.folder)
    assert len(list(store)) == 2


FAILING = '''
"""An algorithm that fails."""
from dataclasses import dataclass
import mmbench


@dataclass(frozen=True, kw_only=True)
class Failing(mmbench.Algorithm):
    """Fails at its third step."""

    source = mmbench.Source(authors="Nobody", year=2026, title="A failure")

    @property
    def cost(self):
        return mmbench.Cost()

    def step(self, oracle, z, state):
        raise ZeroDivisionError("three")
'''


def test_measuring_more_loses_nothing(store: Store) -> None:
    """A cell computed again for another metric keeps those that it had."""
    execute(cells("gda", metrics=("distance", "gap")), store)
    execute(cells("gda", metrics=("field_norm",)), store)
    frame = gather(store).frame
    assert {"distance", "gap", "field_norm"} <= set(frame)
    assert frame[["distance", "gap", "field_norm"]].notna().all(axis=None)
    assert execute(cells("gda", metrics=("distance", "gap")), store) == []


def test_another_protocol_is_another_metric(store: Store) -> None:
    """A column measured with other parameters does not answer for the one asked for."""
    execute(cells("gda", metrics=("gap[radius=1]",)), store)
    (first,) = {*gather(store).frame.query("seed == 0 and step == 0")["gap"]}
    assert len(execute(cells("gda", metrics=("gap[radius=2]",)), store)) == 1
    (second,) = {*gather(store).frame.query("seed == 0 and step == 0")["gap"]}
    assert second == pytest.approx(2 * first, rel=1e-6)


def test_an_error_is_stored_and_tried_again(store: Store, tmp_path: Path) -> None:
    """Its rows say error and why; the others finish; the next time it is retried."""
    path = tmp_path / "failing.py"
    path.write_text(FAILING, "utf-8")
    planned = cells(f"bad = {path}:Failing", "gda")
    assert len(execute(planned, store)) == 2
    frame = load(store.folder).set_index("label")
    assert set(frame.loc["bad", "status"]) == {"error"}
    assert set(frame.loc["bad", "reason"]) == {"ZeroDivisionError: three"}
    assert set(frame.loc["gda", "status"]) == {"finished"}
    assert [cell.label for cell in execute(planned, store)] == ["bad"]


def test_footers_tell_what_a_report_needs(store: Store) -> None:
    """Descriptions, outcomes, provenance and the method's text, as JSON."""
    (cell,) = cells("Mine = cgd[step_size=(0.1,0.2)]")
    execute([cell], store)
    footer = store.footer(cell.key)
    assert footer["key"] == cell.key
    assert footer["label"] == "Mine"
    assert footer["algorithm"] == "cgd[step_size=(0.1,0.2)]"
    assert footer["runs"] == 3
    assert footer["seeds"] == [0, 2]
    assert footer["outcomes"] == {"finished": 3}
    assert footer["target"] == "distance ≤ 0.001"
    assert [column["name"] for column in footer["columns"]] == [
        column.name for column in cell.columns
    ]
    assert footer["method"]["summary"].startswith("Competitive gradient descent")
    assert "Δx" in footer["method"]["rule"]
    assert "2019" in footer["method"]["source"]
    assert footer["provenance"]["torch"] == torch.__version__
    assert footer["provenance"]["threads"] == 1
    json.dumps(footer)


def test_stored_descriptions_lead_to_the_key(store: Store) -> None:
    """The canonical cell in the footer is what the key is the digest of."""
    (cell,) = cells("gda")
    execute([cell], store)
    stored = store.footer(cell.key)["cell"]
    assert stored["algorithm"]["class"] == "mmbench.algorithms.gda:GDA"
    assert stored["task"]["version"] == cell.task.version
    assert "metrics" not in stored
    assert "label" not in stored
    assert digest(cell.algorithm) == digest(cells("gda")[0].algorithm)


def test_faults_are_found_before_any_work(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing data and an unwritable store stop everything before the first cell."""

    def missing(*_: Any) -> None:
        raise DataError("no data")

    watcher = Counting()
    monkeypatch.setattr(Bilinear, "prepare", missing)
    with pytest.raises(DataError):
        execute(cells(tasks=("quadratic", "bilinear")), store, watcher=watcher)
    monkeypatch.undo()
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(StoreError):
        execute(cells(), Store(tmp_path / "file"), watcher=watcher)
    assert watcher.begun == []


# ---- frames ----


def test_tidy_table(store: Store) -> None:
    """One row for each cell, seed and record; leading columns, metrics, key."""
    execute(cells("gda", tasks=("bilinear", "dirac_gan")), store)
    frame = load(store.folder)
    assert tuple(frame.columns[: len(LEADING)]) == LEADING
    assert frame.columns[-1] == "key"
    assert not frame.duplicated(["key", "seed", "step"]).any()
    sizes = frame.groupby(["task", "seed"]).size()
    assert set(sizes) == {len(cells()[0].schedule)}
    assert frame[frame.task == "dirac_gan"].gap.isna().all()  # it measures none
    assert frame[frame.task == "bilinear"].gap.notna().all()
    assert list(frame.task.unique()) == ["bilinear", "dirac_gan"]


def test_costs_accumulate(store: Store) -> None:
    """Counts grow by the declared cost along a run's records."""
    (cell,) = cells("extragradient")
    execute([cell], store)
    frame = load(store.folder)
    assert (frame.grad_x == 2 * frame.step).all()
    assert (frame.grad_y == 2 * frame.step).all()
    assert (frame[["hvps", "values", "samples"]] == 0).all(axis=None)


def test_labels_are_those_asked_for(store: Store) -> None:
    """A cell stored under one label is shown under another suite's."""
    (cell,) = cells("gda")
    execute([cell], store)
    results = gather(store, [(cell.key, "Another")])
    assert set(results.frame.label) == {"Another"}
    assert results.footers[cell.key]["label"] == "Another"


def test_missing_cells_are_named(store: Store) -> None:
    """A suite that was not run into this store is told so."""
    execute(cells("gda"), store)
    with pytest.raises(StoreError, match="must hold cell 000000"):
        gather(store, [("000000", "Nothing")])


def test_empty_tables_have_their_columns() -> None:
    """Nothing stored is an empty table, not an exception."""
    assert tuple(tidy({}).columns) == (*LEADING, "key")


def test_load_needs_a_store(tmp_path: Path) -> None:
    """A folder that is not there is an error in a sentence."""
    with pytest.raises(StoreError, match="there is none at"):
        load(tmp_path / "nothing")

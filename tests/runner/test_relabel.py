"""Tests that a stored cell has the label that was asked for last."""

from pathlib import Path

import pandas as pd

import mmbench
from mmbench.analysis.results import gather, load
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.runner.stored_cell import contradictions, stored_cell
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite

SETTINGS = {"seeds": 2, "steps": 3, "records": 1}


def run(store: Path, label: str, **settings: object) -> pd.DataFrame:
    """Run one cell under a label."""
    algorithm = f"{label} = gda"
    return mmbench.run(["bilinear"], [algorithm], store=store, **SETTINGS | settings)


def test_a_corrected_label_is_everywhere(tmp_path: Path) -> None:
    """Footer, description and table have it, and nothing else has changed."""
    store = Store(tmp_path / "store")
    before = run(store.folder, "Wrogn", keep="last")
    (key,) = store
    old = store.require(key)
    arrays, iterates, footer = old.arrays(), old.iterates(), old.footer
    after = run(store.folder, "Right")
    assert list(store) == [key]
    stored = store.require(key)
    assert set(load(store.folder)["label"]) == {"Right"}
    assert gather(store).footers[key]["label"] == "Right"
    assert stored.footer["label"] == stored.footer["description"]["label"] == "Right"
    assert contradictions(stored_cell(stored), stored) == []
    same = ("label", "description")
    assert {k: v for k, v in stored.footer.items() if k not in same} == {
        k: v for k, v in footer.items() if k not in same
    }
    pd.testing.assert_frame_equal(
        after.drop(columns="label"), before.drop(columns="label"), check_exact=True
    )
    assert stored.faults == []
    assert stored.arrays().keys() == arrays.keys()
    assert (stored.iterates()["z"] == iterates["z"]).all()


def test_a_cell_has_the_track_of_the_suite_that_asked_last(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    grid = Grid(tasks=("bilinear",), algorithms=("gda",), **SETTINGS)
    tracks = []
    for tuned in ("", "tuning.parquet", ""):
        execute(plan(Suite(name="one", grids=(grid,), tuned=tuned)), store)
        (key,) = store
        tracks.append(store.require(key).footer["description"]["track"])
    assert tracks == ["default", "tuned", "default"]


def test_the_same_label_writes_nothing(tmp_path: Path) -> None:
    run(tmp_path, "Same")
    (table,) = tmp_path.glob("*.parquet")
    before = table.stat().st_mtime_ns, table.stat().st_ino
    run(tmp_path, "Same")
    assert (table.stat().st_mtime_ns, table.stat().st_ino) == before


def test_a_cell_at_work_elsewhere_keeps_its_label(tmp_path: Path) -> None:
    """Another process that holds the lease may be about to replace the cell."""
    run(tmp_path, "First")
    store = Store(tmp_path)
    (key,) = store
    grid = Grid(tasks=("bilinear",), algorithms=("Second = gda",), **SETTINGS)
    with store.lease(key) as is_ours:
        assert is_ours
        execute(plan(Suite(name="x", grids=(grid,))), store)
    assert store.footer(key)["label"] == "First"

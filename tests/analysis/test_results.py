"""Tests of the tidy table, gathered from a store or loaded from a folder."""

from pathlib import Path

import pandas as pd
import pytest
from small_cells import small_cells

from mmbench.analysis.results import (
    Results,
    collected,
    gather,
    load,
    real_score_of,
)
from mmbench.core.columns import LEADING, TRAILING
from mmbench.core.errors import StoreError
from mmbench.runner.execute import execute
from mmbench.store.folder import Store


def test_tidy_table(store: Store) -> None:
    """There is one row for each cell, seed and record, with columns in order."""
    execute(small_cells("gda", tasks=("bilinear", "dirac_gan")), store)
    frame = load(store.folder)
    assert tuple(frame.columns[: len(LEADING)]) == LEADING
    assert tuple(frame.columns[-2:]) == TRAILING
    assert not frame.duplicated(["key", "seed", "step"]).any()
    sizes = frame.groupby(["task", "seed"]).size()
    assert set(sizes) == {len(small_cells()[0].schedule)}
    assert frame[frame.task == "dirac_gan"].gap.isna().all()  # it has no gap
    assert frame[frame.task == "bilinear"].gap.notna().all()
    assert list(frame.task.unique()) == ["bilinear", "dirac_gan"]


def test_costs_accumulate(store: Store) -> None:
    """Counts grow by the declared cost from record to record."""
    (cell,) = small_cells("extragradient")
    execute([cell], store)
    frame = load(store.folder)
    assert (frame.grad_x == 2 * frame.step).all()
    assert (frame.grad_y == 2 * frame.step).all()
    assert (frame[["hvps", "values", "samples"]] == 0).all(axis=None)


def test_labels_are_those_asked_for(store: Store) -> None:
    """A cell stored under one label is shown under another suite's."""
    (cell,) = small_cells("gda")
    execute([cell], store)
    results = gather(store, [(cell.key, "Another")])
    assert set(results.frame.label) == {"Another"}
    assert results.footers[cell.key]["label"] == "Another"


def test_missing_cells_are_named(store: Store) -> None:
    """The error names the cell that the store lacks."""
    execute(small_cells("gda"), store)
    with pytest.raises(StoreError, match="must hold cell 000000"):
        gather(store, [("000000", "Nothing")])


def test_empty_tables_have_their_columns() -> None:
    """An empty table is no error."""
    assert tuple(collected({}).frame.columns) == (*LEADING, *TRAILING)


def test_load_needs_a_store(tmp_path: Path) -> None:
    """A missing folder is an error."""
    with pytest.raises(StoreError, match="there is none at"):
        load(tmp_path / "nothing")


def test_a_score_of_real_data_is_of_its_task(store: Store) -> None:
    """Two tasks may have the same column; the first one's score is not that of both."""
    footers = {
        "1": {"task": "cifar10", "ideal": {"fid": 3.0}},
        "2": {"task": "cifar10[images=500]", "ideal": {"fid": 9.0, "kid": 0.1}},
        "3": {"task": "bilinear"},
    }
    results = Results(pd.DataFrame(), footers, store)
    assert real_score_of(results, "cifar10", "fid") == 3.0
    assert real_score_of(results, "cifar10[images=500]", "fid") == 9.0
    assert real_score_of(results, "cifar10", "kid") is None
    assert real_score_of(results, "bilinear", "fid") is None

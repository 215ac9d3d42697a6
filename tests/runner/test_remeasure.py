"""Remeasure: metrics added to a stored cell equal those measured in the run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from edited_stores import rewrite
from images import fake_cifar10
from small_cells import CountingObserver, chained_cells, continuing_grid

import mmbench
import mmbench.runner.compute
from mmbench.engine.cell import Cell
from mmbench.metrics import METRICS
from mmbench.runner.execute import execute
from mmbench.runner.lookup import is_stored
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite

GAUSSIANS = "four_gaussians[hidden=4,noise=2,batch=8]"
DIGITS = "digits01[hidden=8,batch=16]"
FIRST = ("mode_coverage[samples=50]",)
COVERAGE = ("digit_coverage[samples=20]",)
MORE = (*FIRST, "sliced_wasserstein[samples=64]", "field_norm", "worst[of=field_norm]")


def cells(keep: str, metrics: tuple[str, ...], task: str = GAUSSIANS) -> list[Cell]:
    """A cell, and one that goes on from its end."""
    seeds = 18 if task == GAUSSIANS else 3  # of two chunks, or of one
    options = dict(tasks=(task,), metrics=metrics, seeds=seeds, steps=6, records=3)
    grids = (
        Grid(algorithms=("gda",), keep=keep, **options),
        Grid(algorithms=("alone",), keep=keep, after="gda", **options),
    )
    return list(plan(Suite(name="test", grids=grids)))


@pytest.fixture
def no_training(monkeypatch) -> None:
    """From here on nothing may run."""

    def refuse(*_: object) -> None:
        raise AssertionError("a cell was run again")

    monkeypatch.setattr(mmbench.runner.compute, "run_cell", refuse)


def frames(given: list[Cell], store: Store) -> list[pd.DataFrame]:
    """Their tables, without the clock."""
    return [store.frame(one.key).drop(columns="cell_seconds") for one in given]


def whole(tmp_path: Path, metrics: tuple[str, ...], task: str) -> list[pd.DataFrame]:
    """The tables of cells that were measured as they ran."""
    store = Store(tmp_path / "whole")
    given = cells("all", metrics, task)
    execute(given, store)
    return frames(given, store)


@pytest.mark.parametrize(
    ("task", "first", "more"),
    [
        (GAUSSIANS, FIRST, MORE),
        (DIGITS, COVERAGE, (*COVERAGE, "drift[images=9]", "losses")),
    ],
)
def test_more_metrics_without_training(
    tmp_path: Path, request: pytest.FixtureRequest, task: str, first: tuple, more: tuple
) -> None:
    """From iterates of all records: every column as if measured in the run."""
    store = Store(tmp_path / "store")
    execute(cells("all", first, task), store)
    expected = whole(tmp_path, more, task)
    request.getfixturevalue("no_training")
    asked = cells("all", more, task)
    assert not any(is_stored(one, store) for one in asked)
    assert len(execute(asked, store)) == 2
    for found, wanted in zip(frames(asked, store), expected, strict=True):
        pd.testing.assert_frame_equal(found[wanted.columns], wanted, check_exact=True)
    assert all(is_stored(one, store) for one in asked)
    assert execute(asked, store) == []


OWN = """
from dataclasses import dataclass
from mmbench import Column, IterateMetric

@dataclass(frozen=True, kw_only=True)
class Mine(IterateMetric):
    columns = (Column("mine", "mine"),)

    def measure(self, at):
        return {"mine": at.z.norm(dim=1) * SCALE}
"""
JUDGED = """
from dataclasses import dataclass
from mmbench import Target
from mmbench.tasks import Bilinear

@dataclass(frozen=True, kw_only=True)
class Judged(Bilinear):
    metrics = ()
    target = Target("FILE:Mine", at_most=(("mine", 1.0),))
"""


@pytest.mark.parametrize("task", ["bilinear", "judged.py:Judged"])
@pytest.mark.parametrize("later", ["distance", "worst[of=mine]"])
def test_what_follows_from_an_edited_metric_is_measured_anew(
    tmp_path: Path, task: str, later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics of whole runs and the target are of the columns that the table has.

    Also where the metric of whole runs is not asked for again.
    """
    file, tables = tmp_path / "own.py", []
    (tmp_path / "judged.py").write_text(JUDGED.replace("FILE", str(file)))
    monkeypatch.chdir(tmp_path)
    metrics = (f"{file}:Mine", later)
    for scale, folder, asked in (
        (0.5, "store", (*metrics, "worst[of=mine]")),
        (1000, "store", metrics),
        (1000, "fresh", (*metrics, "worst[of=mine]")),
    ):
        file.write_text(OWN.replace("SCALE", str(scale)))
        tables.append(
            mmbench.run(
                [task],
                ["extragradient[step_size=0.5]"],
                dict.fromkeys(asked),
                seeds=2,
                steps=32,
                records=8,
                keep="all",
                store=tmp_path / folder,
            )
        )
    _, found, wanted = tables
    for name in ("mine", "status", "stopped_at"):
        assert list(found[name]) == list(wanted[name]), name
    stored = Store(tmp_path / "store")
    (key,) = set(found["key"])
    assert list(stored.frame(key)["mine_worst"]) == list(wanted["mine_worst"])


def test_footers_may_lack_what_the_schema_lets_them_lack(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Scores of real data are optional in a file."""
    store = Store(tmp_path / "store")
    execute(cells("all", COVERAGE, DIGITS), store)

    def without_scores(footer: dict[str, Any]) -> None:
        del footer["ideal"]

    for key in list(store):
        rewrite(store, key, footer=without_scores)
    request.getfixturevalue("no_training")
    asked = cells("all", (*COVERAGE, "losses"), DIGITS)
    execute(asked, store)
    assert all(is_stored(one, store) for one in asked)


def test_scores_of_real_data_go_with_their_metric(tmp_path: Path) -> None:
    """An edited metric that gives none leaves none of the former one."""
    file, found = tmp_path / "own.py", []
    score = "\n    def real_score(self, game):\n        return {'mine': 7.0}\n"
    for extra in (score, ""):
        file.write_text(OWN.replace("SCALE", "1") + extra)
        mmbench.run(
            ["bilinear"],
            ["gda"],
            ["distance", f"{file}:Mine"],
            seeds=1,
            steps=4,
            keep="all",
            store=tmp_path / "store",
        )
        store = Store(tmp_path / "store")
        (key,) = store
        found.append(store.footer(key)["ideal"])
    assert found == [{"mine": 7.0}, {}]


def test_metrics_of_one_name_are_told_apart(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two external classes of one name are both known to be measured."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        source = OWN.replace("SCALE", "2").replace('"mine"', f'"{name}"')
        (tmp_path / f"{name}.py").write_text(source)
        (tmp_path / f"{name}").mkdir()
        (tmp_path / name / "own.py").write_text(
            source.replace(f'"{name}"', f'"{name}2"')
        )
    asked = [
        *("distance", "a.py:Mine", "b.py:Mine", "a/own.py:Mine", "b/own.py:Mine"),
    ]
    chosen = ["bilinear"], ["gda"], asked
    options = {"seeds": 2, "steps": 4, "store": tmp_path / "store"}
    first = mmbench.run(*chosen, **options)
    (key,) = set(first["key"])
    named = Store(tmp_path / "store").footer(key)["metrics"]
    assert set(list(named)[:4]) == {"distance", "a.py:Mine", "b.py:Mine", "own.py:Mine"}
    assert len(named) == 5
    request.getfixturevalue("no_training")
    assert mmbench.run(*chosen, **options).equals(first)


def test_last_iterates_give_the_last_record(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The records before hold NaN, which is what is known of them."""
    store, more = Store(tmp_path / "store"), cells("last", MORE)
    execute(cells("last", FIRST), store)
    expected = whole(tmp_path, MORE, GAUSSIANS)
    request.getfixturevalue("no_training")
    execute(more, store)
    for found, wanted in zip(frames(more, store), expected, strict=True):
        last = found["step"] == 6
        np.testing.assert_array_equal(
            found["field_norm"][last], wanted["field_norm"][last]
        )
        assert found["field_norm"][~last].isna().all()
        assert found["modes"].notna().all()


def test_footers_have_all_metrics(tmp_path: Path) -> None:
    """Metrics, columns, protocols and ideals of the first asking stay."""
    store = Store(tmp_path)
    asked = "frechet_distance[features=digitscnn,count=50]"
    execute(cells("all", (*COVERAGE, asked), DIGITS), store)
    before = store.footer(cells("all", (), DIGITS)[0].key)
    more = "classifier_score[features=digitscnn,count=50]"
    execute(cells("all", (*COVERAGE, more), DIGITS), store)
    after = store.footer(cells("all", (), DIGITS)[0].key)
    assert set(before["metrics"]) | {more} == set(after["metrics"])
    assert set(after["protocols"]) == {asked, more}
    assert before["ideal"].items() <= after["ideal"].items()
    assert len(after["ideal"]) == 2
    assert after["provenance"] == before["provenance"]


def test_without_iterates_the_cell_runs_again(tmp_path: Path) -> None:
    """Nothing kept, or the file lost: everything is computed."""
    store = Store(tmp_path)
    (one, _) = cells("none", FIRST)
    execute([replace(one, keep="none")], store)
    more = replace(one, metrics=tuple(METRICS.build(words) for words in MORE))
    assert not is_stored(more, store)
    execute([more], store)
    assert store.frame(one.key)["field_norm"].notna().all()


def test_what_reads_the_state_of_the_method_runs_again(tmp_path: Path) -> None:
    """The iterates of all records are kept, and states are not."""
    store, grid = Store(tmp_path), {"seeds": 2, "steps": 6, "records": 3}
    grid |= {"tasks": ("bilinear",), "algorithms": ("cgd",), "keep": "all"}
    for metrics in (("distance",), ("distance", "inner_iterations")):
        asked = Suite(name="test", grids=(Grid(metrics=metrics, **grid),))
        (one,) = plan(asked)
        execute([one], store)
    frame = store.frame(one.key)
    assert frame["inner_iterations"].tolist() == frame["step"].tolist()


def test_what_is_measured_later_is_what_was_to_be_seen_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of kept iterates, also of a game that remembers and in the middle of a chain."""
    fake_cifar10(tmp_path, monkeypatch, train=20, test=10)
    task = "cifar10[channels=1,noise=4,batch=4,spectral=true]"
    losses = "losses[minibatches=1]"

    def planned(*metrics: str) -> tuple[Cell, ...]:
        rest = continuing_grid("gda", task, seeds=2, metrics=metrics)
        return chained_cells(rest, task=task, metrics=metrics, seeds=2, keep="all")

    early, late = Store(tmp_path / "early"), Store(tmp_path / "late")
    execute(planned(losses, "field_norm"), early)
    execute(planned("field_norm"), late)
    observer = CountingObserver()
    assert len(execute(planned(losses), late, observer=observer)) == 2
    assert observer.run_steps == 0
    for cell in planned(losses):
        one, other = (where.frame(cell.key) for where in (early, late))
        for name in ("loss_x", "loss_y", "field_norm"):
            assert one[name].notna().all()
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept | {"z": np.zeros((*kept["z"].shape[:2], 5), np.float32)},
        lambda kept: kept | {"z": kept["z"].astype(np.float16)},
        lambda kept: kept | {"steps": kept["steps"] + 1},
        lambda kept: kept | {"steps": 0 * kept["steps"]},
    ],
    ids=["dim", "dtype", "steps", "one step"],
)
def test_iterates_of_another_form_are_not_measured(change, tmp_path: Path) -> None:
    """What does not fit the records and the game is computed again."""
    (cell, *_), store = cells("all", FIRST), Store(tmp_path)
    execute([cell], store)
    stored = store.require(cell.key)
    frame, footer = stored.frame, stored.footer
    store.put(cell.key, frame, footer, stored.arrays(), change(stored.iterates()))
    more = replace(cell, metrics=(*cell.metrics, METRICS.build("field_norm")))
    execute([more], store)
    expected = Store(tmp_path / "whole")
    execute([more], expected)
    assert frames([more], store)[0].equals(frames([more], expected)[0])

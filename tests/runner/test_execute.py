"""Execution: what is stored is not computed again, and what is wrong is found first."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import fake_cifar10

from mmbench.analysis.results import gather, load, tidy
from mmbench.core.description import digest
from mmbench.core.errors import DataError, StoreError
from mmbench.core.placement import Placement
from mmbench.engine.cell import LEADING, Cell
from mmbench.runner.execute import Observer, execute, is_stored
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
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


class Counting(Observer):
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

    def advance(self, run_steps: int, recording: Any = None) -> None:
        """Steps were made."""
        self.run_steps += run_steps

    def end(self, cell: Cell, trajectory: Any) -> None:
        """A cell has ended."""
        self.ended.append(cell.label)


def test_nothing_is_computed_twice(store: Store) -> None:
    """The second time only what is missing runs."""
    first, second = Counting(), Counting()
    assert len(execute(cells(), store, observer=first)) == 2
    assert first.planned == (2, 2)
    assert first.begun == first.ended == ["gda", "omd"]
    assert first.run_steps == 2 * 3 * 10
    done = execute(cells("gda", "omd", "cgd"), store, observer=second)
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
        execute(cells(), store, observer=Impatient())
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

    observer = Counting()
    monkeypatch.setattr(Bilinear, "prepare", missing)
    with pytest.raises(DataError):
        execute(cells(tasks=("quadratic", "bilinear")), store, observer=observer)
    monkeypatch.undo()
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(StoreError):
        execute(cells(), Store(tmp_path / "file"), observer=observer)
    assert observer.begun == []


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


# ---- chains ----

NET = "four_gaussians[hidden=4,noise=2,batch=8]"
QUICK = ("sliced_wasserstein[samples=20]",)


def chain(*then: Grid, task: str = NET, **first: Any) -> tuple[Cell, ...]:
    """Six steps of GDA under the label "first", and what goes on from there."""
    options = {"metrics": QUICK, "seeds": 3, "steps": 6, "records": 3} | first
    start = Grid(tasks=(task,), algorithms=("first = gda",), **options)
    return plan(Suite(name="test", grids=(start, *then)))


def then(algorithm: str = "omd", task: str = NET, **options: Any) -> Grid:
    """A grid that goes on from "first" for four steps, all iterates kept."""
    return Grid(
        tasks=(task,),
        algorithms=(algorithm,),
        **{
            "after": "first",
            "metrics": QUICK,
            "seeds": 3,
            "steps": 4,
            "records": 4,
            "keep": "all",
        }
        | options,
    )


def kept(planned: tuple[Cell, ...], store: Store | None) -> list[np.ndarray]:
    """Iterates of each cell, from a store or in memory."""
    found: dict[str, Any] = {}
    execute(
        planned,
        store,
        fresh=lambda cell, done: found.update({cell.key: done.iterates}),
    )
    return [found[cell.key]["z"] for cell in planned]


def test_a_chained_run_starts_where_the_other_ended(store: Store) -> None:
    """Bit for bit and seed by seed, whichever seeds go on."""
    start, rest, some = kept(chain(then(), then("cgd", first_seed=1, seeds=2)), store)
    np.testing.assert_array_equal(rest[0], start[-1])
    np.testing.assert_array_equal(some[0], start[-1, 1:])
    assert (rest[-1] != rest[0]).any()


@pytest.mark.parametrize("player", ["x", "y"])
def test_one_player_may_start_anew(store: Store, player: Any) -> None:
    """The one inherited stands where it ended, the other where its seed begins."""
    cells = chain(then(inherit=player), keep="all")
    start, rest = kept(cells, store)
    split = cells[0].task.build(Placement()).dim_x
    assert split < start.shape[2]
    x, y = rest[0][:, :split], rest[0][:, split:]
    before_x, before_y = (
        start[-1 if player == "x" else 0],
        start[0 if player == "x" else -1],
    )
    np.testing.assert_array_equal(x, before_x[:, :split])
    np.testing.assert_array_equal(y, before_y[:, split:])


@pytest.mark.parametrize(("task", "same"), [(NET, False), ("bilinear", True)])
def test_a_chained_run_sees_other_minibatches(
    store: Store, task: str, same: bool
) -> None:
    """From where it had begun anyway, a run takes other steps; without data the same.

    The cell before moves by less than the last bit.
    """
    metrics = () if same else QUICK
    still = Grid(
        tasks=(task,),
        algorithms=("still = gda[step_size=1e-300]",),
        metrics=metrics,
        seeds=3,
        steps=2,
    )
    rest = then("gda[step_size=0.2]", task, after="still", metrics=metrics)
    plain = Grid(
        tasks=(task,),
        algorithms=("plain = gda[step_size=0.2]",),
        metrics=metrics,
        seeds=3,
        steps=4,
        records=4,
        keep="all",
    )
    planned = plan(Suite(name="test", grids=(still, rest, plain)))
    _, chained, direct = kept(planned, store)
    np.testing.assert_array_equal(chained[0], direct[0])
    assert np.array_equal(chained[1], direct[1]) is same


def test_branches_of_a_chain_are_paired(store: Store) -> None:
    """Two methods that go on from one end see the same minibatches."""
    _, one, other = kept(chain(then("gda"), then("omd")), store)
    # The first step of OMD is GDA's.
    np.testing.assert_array_equal(one[1], other[1])
    assert (one[2] != other[2]).any()


def test_chains_are_the_same_in_memory_and_in_pieces(
    store: Store, tmp_path: Path
) -> None:
    """Whether ends are stored, held, or found from an earlier day."""
    planned = chain(then(), then("cgd"))
    stored, held = kept(planned, store), kept(planned, None)
    other = Store(tmp_path / "other")
    execute(planned[:1], other)
    later = kept(planned[1:], other)
    for one, another in zip(stored, held, strict=True):
        np.testing.assert_array_equal(one, another)
    for one, another in zip(stored[1:], later, strict=True):
        np.testing.assert_array_equal(one, another)
    assert execute(planned, store) == []


def test_an_end_that_is_missing_is_computed_first(store: Store) -> None:
    """A cell stored before anybody went on from it runs again, and keeps its end."""
    (alone,) = chain()
    execute([alone], store)
    assert not store.iterates(alone.key)
    done = execute(chain(then()), store)
    assert [cell.label for cell in done] == ["first", "omd"]
    assert store.iterates(alone.key)["steps"].tolist() == [6]


def test_nobody_goes_on_from_an_error(store: Store, tmp_path: Path) -> None:
    """The cells after it end with an error that says so, stored or not."""
    path = tmp_path / "failing.py"
    path.write_text(FAILING, "utf-8")
    bad = Grid(
        tasks=(NET,), algorithms=(f"bad = {path}:Failing",), metrics=QUICK, seeds=3
    )
    planned = plan(
        Suite(
            name="test",
            grids=(bad, then(after="bad"), then("third = gda", after="omd")),
        )
    )
    for where in (store, None):
        frames: dict[str, Any] = {}
        execute(
            planned,
            where,
            fresh=lambda cell, done, frames=frames: frames.update(
                {cell.label: done.frame}
            ),
        )
        assert set(frames["bad"]["reason"]) == {"ZeroDivisionError: three"}
        for label, before in (("omd", "bad"), ("third", "omd")):
            assert set(frames[label]["status"]) == {"error"}
            (reason,) = set(frames[label]["reason"])
            assert reason == (
                f"StoreError: {before} on {NET} must have ended for {label} to go on "
                "from there; it has no last iterates."
            )


def test_players_of_another_length_are_refused(store: Store) -> None:
    """A start from a game of another size is an error in a sentence."""
    game = "four_gaussians[hidden=5,noise=2,batch=8]"
    planned = chain(then(task=game))
    execute(planned, store)
    (reason,) = set(store.frame(planned[1].key)["reason"])
    assert "must go on from a game of" in reason


@pytest.mark.parametrize("keep", ["none", "last", "all"])
def test_iterates_are_kept_as_asked(store: Store, keep: Any) -> None:
    """None, those of the last record, or of all; the footer says which."""
    (cell,) = chain(keep=keep)
    execute([cell], store)
    found = store.iterates(cell.key)
    assert store.footer(cell.key)["kept"] == keep
    assert execute([cell], store) == []
    if keep == "none":
        assert found == {}
        return
    steps = [6] if keep == "last" else list(cell.schedule)
    assert found["steps"].tolist() == steps
    dim = cell.task.build(Placement()).dim
    assert found["z"].shape == (len(steps), 3, dim)
    assert found["z"].dtype == np.float32


def test_asking_for_less_loses_no_iterates(store: Store) -> None:
    """A cell stored with all its iterates answers for one with none, and keeps them."""
    (rich,) = chain(keep="all")
    execute([rich], store)
    (poor,) = chain(metrics=(*QUICK, "field_norm"))
    execute([poor], store)
    assert execute([poor], store) == []
    assert execute([rich], store) == []
    assert len(store.iterates(rich.key)["steps"]) == len(rich.schedule)


def test_what_is_measured_later_is_what_was_to_be_seen_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of kept iterates, also of a game that remembers and in the middle of a chain."""
    fake_cifar10(tmp_path, monkeypatch, train=20, test=10)
    task = "cifar10[channels=1,noise=4,batch=4,spectral=true]"
    losses = "losses[minibatches=1]"

    def planned(*metrics: str) -> tuple[Cell, ...]:
        rest = then("gda", task, seeds=2, metrics=metrics)
        return chain(rest, task=task, metrics=metrics, seeds=2, keep="all")

    early, late = Store(tmp_path / "early"), Store(tmp_path / "late")
    execute(planned(losses, "field_norm"), early)
    execute(planned("field_norm"), late)
    observer = Counting()
    assert len(execute(planned(losses), late, observer=observer)) == 2
    assert observer.run_steps == 0
    for cell in planned(losses):
        one, other = (where.frame(cell.key) for where in (early, late))
        for name in ("loss_x", "loss_y", "field_norm"):
            assert one[name].notna().all()
            np.testing.assert_array_equal(one[name], other[name])


# ---- what real data get ----


def test_footers_tell_protocol_and_ideal(store: Store) -> None:
    """How images were measured, and what real ones get; nothing for other metrics."""
    words = "classifier_score[features=digitscnn,count=50,splits=2]"
    (cell,) = cells(
        "gda",
        tasks=("digits01[hidden=4,batch=4]",),
        metrics=(words, "losses[minibatches=1]", "digit_coverage[samples=10]"),
        steps=1,
        seeds=1,
    )
    execute([cell], store)
    footer = store.footer(cell.key)
    assert list(footer["protocols"]) == [words]
    protocol = footer["protocols"][words]
    assert (protocol["generated"], protocol["splits"]) == (50, 2)
    assert len(protocol["sha256"]) == 64
    assert list(footer["ideal"]) == ["cs_digitscnn_50"]
    # Zeros and ones alone: sure of each, and of two classes.
    assert footer["ideal"]["cs_digitscnn_50"] == pytest.approx(2, abs=0.2)
    (toy,) = cells("gda")
    execute([toy], store)
    assert store.footer(toy.key)["protocols"] == store.footer(toy.key)["ideal"] == {}

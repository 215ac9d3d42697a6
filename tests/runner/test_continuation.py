"""Cells that go on from the states of cells with fewer steps."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_cells import NET, QUICK, CountingObserver, small_cells
from stores import assert_same_cells

from mmbench.core.checkpoint import pack, unpack
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.chunk import Chunk
from mmbench.runner import divided, local_workers
from mmbench.runner.execute import execute
from mmbench.runner.limits import Workers
from mmbench.runner.plan import plan
from mmbench.runner.replay import Verdict, replay
from mmbench.store.archive import ImportCounts, export, merge, take
from mmbench.store.folder import Store
from mmbench.store.integrity import check
from mmbench.store.shards import shards_folder
from mmbench.suites.base import Grid, Suite

FEW, MORE = 12, 24  # steps; with four records each, step 4 is in the longer table alone


class Listener(CountingObserver):
    """An observer that also keeps the warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def on_warning(self, sentence: str) -> None:
        """Keep a sentence."""
        self.warnings.append(sentence)


class Resumed(CountingObserver):
    """An observer that also counts the steps that a checkpoint had made."""

    resumed = 0

    def on_progress(self, cell: Cell, run_steps: int, recording: Any = None) -> None:
        """Add the steps."""
        super().on_progress(cell, run_steps, recording)
        self.resumed += run_steps if recording is None else 0


def cell_of(task: str, algorithm: str, steps: int, **options: Any) -> Cell:
    """Plan one small cell."""
    metrics = QUICK if task == NET else ()
    given = {"metrics": metrics, "steps": steps, "records": 4} | options
    (cell,) = small_cells(algorithm, tasks=(task,), **given)
    return cell


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def alone(tmp_path: Path) -> Store:
    """An empty store, for cells that are computed at once."""
    return Store(tmp_path / "alone")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the steps that chunks make in this process."""
    made: list[int] = []
    make = Chunk._make_step

    def make_step(chunk: Chunk) -> None:
        made.append(chunk.step)
        make(chunk)

    monkeypatch.setattr(Chunk, "_make_step", make_step)
    return made


def warnings_of(cells: Sequence[Cell], store: Store, **options: Any) -> list[str]:
    """Return what is told when cells are computed into a store."""
    observer = Listener()
    execute(cells, store, observer=observer, **options)
    return observer.warnings


# ---- equal bits ----


@pytest.mark.parametrize("task", ["bilinear", NET])
@pytest.mark.parametrize(
    "algorithm", ["gda", "gda[direction=adam]", "acgd", "accept_reject"]
)
def test_a_cell_that_goes_on_has_the_bits_of_one_run(
    store: Store, alone: Store, steps: list[int], task: str, algorithm: str
) -> None:
    """And makes the further steps alone, as a replay confirms."""
    before = cell_of(task, algorithm, FEW, keep_state=True)
    cell = cell_of(task, algorithm, MORE)
    execute([before], store)
    plain = cell_of(task, algorithm, FEW)
    execute([plain], alone)
    np.testing.assert_array_equal(
        store.frame(before.key).drop(columns="cell_seconds"),
        alone.frame(plain.key).drop(columns="cell_seconds"),
    )
    steps.clear()
    assert warnings_of([cell], store) == []
    assert steps == list(range(FEW, MORE))
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])
    assert check(store) == []
    assert replay(store, store.require(cell.key)).verdict is Verdict.IDENTICAL


@pytest.mark.slow
@pytest.mark.parametrize("task", ["bilinear", NET])
def test_compiled_steps_go_on(store: Store, alone: Store, task: str) -> None:
    """As compiled ones, where nothing is forced; runs diverge before and after."""
    before = cell_of(task, "gda[step_size=1.0]", 39, keep_state=True)
    cell = cell_of(task, "gda[step_size=1.0]", 78)
    execute([before], store, Placement(compiled=True))
    assert store.footer(before.key)["backend"] == "compiled"
    observer = Resumed()
    execute([cell], store, Placement(compiled=None), observer=observer)
    assert observer.resumed == len(cell.seeds) * 39
    execute([cell], alone, Placement(compiled=True))
    assert_same_cells(store, alone, [cell.key])


@pytest.mark.parametrize(
    ("algorithm", "length", "outcomes"),
    [
        ("extragradient[step_size=0.5]", 96, ["converged", "converged"]),
        ("gda[step_size=1.0]", 48, ["diverged", "diverged"]),
        ("gda[step_size=0.7]", 48, ["finished", "diverged"]),
    ],
)
def test_runs_that_end_or_converge_go_on(
    store: Store,
    alone: Store,
    steps: list[int],
    algorithm: str,
    length: int,
    outcomes: list[str],
) -> None:
    """A streak of the target's records is one of the records of the longer cell."""
    for times, outcome in enumerate(outcomes, 1):
        options: Any = {"records": 12, "keep_state": True}
        cell = cell_of("bilinear", algorithm, times * length, **options)
        steps.clear()
        execute([cell], store)
        assert list(store.footer(cell.key)["outcomes"]) == [outcome]
    assert all(step >= length for step in steps)
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])
    assert_same_states(store, alone, cell)


@pytest.mark.parametrize("task", ["bilinear", NET])
def test_a_cell_that_was_killed_goes_on_from_its_own_checkpoint(
    store: Store,
    alone: Store,
    steps: list[int],
    monkeypatch: pytest.MonkeyPatch,
    task: str,
) -> None:
    """Before the state of fewer steps is made, and after that."""
    monkeypatch.setenv("MMBENCH_CHECKPOINT", "0")
    make = Chunk._make_step
    for length, killed_at in ((FEW, 7), (MORE, 19)):
        cell = cell_of(task, "gda[direction=adam]", length, keep_state=True)

        def kill(chunk: Chunk, at: int = killed_at) -> None:
            if chunk.step == at:
                raise KeyboardInterrupt
            make(chunk)

        monkeypatch.setattr(Chunk, "_make_step", kill)
        with pytest.raises(KeyboardInterrupt):
            execute([cell], store)
        monkeypatch.setattr(Chunk, "_make_step", make)
        steps.clear()
        execute([cell], store)
        assert steps == list(range(killed_at, length))
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])
    assert_same_states(store, alone, cell)


def assert_same_states(store: Store, alone: Store, cell: Cell) -> None:
    """Check that two stores have the same states of a cell, but for the clock."""
    states = [one.require(cell.key).tensors("state") for one in (store, alone)]
    assert states[0].keys() == states[1].keys()
    assert states[0]
    for name in states[0]:
        chunks = [unpack(one[name].tobytes()) for one in states]
        for chunk in chunks:
            last = unpack(chunk.pop("last_state").tobytes())
            last["chunk"].pop("seconds")
            chunk.pop("seconds")
            for record in chunk["between"]:
                record.pop("seconds")
            chunk["last"] = last
        left, right = (pack(chunk) for chunk in chunks)
        assert left == right


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_chunks_go_on_and_missing_ones_start(
    store: Store,
    alone: Store,
    monkeypatch: pytest.MonkeyPatch,
    steps: list[int],
    workers: int,
) -> None:
    """Each chunk has its state, in cells that were joined of shards as well."""
    monkeypatch.setattr(local_workers, "START_SECONDS", 1e-9)
    for seeds, length in ((16, FEW), (32, FEW), (48, MORE)):
        cell = cell_of(NET, "gda", length, seeds=seeds, keep_state=True)
        steps.clear()
        execute([cell], store, workers=Workers(workers))
    if workers == 1:
        assert steps == [*range(FEW, MORE)] * 2 + [*range(MORE)]
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])
    assert_same_states(store, alone, cell)
    assert not shards_folder(store).exists()


def test_a_chain_goes_on(store: Store, alone: Store, steps: list[int]) -> None:
    """Where the cell before has not changed, and draws what it drew."""

    def chain(length: int) -> tuple[Cell, ...]:
        settings: Any = {"tasks": (NET,), "metrics": QUICK, "seeds": 3}
        first = Grid(algorithms=("first = gda",), steps=3, **settings)
        options = settings | {"steps": length, "keep_state": True, "records": 4}
        return plan(
            Suite(
                name="test",
                grids=(first, Grid(algorithms=("omd",), after="first", **options)),
            )
        )

    execute(chain(FEW), store)
    steps.clear()
    execute(chain(MORE), store)
    assert steps == list(range(FEW, MORE))
    execute(chain(MORE), alone)
    assert_same_cells(store, alone, [cell.key for cell in chain(MORE)])


def test_iterates_of_all_records_are_kept_on(store: Store, alone: Store) -> None:
    """Where all records of the longer cell are in the table of the shorter one."""
    for records, length in ((4, FEW), (8, MORE)):
        options: Any = {"keep": "all", "keep_state": True, "records": records}
        cell = cell_of(NET, "gda", length, **options)
        assert warnings_of([cell], store) == []
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])


def test_a_metric_that_is_measured_later_leaves_the_state(store: Store) -> None:
    """A cell with more steps that asks for it starts anew, and others go on."""
    settings: Any = {"keep": "all", "keep_state": True}
    execute([cell_of(NET, "gda", FEW, **settings)], store)
    more = (*QUICK, "gradient_norms")
    execute([cell_of(NET, "gda", FEW, metrics=more, **settings)], store)
    assert not execute([cell_of(NET, "gda", FEW, metrics=more, **settings)], store)
    assert warnings_of([cell_of(NET, "gda", MORE)], store) == []
    (sentence,) = warnings_of([cell_of(NET, "gda", 2 * MORE, metrics=more)], store)
    assert "its state lacks what is asked for" in sentence


# ---- what starts anew ----


@pytest.mark.parametrize(
    ("steps", "options", "why"),
    [
        (20, {}, "it was not measured at all steps of 4 records of 20 steps"),
        (MORE, {"records": 5}, "it was not measured at all steps of 5 records"),
        (MORE, {"keep": "all"}, "it lacks iterates"),
        (MORE, {"metrics": ("distance", "field_norm")}, "it lacks a metric"),
        (1500, {"records": 1}, "points of its path"),
        (3 * 10**6, {}, "it was not compiled, and more steps may be by rule"),
    ],
)
def test_why_a_cell_starts_anew_is_told(
    store: Store, steps: int, options: dict[str, Any], why: str
) -> None:
    """In one sentence with the stored cell and its last step."""
    kept = {"metrics": ("distance",), "keep_state": True}
    few = 1000 if steps == 1500 else FEW
    before = cell_of("bilinear", "gda", few, **options | kept | {"keep": "last"})
    if options.get("records") == 5:
        before = cell_of("bilinear", "gda", few, **kept)
    execute([before], store)
    cell = cell_of("bilinear", "gda", steps, **{"metrics": ("distance",)} | options)
    told: list[str] = []
    placement = Placement(compiled=None)
    assert not divided.find_divisions([cell], store, placement, told.append)
    (sentence,) = told
    expected = f"gda on bilinear starts anew, not from step {few:,} of {before.key}: "
    assert sentence.startswith(expected)
    assert why in sentence
    assert sentence.endswith(".")


def test_runs_of_other_circumstances_do_not_go_on(store: Store) -> None:
    """Of another width, for one; without a state nothing is told."""
    before = cell_of("bilinear", "gda", FEW, keep_state=True)
    cell = cell_of("bilinear", "gda", MORE)
    execute([before], store)
    told: list[str] = []
    placement = Placement(width=7)
    assert not divided.find_divisions([cell], store, placement, told.append)
    assert "another machine" in told[0]
    store.remove(before.key)
    execute([cell_of("bilinear", "gda", FEW)], store)
    assert not divided.find_divisions([cell], store, Placement(), told.append)
    assert len(told) == 1


def state_file(store: Store, cell: Cell) -> Path:
    """Return the file of a cell's state."""
    return store.companions(cell.key)["state"]


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_damaged_state_is_told_and_not_used(
    store: Store, alone: Store, steps: list[int], *, is_gone: bool
) -> None:
    """`store check` finds it, and the cell of more steps starts anew."""
    before = cell_of(NET, "gda", FEW, keep_state=True)
    execute([before], store)
    path = state_file(store, before)
    if is_gone:
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    assert [finding.kind for finding in check(store)] == ["damaged"]
    cell = cell_of(NET, "gda", MORE)
    steps.clear()
    (sentence,) = warnings_of([cell], store)
    assert path.name in sentence
    assert steps == list(range(MORE))
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])


def drop(*path: str) -> Callable[[Any], None]:
    """Return a function that removes what lies deep in nested values."""

    def change(saved: Any) -> None:
        *way, last = path
        for name in way:
            saved = saved[name]
        saved.pop() if isinstance(saved, list) else saved.pop(last)

    return change


@pytest.mark.parametrize(
    ("of_state", "change"),
    [
        (True, drop("chunk")),
        (True, drop("chunk", "step")),
        (True, drop("chunk", "path")),
        (True, drop("chunk", "path", "points", "")),
        (True, drop("chunk", "z")),
        (True, drop("chunk", "oracle")),
        (True, drop("status", "")),
        (False, drop("seeds")),
        (False, drop("steps", "")),
        (False, drop("between", "")),
    ],
)
def test_a_state_that_is_none_of_its_cell_is_not_used(
    store: Store, alone: Store, of_state: bool, change: Callable[[Any], None]
) -> None:
    """Though its digests are right, as in a file that was made by hand."""
    before = cell_of("bilinear", "gda", FEW, keep_state=True)
    execute([before], store)
    stored = store.require(before.key)
    saved = unpack(stored.tensors("state")["0"].tobytes())
    state = unpack(saved["last_state"].tobytes())
    change(state if of_state else saved)
    if of_state:
        saved["last_state"] = np.frombuffer(pack(state), dtype=np.uint8)
    packed = {"0": np.frombuffer(pack(saved), dtype=np.uint8)}
    arrays = stored.arrays()
    store.put(before.key, stored.frame, stored.footer, arrays, state=packed)
    cell = cell_of("bilinear", "gda", MORE)
    execute([cell], store)
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])


# ---- stores ----


def test_the_state_travels_with_its_cell(
    store: Store, tmp_path: Path, steps: list[int]
) -> None:
    """By archive and from folder to folder; a removed cell leaves none."""
    before = cell_of(NET, "gda", FEW, keep_state=True)
    execute([before], store)
    archive = tmp_path / "cells.zip"
    export(store, [before.key], archive)
    other, third = Store(tmp_path / "other"), Store(tmp_path / "third")
    take(archive, other)
    merge(other, third)
    assert check(third) == []
    steps.clear()
    execute([cell_of(NET, "gda", MORE)], third)
    assert steps == list(range(FEW, MORE))
    assert merge(store, third).same == 1
    execute([before], twice := Store(tmp_path / "twice"))
    assert merge(twice, third) == ImportCounts(kept=1)
    name = state_file(store, before).name
    assert (third.folder / name).exists()
    third.remove(before.key)
    assert not (third.folder / name).exists()


def test_a_cell_without_its_state_is_computed_again(store: Store) -> None:
    """Where the state is asked for; it is kept then, and not asked for again."""
    for keep_state, count in ((False, 1), (True, 1), (True, 0), (False, 0)):
        cell = cell_of("bilinear", "gda", FEW, keep_state=keep_state)
        assert len(execute([cell], store)) == count
    assert "state" in store.footer(cell.key)["files"]

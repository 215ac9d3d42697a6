"""Replay: the same cell gives the same bits, and every change of it is found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from edited_stores import (
    EXTERNAL_CLASS,
    rewrite,
    small_grid,
    store_of,
    with_description,
    with_footer,
    with_other_torch,
    with_scaled,
    with_value,
)

from mmbench.core.errors import DamagedError, DescriptionError
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.runner.provenance import provenance
from mmbench.runner.replay import (
    Verdict,
    compare_scores,
    placement_of,
    replay,
    sample_keys,
    sample_seed,
    steps_to_replay,
)
from mmbench.store.folder import Store
from mmbench.suites.base import Suite

GAN = "four_gaussians[hidden=4,noise=2,batch=4]"


@pytest.fixture
def one(tmp_path: Path) -> tuple[Store, Cell]:
    """Return a store with one cell that has a metric of every kind."""
    metrics = ("distance", "worst[of=distance]", "losses")
    store, (cell,) = store_of(tmp_path, small_grid(metrics=metrics, keep="last"))
    return store, cell


# ---- the same bits ----


@pytest.mark.parametrize(
    ("task", "algorithm"),
    [
        ("bilinear", "gda"),
        ("bilinear", "accept_reject[k=1]"),
        (GAN, "gda[direction=adam]"),
        (GAN, "acgd"),
    ],
)
def test_a_cell_is_bit_identical(task: str, algorithm: str, tmp_path: Path) -> None:
    """All runs together and each run alone give the stored bits."""
    store, (cell,) = store_of(tmp_path, small_grid(task, algorithm, first_seed=5))
    whole = replay(store, store.require(cell.key))
    assert (whole.verdict, str(whole)) == (Verdict.IDENTICAL, "bit-identical")
    assert (whole.seeds, whole.cell) == (cell.seeds, cell)
    assert whole.differences == whole.faults == whole.doubts == []
    for seed in (5, 8):
        alone = replay(store, store.require(cell.key), seed=seed)
        assert alone.verdict is Verdict.IDENTICAL
        assert alone.seeds == (seed,)


@pytest.mark.parametrize("seed", [7, 19])
def test_a_run_is_computed_with_the_others_of_its_chunk(
    seed: int, tmp_path: Path
) -> None:
    """Products of odd sizes round by their place in memory."""
    task = "four_gaussians[hidden=17,noise=3,batch=13]"
    grid = small_grid(task, "gda[direction=adam]", seeds=20, steps=3, keep="last")
    store, (cell,) = store_of(tmp_path, grid)
    done = replay(store, store.require(cell.key), seed=seed)
    assert done.verdict is Verdict.IDENTICAL, str(done)
    assert done.seeds == (seed,)


def test_kept_iterates_and_late_metrics(tmp_path: Path) -> None:
    """A metric that was measured later, from the last iterates, is compared there.

    The records before may have been emptied by whoever made the file, so that the cell
    is unconfirmed.
    """
    store, (cell,) = store_of(tmp_path, small_grid(keep="last", metrics=("distance",)))
    more = ("distance", "losses", "worst[of=loss_x]")
    (again,) = plan(Suite(name="again", grids=(small_grid(keep="last", metrics=more),)))
    execute([again], store)
    frame = store.frame(cell.key)
    assert frame["loss_x"].isna().sum() == len(frame) - 4
    done = replay(store, store.require(cell.key))
    assert done.verdict is Verdict.UNCONFIRMED
    assert not done.departures
    assert [doubt.split()[1] for doubt in done.doubts] == ["loss_x", "loss_y"]
    assert "no numbers before the last record" in str(done)

    def raised(frame: pd.DataFrame) -> None:
        frame.loc[frame["step"] == 20, "loss_y"] += 1e-6

    rewrite(store, cell.key, frame=raised)
    assert replay(store, store.require(cell.key)).departures[0].column == "loss_y"


def test_a_chain_starts_where_the_one_before_ended(tmp_path: Path) -> None:
    """A chain is replayed from its first cell, whatever is stored of that."""
    store, cells = store_of(
        tmp_path,
        small_grid(GAN, "A = gda"),
        small_grid(GAN, "B = gda[direction=adam]", after="A", first_seed=1, seeds=2),
        small_grid(GAN, "C = omd", after="B", first_seed=2, seeds=1),
    )
    last = cells[2].key
    assert replay(store, store.require(last)).verdict is Verdict.IDENTICAL
    assert steps_to_replay(cells[2]) == sum(cell.steps for cell in cells)
    for cell in cells[:2]:
        store.remove(cell.key)
    assert list(store) == [last]
    assert replay(store, store.require(last), seed=2).verdict is Verdict.IDENTICAL


# ---- what was changed is found ----


def with_next_number(column: str) -> Callable[[pd.DataFrame], None]:
    """Return a function that raises one row of a column to the next float."""

    def change(frame: pd.DataFrame) -> None:
        values = frame[column].to_numpy().copy()
        values[7] = np.nextafter(values[7], np.inf)
        frame[column] = values

    return change


CHANGED = {
    "the last bit of a number": (dict(frame=with_next_number("distance")), "distance"),
    "a number": (dict(frame=with_value("loss_y", 0.5)), "loss_y 0.5 then"),
    "a number gone": (dict(frame=with_value("loss_x", float("nan"))), "nan then"),
    "of a whole run": (dict(frame=with_value("distance_worst", 0.1)), "distance_worst"),
    "a counter": (dict(frame=with_value("grad_x", 1)), "grad_x 1 then"),
    "when it stopped": (dict(frame=with_value("stopped_at", 3)), "stopped_at"),
    "a reason": (dict(frame=with_value("reason", "lost")), "reason"),
    "an outcome": (
        dict(frame=with_value("status", "converged", 0)),
        "values of status",
    ),
    "one row's outcome": (dict(frame=with_value("status", "converged")), "status"),
    "a column less": (
        dict(frame=lambda frame: frame.drop(columns="loss_x")),
        "lacks loss_x",
    ),
    "a label": (dict(frame=with_value("label", "mine")), "another label"),
    "outcomes": (dict(footer=with_footer(outcomes={"converged": 4})), "other outcomes"),
    "the stored label": (dict(footer=with_footer(label="mine")), "another label"),
    "the stored task": (dict(footer=with_footer(task="quadratic")), "another task"),
    "the stored steps": (dict(footer=with_footer(steps=10)), "another steps"),
    "another description": (dict(footer=with_description(steps=10)), "differs"),
    "what real data get": (
        dict(footer=with_footer(ideal={"distance": 0.0})),
        "real data",
    ),
    "a path": (dict(arrays=lambda a: a["path"].__setitem__((1, 1, 1), 3)), "path"),
    "iterates": (dict(iterates=lambda a: a["z"].__setitem__((0, 1, 1), 3)), "z"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_what_was_changed_is_found(what: str, one: tuple[Store, Cell]) -> None:
    """Each change is found in a file that is otherwise as mmbench writes it."""
    store, cell = one
    change, message = CHANGED[what]
    assert replay(store, store.require(cell.key)).verdict is Verdict.IDENTICAL
    rewrite(store, cell.key, **change)
    done = replay(store, store.require(cell.key))
    assert done.verdict is Verdict.DIFFERS
    assert message in str(done)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.assign(distance="0"), "distance must not be of"),
        (with_value("seed", 9), "one row for each run and record"),
        (with_value("step", 19), "one row for each run and record"),
        (lambda frame: frame.drop(index=7), "one row for each of 4 runs and record"),
    ],
)
def test_tables_of_another_form_are_damaged(
    change: Callable[[pd.DataFrame], Any], message: str, one: tuple[Store, Cell]
) -> None:
    """What cannot be the table of a cell is not compared with one."""
    store, cell = one
    rewrite(store, cell.key, frame=change)
    with pytest.raises(DamagedError, match=message):
        replay(store, store.require(cell.key))


def test_a_change_is_located(one: tuple[Store, Cell]) -> None:
    """The first difference is named by run, step and column."""
    store, cell = one
    steps = len(cell.schedule)
    rewrite(store, cell.key, frame=with_value("distance", 0.25, 2 * steps + 4))
    done = replay(store, store.require(cell.key))
    (departure,) = done.departures
    assert (departure.seed, departure.step) == (2, cell.schedule[4])
    assert (departure.column, departure.then) == ("distance", "0.25")
    assert replay(store, store.require(cell.key), seed=1).verdict is Verdict.IDENTICAL
    assert replay(store, store.require(cell.key), seed=2).verdict is Verdict.DIFFERS


# ---- under other circumstances ----


def test_other_circumstances_are_told(one: tuple[Store, Cell]) -> None:
    """Other circumstances are named, and the same bits are still identical."""
    store, cell = one
    rewrite(store, cell.key, footer=with_other_torch)
    done = replay(store, store.require(cell.key))
    assert done.verdict is Verdict.IDENTICAL
    assert done.differences[0].startswith("torch 2.0.0 then, 2.")


def test_width_and_backend_that_are_only_claimed_are_named(
    one: tuple[Store, Cell],
) -> None:
    """A width is followed, unless nobody can choose it or another one is given."""
    store, cell = one
    rewrite(store, cell.key, footer=with_footer(width=10**9))
    done = replay(store, store.require(cell.key))
    assert "differs: its footer has the width 1000000000; this code" in str(done)
    rewrite(store, cell.key, footer=with_footer(width=7))
    done = replay(store, store.require(cell.key))
    assert done.verdict is Verdict.IDENTICAL
    assert not done.differences
    for backend in ("compiled", "captured"):
        rewrite(store, cell.key, footer=with_footer(backend=backend))
        done = replay(store, store.require(cell.key), placement=Placement())
        assert done.verdict is Verdict.IDENTICAL
        assert any("width 7 then" in words for words in done.differences)
        assert f"{backend} then, eager now" in done.differences
        assert {"width", "backend"} <= set(done.unchecked)
        assert placement_of({"backend": backend}).compiled
    rewrite(store, cell.key, footer=with_footer(backend="quantum"))
    done = replay(store, store.require(cell.key), placement=Placement())
    assert "the backend quantum, which there is not" in str(done)


def test_scores_of_real_data_that_are_roundings_apart_are_not_identical() -> None:
    """They agree by a difference that is told."""
    then, now = {"fid": 1.0001, "kid": -1.0}, {"fid": 1.0, "kid": -1.0}
    scores = compare_scores(then, now, "float32", may_round=True)
    assert scores == ([], [], pytest.approx(1e-4, rel=1e-3))
    assert compare_scores(then, now, "float32", may_round=False).wrong
    assert compare_scores(
        {"fid": 1.001}, {"fid": 1.0}, "float32", may_round=True
    ).doubtful


@pytest.mark.parametrize("seeds", [(3, 9, 31), (9, 3, 4)])
def test_seeds_that_were_picked_are_doubted(
    seeds: tuple[int, ...], tmp_path: Path
) -> None:
    """No suite has seeds that do not follow each other."""
    grid = small_grid(metrics=("distance",))
    (cell,) = plan(Suite(name="test", grids=(grid,)))
    picked = replace(cell, seeds=seeds)
    store = Store(tmp_path)
    execute([picked], store)
    done = replay(store, store.require(picked.key))
    words = f"its seeds are chosen: {', '.join(map(str, seeds))}"
    assert str(done) == f"is unconfirmed: {words}"


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (1.0, Verdict.IDENTICAL),
        (1 + 1e-6, Verdict.AGREES),
        (1 + 4e-4, Verdict.DIFFERS),
        (float("nan"), Verdict.DIFFERS),
        (float("inf"), Verdict.DIFFERS),
    ],
)
@pytest.mark.parametrize("since", [0, 4, 20])
def test_tolerance_in_another_environment(
    factor: float, verdict: Verdict, since: int, tmp_path: Path
) -> None:
    """Roundings agree at every step of a game on which rounding does not grow."""
    store, (cell,) = store_of(tmp_path, small_grid(metrics=("distance",), seeds=2))
    rewrite(store, cell.key, frame=with_scaled(factor, since), footer=with_other_torch)
    done = replay(store, store.require(cell.key))
    assert done.verdict is verdict
    if verdict is Verdict.AGREES:
        assert done.largest == pytest.approx(1e-6, rel=0.01)
    if verdict is Verdict.DIFFERS:
        assert {one.step for one in done.departures} == {since}
        assert "more than rounding makes, first at step" in str(done)
    # The same numbers, circumstances being equal, are not what was computed.
    rewrite(store, cell.key, footer=with_footer(provenance=provenance("cpu")))
    expected = verdict if verdict is Verdict.IDENTICAL else Verdict.DIFFERS
    assert replay(store, store.require(cell.key)).verdict is expected


# ---- cells that cannot, or need more ----


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """Return the spec of an external class."""
    (tmp_path / "mine.py").write_text(EXTERNAL_CLASS)
    return f"{tmp_path / 'mine.py'}:Mine"


def test_external_classes_must_be_given(mine: str, tmp_path: Path) -> None:
    """An external class must be given by name, and is refused when edited."""
    store, (cell,) = store_of(tmp_path, small_grid(algorithm=f"M = {mine}"))
    with pytest.raises(DescriptionError, match=r"--outside path/to/mine\.py:Mine"):
        replay(store, store.require(cell.key))
    assert (
        replay(store, store.require(cell.key), external=[mine]).verdict
        is Verdict.IDENTICAL
    )
    edited = tmp_path / "edited" / "mine.py"
    edited.parent.mkdir()
    edited.write_text(EXTERNAL_CLASS.replace("0.3", "0.2"))
    with pytest.raises(DescriptionError, match="must be the one that was used"):
        replay(store, store.require(cell.key), external=[f"{edited}:Mine"])


def test_an_error_is_replayed_with_all_runs(mine: str, tmp_path: Path) -> None:
    """The run that raised may be another than the one that is compared."""
    words = f"M = {mine}[limit=1.5]"
    store, (cell,) = store_of(tmp_path, small_grid(algorithm=words, seeds=8))
    assert "error" in store.footer(cell.key)["outcomes"]
    for seed in range(8):
        done = replay(store, store.require(cell.key), seed=seed, external=[mine])
        assert done.verdict is Verdict.IDENTICAL


def test_cells_that_a_limit_ended_are_unconfirmed(one: tuple[Store, Cell]) -> None:
    """Such a cell would end at another step; its file is read all the same."""
    store, cell = one

    def limited(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(status="timeout", stopped_at=20, reason="It took long.")

    ended = with_footer(outcomes={"timeout": 4}, reason="It took long.")
    rewrite(store, cell.key, limited, ended)
    done = replay(store, store.require(cell.key))
    assert done.verdict is Verdict.UNCONFIRMED
    assert "it ended by a limit (timeout)" in str(done)
    assert done.unchecked == ["all numbers"]
    rewrite(store, cell.key, footer=lambda footer: footer["method"].update(cost="0"))
    assert replay(store, store.require(cell.key)).verdict is Verdict.DIFFERS


def test_draws_are_random_and_repeatable(one: tuple[Store, Cell]) -> None:
    """Each key and each seed is sample_keys at some time."""
    _, cell = one
    keys = [f"{n:024x}" for n in range(20)]
    assert sample_keys(keys, 5, 0) == sample_keys(keys[::-1], 5, 0)
    assert len(set(sample_keys(keys, 5, 0))) == 5
    assert sorted(sample_keys(keys, 50, 0)) == keys
    met = {key for draw in range(60) for key in sample_keys(keys, 5, draw)}
    assert met == set(keys)
    assert {sample_seed(cell, draw) for draw in range(60)} == set(cell.seeds)


def test_a_cell_that_contradicts_itself_is_not_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A description may have steps without end."""
    store, (cell,) = store_of(tmp_path, small_grid())
    rewrite(store, cell.key, footer=with_description(steps=10**15))
    monkeypatch.setattr("mmbench.runner.replay.compute", None)
    done = replay(store, store.require(cell.key))
    assert done.verdict is Verdict.DIFFERS
    assert done.unchecked == ["all numbers"]

"""Whether the store answers for a cell: damage, columns, protocols, versions."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from edited_stores import rewrite as change_cell
from edited_stores import small_grid, store_of
from small_cells import FAILING, QUICK, chained_cells, small_cells

from mmbench.analysis.results import gather, load
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.runner.compute import compute_and_store
from mmbench.runner.execute import Observer, execute
from mmbench.runner.limits import Limits, Workers
from mmbench.runner.lookup import is_stored
from mmbench.runner.plan import plan
from mmbench.runner.provenance import environments, provenance, same_environment
from mmbench.runner.shards import ends_for, join, split
from mmbench.store.folder import Store
from mmbench.store.shards import shard_store
from mmbench.suites.base import Grid, Suite


def test_a_damaged_cell_is_computed_again(store: Store) -> None:
    """A truncated file counts as absent and is replaced."""
    execute(small_cells(), store)
    path = store.folder / f"{small_cells()[0].key}.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert not is_stored(small_cells()[0], store)
    assert [cell.label for cell in execute(small_cells(), store)] == ["gda"]
    assert len(load(store.folder)) == 2 * 3 * len(small_cells()[0].schedule)


def test_a_new_metric_is_measured(store: Store) -> None:
    """A cell that lacks a column is run again under the same key."""
    execute(small_cells(metrics=("distance",)), store)
    assert execute(small_cells(metrics=("distance",)), store) == []
    assert len(execute(small_cells(metrics=("distance", "gap")), store)) == 2
    assert execute(small_cells(metrics=("gap",)), store) == []
    assert "gap" in load(store.folder)
    assert len(list(store)) == 2


def test_measuring_more_loses_nothing(store: Store) -> None:
    """A cell computed again for another metric keeps those that it had."""
    execute(small_cells("gda", metrics=("distance", "gap")), store)
    execute(small_cells("gda", metrics=("field_norm",)), store)
    frame = gather(store).frame
    assert {"distance", "gap", "field_norm"} <= set(frame)
    assert frame[["distance", "gap", "field_norm"]].notna().all(axis=None)
    assert execute(small_cells("gda", metrics=("distance", "gap")), store) == []


def test_another_protocol_is_another_metric(store: Store) -> None:
    """A column measured with other parameters does not answer for the one asked for."""
    execute(small_cells("gda", metrics=("gap[radius=1]",)), store)
    (first,) = {*gather(store).frame.query("seed == 0 and step == 0")["gap"]}
    assert len(execute(small_cells("gda", metrics=("gap[radius=2]",)), store)) == 1
    (second,) = {*gather(store).frame.query("seed == 0 and step == 0")["gap"]}
    assert second == pytest.approx(2 * first, rel=1e-6)


def test_an_error_is_stored_and_tried_again(store: Store, tmp_path: Path) -> None:
    """Its rows say error and why; the others finish; the next time it is retried."""
    path = tmp_path / "failing.py"
    path.write_text(FAILING, "utf-8")
    planned = small_cells(f"bad = {path}:Failing", "gda")
    assert len(execute(planned, store)) == 2
    frame = load(store.folder).set_index("label")
    assert set(frame.loc["bad", "status"]) == {"error"}
    (reason,) = set(frame.loc["bad", "reason"])
    assert reason.endswith(": three")
    assert set(frame.loc["gda", "status"]) == {"finished"}
    assert [cell.label for cell in execute(planned, store)] == ["bad"]


def test_asking_for_less_loses_no_iterates(store: Store) -> None:
    """A cell stored with all its iterates answers for one with none, and keeps them."""
    (rich,) = chained_cells(keep="all")
    execute([rich], store)
    (poor,) = chained_cells(metrics=(*QUICK, "field_norm"))
    execute([poor], store)
    assert execute([poor], store) == []
    assert execute([rich], store) == []
    assert len(store.iterates(rich.key)["steps"]) == len(rich.schedule)


NET = "four_gaussians[hidden=4,noise=2,batch=8]"
FIRST = ("mode_coverage[samples=20]",)
MORE = (*FIRST, "field_norm")
HERE = environments({"provenance": provenance("cpu")})


class RecordingObserver(Observer):
    """An observer that keeps which cells ran and which were only remeasured."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.measured: list[str] = []

    def on_end(self, cell: Cell, trajectory: Any) -> None:
        """A cell has ended."""
        self.ran.append(cell.label)

    def on_remeasured(self, cell: Cell) -> None:
        """A cell has got further metrics."""
        self.measured.append(cell.label)


def chain_of_two(metrics: tuple[str, ...] = FIRST, **options: Any) -> tuple[Cell, ...]:
    """Plan a cell, and one that continues it."""
    small = {"tasks": (NET,), "metrics": metrics, "seeds": 3, "steps": 4, "records": 2}
    first = Grid(algorithms=("first = gda",), **small | options)
    rest = Grid(algorithms=("rest = omd",), after="first", **small | options)
    return plan(Suite(name="test", grids=(first, rest)))


@pytest.fixture
def strict(store: Store) -> Store:
    """Return the store, opened so that only the same environment answers."""
    return Store(store.folder, same_environment=True)


def rewrite(store: Store, cell: Cell, **versions: str) -> None:
    """Change the versions in the footer of a stored cell."""
    key, footer = cell.key, store.footer(cell.key)
    footer["provenance"] |= versions
    store.put(key, store.frame(key), footer, store.arrays(key), store.iterates(key))


def run_observed(cells: tuple[Cell, ...], store: Store) -> RecordingObserver:
    """Compute cells into a store, and return the observer."""
    observer = RecordingObserver()
    execute(cells, store, observer=observer)
    return observer


@pytest.mark.parametrize("name", ["mmbench", "torch"])
def test_another_version_does_not_answer(
    store: Store, strict: Store, name: str
) -> None:
    """With `same_environment` the cell is computed again and replaced."""
    cell, _ = chain_of_two()
    execute([cell], store)
    assert is_stored(cell, strict)
    rewrite(store, cell, **{name: "0.0.1"})
    assert is_stored(cell, store)
    assert run_observed((cell,), store).ran == []
    assert not is_stored(cell, strict)
    assert run_observed((cell,), strict).ran == ["first"]
    assert store.footer(cell.key)["provenance"][name] != "0.0.1"
    assert run_observed((cell,), strict).ran == []


def test_other_differences_are_allowed(store: Store, strict: Store) -> None:
    """Another machine or library does not count."""
    cell, _ = chain_of_two()
    execute([cell], store)
    rewrite(store, cell, processor="other", numpy="0", commit="0")
    assert run_observed((cell,), strict).ran == []


def test_a_cell_that_is_replaced_keeps_its_columns(store: Store, strict: Store) -> None:
    """The replaced cell keeps its columns and iterates, all computed again."""
    (cell, _), (less, _) = chain_of_two(MORE, keep="all"), chain_of_two()
    execute([cell], store)
    rewrite(store, cell, torch="2.0.0")
    execute([less], strict)
    assert store.frame(cell.key)["field_norm"].notna().all()
    assert len(store.iterates(cell.key)["z"]) == len(cell.schedule)
    assert environments(store.footer(cell.key)) == HERE


def test_iterates_of_other_versions_are_not_measured(
    store: Store, strict: Store
) -> None:
    """Further metrics then take the whole cell, which runs."""
    cell, more = chain_of_two(keep="all")[0], chain_of_two(MORE, keep="all")[0]
    execute([cell], store)
    rewrite(store, cell, torch="2.0.0")
    observer = run_observed((more,), strict)
    assert (observer.ran, observer.measured) == (["first"], [])


def test_columns_of_other_versions_do_not_answer(store: Store, strict: Store) -> None:
    """A cell tells of those that ran it and of those that measured more of it."""
    cell, more = chain_of_two(keep="all")[0], chain_of_two(MORE, keep="all")[0]
    execute([cell], store)
    rewrite(store, cell, torch="2.0.0")
    assert run_observed((more,), store).measured == ["first"]
    pairs = environments(store.footer(cell.key))
    assert pairs == [{**HERE[0], "torch": "2.0.0"}, *HERE]
    rewrite(store, cell, torch=HERE[0]["torch"])  # as if they had only measured it
    assert run_observed((more,), store).ran == []
    assert run_observed((more,), strict).ran == ["first"]


def test_what_goes_on_from_other_versions_does_not_answer(
    store: Store, strict: Store
) -> None:
    """A cell that continues one of another version is computed again."""
    first, rest = chain_of_two()
    execute([first], store)
    rewrite(store, first, mmbench="0.0.1")
    assert run_observed((first, rest), store).ran == ["rest"]
    assert same_environment(store.footer(rest.key)["provenance"])
    assert run_observed((first,), strict).ran == ["first"]
    assert run_observed((first, rest), strict).ran == ["rest"]
    assert run_observed((first, rest), strict).ran == []


def test_an_older_file_does_not_tell_where_it_began(
    store: Store, strict: Store
) -> None:
    """A footer without environments answers only for a cell without a predecessor."""
    first, rest = chain_of_two()
    execute([first, rest], store)
    for cell in (first, rest):
        key, footer = cell.key, store.footer(cell.key)
        del footer["environments"]
        store.put(key, store.frame(key), footer, store.arrays(key), store.iterates(key))
    assert run_observed((first, rest), strict).ran == ["rest"]


def test_no_cell_continues_other_versions(store: Store, strict: Store) -> None:
    """A cell whose start does not answer is an error, not a number."""
    first, rest = chain_of_two()
    execute([first], store)
    rewrite(store, first, torch="2.0.0")
    worked = compute_and_store(rest, strict, Placement())
    assert worked is not None
    assert set(worked.result.frame["status"]) == {"error"}
    assert "must have ended" in worked.result.footer["reason"]


def test_a_checkpoint_from_another_start_is_left(store: Store, strict: Store) -> None:
    """A cell whose predecessor is replaced does not use its old checkpoint."""
    first, rest = chain_of_two()
    execute([first], store)
    rewrite(store, first, torch="2.0.0")
    store.slot(rest.key).write(b"of a run from there")

    class Looking(RecordingObserver):
        def on_start(self, cell: Cell) -> None:
            assert store.slot(rest.key).read() is None

    execute((first, rest), strict, observer=Looking())
    assert is_stored(rest, strict)


def test_shards_of_other_versions_do_not_answer(store: Store, strict: Store) -> None:
    """Shards of other versions are not reused, and a joined cell names all versions."""
    first, rest = chain_of_two(seeds=32)
    execute([first], store)
    parts = split(rest, Placement(), 2)
    beside = shard_store(store, rest.key)
    for part in parts:
        compute_and_store(part, beside, Placement(), ends=ends_for(part, store))
    rewrite(beside, parts[1], torch="2.0.0")
    assert is_stored(parts[0], shard_store(strict, rest.key))
    assert not is_stored(parts[1], shard_store(strict, rest.key))
    join(rest, parts, store)
    assert environments(store.footer(rest.key)) == [
        *HERE,
        {**HERE[0], "torch": "2.0.0"},
    ]
    assert not is_stored(rest, strict)


class RecordingWarnings(Observer):
    """An observer that keeps the warnings."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def on_warning(self, sentence: str) -> None:
        """Something about the store."""
        self.sentences.append(sentence)


@pytest.mark.parametrize("kind", ["table", "arrays", "iterates"])
def test_a_damaged_cell_is_quarantined_and_computed_again(
    tmp_path: Path, kind: str
) -> None:
    """One sentence names the file; the result is what it was; the damage is kept."""
    store, cells = Store(tmp_path), small_cells(keep="all")
    cell, other = cells
    execute(cells, store)
    before = store.frame(cell.key)
    files = store.companions(cell.key) | {"table": store.table(cell.key)}
    untouched = store.version(other.key)
    path = files[kind]
    broken = bytearray(path.read_bytes())
    broken[99] ^= 1
    path.write_bytes(broken)
    assert not is_stored(cell, store)
    observer = RecordingWarnings()
    assert execute(cells, store, observer=observer) == [cell]
    (message,) = observer.sentences
    assert message.startswith(str(path))
    assert message.endswith(
        "It is kept as *.damaged and not read. It is computed again."
    )
    assert path.with_name(f"{path.name}.damaged").read_bytes() == broken
    pd.testing.assert_frame_equal(
        store.frame(cell.key).drop(columns="cell_seconds"),
        before.drop(columns="cell_seconds"),
    )
    assert store.faults(cell.key) == []
    assert store.version(other.key) == untouched
    assert execute(cells, store) == []


@pytest.mark.parametrize("kind", ["arrays", "iterates"])
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_damage_is_found_when_a_metric_is_added(
    tmp_path: Path, kind: str, processes: int
) -> None:
    """The cell cannot be measured; it is computed again, and the damage is kept."""
    store, (cell,) = Store(tmp_path), small_cells("gda", keep="all")
    execute([cell], store)
    path = store.companions(cell.key)[kind]
    broken = bytearray(path.read_bytes())
    broken[99] ^= 1
    path.write_bytes(broken)
    (more,) = small_cells("gda", keep="all", metrics=("distance", "path_angle"))
    observer = RecordingWarnings()
    workers = Workers(processes)
    assert execute([more], store, observer=observer, workers=workers) == [more]
    (message,) = observer.sentences
    assert message.startswith(str(path))
    assert message.endswith(
        "It is kept as *.damaged and not read. It is computed again."
    )
    assert path.with_name(f"{path.name}.damaged").read_bytes() == broken
    assert store.faults(cell.key) == []
    assert is_stored(more, store)


def test_a_higher_limit_computes_a_cell_with_kept_iterates(tmp_path: Path) -> None:
    """What was kept up to the limit is not taken for the whole."""
    store, (cell,) = store_of(tmp_path, small_grid(keep="all"))
    whole = store.frame(cell.key)

    def limited(footer: dict[str, Any]) -> None:
        footer |= {"outcomes": {"timeout": footer["runs"]}, "limits": {"timeout": 5.0}}

    change_cell(
        store,
        cell.key,
        frame=lambda frame: frame.assign(status="timeout"),
        footer=limited,
    )
    assert execute([cell], store) == [cell]
    pd.testing.assert_frame_equal(
        store.frame(cell.key).drop(columns="cell_seconds"),
        whole.drop(columns="cell_seconds"),
    )


@pytest.mark.parametrize(
    ("timeout", "answers"), [(4.0, True), (5.0, True), (5.1, False), (None, False)]
)
def test_only_a_higher_limit_runs_a_limited_cell_again(
    timeout: float | None, answers: bool, tmp_path: Path
) -> None:
    """A cell that ran into a limit of 5 s answers where it may take no more."""
    store, (cell,) = store_of(tmp_path, small_grid())

    def limited(footer: dict[str, Any]) -> None:
        footer |= {"outcomes": {"timeout": footer["runs"]}, "limits": {"timeout": 5.0}}

    def ended(frame: pd.DataFrame) -> None:
        frame["status"] = "timeout"

    change_cell(store, cell.key, frame=ended, footer=limited)
    assert is_stored(cell, store, Limits(timeout=timeout)) is answers

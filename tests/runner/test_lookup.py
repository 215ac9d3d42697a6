"""The same environment: what other versions had a part in does not answer."""

from pathlib import Path
from typing import Any

import pytest

import mmbench
from mmbench.core.errors import StoreError
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.runner.compute import compute_and_store
from mmbench.runner.execute import Observer, execute
from mmbench.runner.lookup import is_stored
from mmbench.runner.plan import plan
from mmbench.runner.provenance import environments, provenance, same_environment
from mmbench.runner.shards import ends_for, join, split
from mmbench.store.folder import Store
from mmbench.store.shards import parts_store
from mmbench.suites.base import Grid, Suite

NET = "four_gaussians[hidden=4,noise=2,batch=8]"
FIRST = ("mode_coverage[samples=20]",)
MORE = (*FIRST, "field_norm")
HERE = environments({"provenance": provenance("cpu")})


class Told(Observer):
    """Remembers which cells ran, and which were only measured again."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.measured: list[str] = []

    def end(self, cell: Cell, trajectory: Any) -> None:
        """A cell has ended."""
        self.ran.append(cell.label)

    def remeasured(self, cell: Cell) -> None:
        """A cell has got further metrics."""
        self.measured.append(cell.label)


def chain(metrics: tuple[str, ...] = FIRST, **options: Any) -> tuple[Cell, ...]:
    """A cell, and one that goes on from its end."""
    small = {"tasks": (NET,), "metrics": metrics, "seeds": 3, "steps": 4, "records": 2}
    first = Grid(algorithms=("first = gda",), **small | options)
    rest = Grid(algorithms=("rest = omd",), after="first", **small | options)
    return plan(Suite(name="test", grids=(first, rest)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def strict(store: Store) -> Store:
    """The same, asked for the same environment."""
    return Store(store.folder, same_environment=True)


def rewrite(store: Store, cell: Cell, **versions: str) -> None:
    """Have the store say that other versions computed a cell."""
    key, footer = cell.key, store.footer(cell.key)
    footer["provenance"] |= versions
    store.put(key, store.frame(key), footer, store.arrays(key), store.iterates(key))


def told(cells: tuple[Cell, ...], store: Store) -> Told:
    """What computing cells into a store took."""
    observer = Told()
    execute(cells, store, observer=observer)
    return observer


@pytest.mark.parametrize("name", ["mmbench", "torch"])
def test_another_version_does_not_answer(
    store: Store, strict: Store, name: str
) -> None:
    """Where it is asked for; the cell is computed again and replaces what was there."""
    cell, _ = chain()
    execute([cell], store)
    assert is_stored(cell, strict)
    rewrite(store, cell, **{name: "0.0.1"})
    assert is_stored(cell, store)
    assert told((cell,), store).ran == []
    assert not is_stored(cell, strict)
    assert told((cell,), strict).ran == ["first"]
    assert store.footer(cell.key)["provenance"][name] != "0.0.1"
    assert told((cell,), strict).ran == []


def test_nothing_else_is_asked(store: Store, strict: Store) -> None:
    """Another machine or library does not count."""
    cell, _ = chain()
    execute([cell], store)
    rewrite(store, cell, processor="other", numpy="0", commit="0")
    assert told((cell,), strict).ran == []


def test_a_cell_that_is_replaced_keeps_its_columns(store: Store, strict: Store) -> None:
    """And what was kept of its iterates; all of them are computed anew."""
    (cell, _), (less, _) = chain(MORE, keep="all"), chain()
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
    cell, more = chain(keep="all")[0], chain(MORE, keep="all")[0]
    execute([cell], store)
    rewrite(store, cell, torch="2.0.0")
    observer = told((more,), strict)
    assert (observer.ran, observer.measured) == (["first"], [])


def test_columns_of_other_versions_do_not_answer(store: Store, strict: Store) -> None:
    """A cell tells of those that ran it and of those that measured more of it."""
    cell, more = chain(keep="all")[0], chain(MORE, keep="all")[0]
    execute([cell], store)
    rewrite(store, cell, torch="2.0.0")
    assert told((more,), store).measured == ["first"]
    pairs = environments(store.footer(cell.key))
    assert pairs == [{**HERE[0], "torch": "2.0.0"}, *HERE]
    rewrite(store, cell, torch=HERE[0]["torch"])  # as if they had only measured it
    assert told((more,), store).ran == []
    assert told((more,), strict).ran == ["first"]


def test_what_goes_on_from_other_versions_does_not_answer(
    store: Store, strict: Store
) -> None:
    """Also when the cell before it has been replaced since."""
    first, rest = chain()
    execute([first], store)
    rewrite(store, first, mmbench="0.0.1")
    assert told((first, rest), store).ran == ["rest"]
    assert same_environment(store.footer(rest.key)["provenance"])
    assert told((first,), strict).ran == ["first"]
    assert told((first, rest), strict).ran == ["rest"]
    assert told((first, rest), strict).ran == []


def test_an_older_file_does_not_tell_where_it_began(
    store: Store, strict: Store
) -> None:
    """So it does not answer, while one that began by itself does."""
    first, rest = chain()
    execute([first, rest], store)
    for cell in (first, rest):
        key, footer = cell.key, store.footer(cell.key)
        del footer["environments"]
        store.put(key, store.frame(key), footer, store.arrays(key), store.iterates(key))
    assert told((first, rest), strict).ran == ["rest"]


def test_nobody_goes_on_from_other_versions(store: Store, strict: Store) -> None:
    """A cell whose start does not answer is an error, not a number."""
    first, rest = chain()
    execute([first], store)
    rewrite(store, first, torch="2.0.0")
    worked = compute_and_store(rest, strict, Placement())
    assert worked is not None
    assert set(worked.done.frame["status"]) == {"error"}
    assert "must have ended" in worked.done.footer["reason"]


def test_a_checkpoint_from_another_start_is_left(store: Store, strict: Store) -> None:
    """Its cell begins at the new end of the cell before it."""
    first, rest = chain()
    execute([first], store)
    rewrite(store, first, torch="2.0.0")
    store.slot(rest.key).write(b"of a run from there")

    class Looking(Told):
        def begin(self, cell: Cell) -> None:
            assert store.slot(rest.key).read() is None

    execute((first, rest), strict, observer=Looking())
    assert is_stored(rest, strict)


def test_parts_of_other_versions_do_not_answer(store: Store, strict: Store) -> None:
    """Nor are they put together without being told of."""
    first, rest = chain(seeds=32)
    execute([first], store)
    parts = split(rest, Placement(), 2)
    beside = parts_store(store, rest.key)
    for part in parts:
        compute_and_store(part, beside, Placement(), ends=ends_for(part, store))
    rewrite(beside, parts[1], torch="2.0.0")
    assert is_stored(parts[0], parts_store(strict, rest.key))
    assert not is_stored(parts[1], parts_store(strict, rest.key))
    join(rest, parts, store)
    assert environments(store.footer(rest.key)) == [
        *HERE,
        {**HERE[0], "torch": "2.0.0"},
    ]
    assert not is_stored(rest, strict)


def test_from_python(store: Store) -> None:
    """`mmbench.run` takes it too."""
    asked = dict(seeds=2, steps=3, records=1, store=store.folder)
    mmbench.run(["bilinear"], ["gda"], **asked)
    (key,) = store
    footer = store.footer(key)
    footer["provenance"] |= {"torch": "2.0.0"}
    store.put(key, store.frame(key), footer, {})
    version = store.version(key)
    mmbench.run(["bilinear"], ["gda"], **asked)
    assert store.version(key) == version
    mmbench.run(["bilinear"], ["gda"], **asked, same_environment=True)
    assert same_environment(store.footer(key)["provenance"])


def test_iterates_that_are_lost_are_told(store: Store) -> None:
    """A start whose file is gone is a sentence."""
    first, rest = chain()
    execute([first], store)
    store.companions(first.key)["iterates"].unlink()
    with pytest.raises(StoreError, match="it is missing"):
        ends_for(rest, store)

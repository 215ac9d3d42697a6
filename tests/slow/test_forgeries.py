"""All forgeries of a stored cell, and honest cells of other machines."""

from pathlib import Path

import pytest
from edited_stores import small_grid, store_of
from forgeries import FORGERIES, QUICK, REFUTED, contracting_store, verdict_on
from other_machines import (
    compute_compiled,
    compute_with_other_roundings,
    compute_with_other_width,
)

from mmbench.core.placement import Placement
from mmbench.runner.replay import Verdict, replay


@pytest.mark.parametrize("what", sorted({*FORGERIES} - {*QUICK}))
def test_no_forgery_is_confirmed(what: str, tmp_path: Path) -> None:
    """With one word of the provenance changed, it still differs or is damaged."""
    assert verdict_on(what, *contracting_store(tmp_path)) in REFUTED


@pytest.mark.parametrize("task", ["bilinear[dim=3]", "quadratic", "dirac_gan"])
@pytest.mark.parametrize("algorithm", ["gda[direction=adam]", "cgd"])
def test_honest_cells_are_not_refuted(
    task: str, algorithm: str, tmp_path: Path
) -> None:
    """Other roundings, another width and compiled steps are not called forged."""
    store, (cell,) = store_of(tmp_path, small_grid(task, algorithm, keep="all"))
    compute_with_other_roundings(store, cell, 5)
    done = replay(store, store.require(cell.key))
    assert done.verdict in (Verdict.AGREES, Verdict.DEPARTS), str(done)
    compute_with_other_width(store, cell, 3)
    done = replay(store, store.require(cell.key))
    assert done.verdict in (Verdict.AGREES, Verdict.IDENTICAL), str(done)


def test_compiled_cells_are_not_refuted(tmp_path: Path) -> None:
    """A cell that was compiled agrees with one that was not."""
    store, (cell,) = store_of(tmp_path, small_grid("dirac_gan", "gda"))
    store.remove(cell.key)
    compute_compiled(store, cell)
    done = replay(store, store.require(cell.key), placement=Placement())
    assert done.verdict in (Verdict.AGREES, Verdict.IDENTICAL), str(done)

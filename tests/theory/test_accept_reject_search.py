"""Random search with an answering opponent reaches the minimax line of the box."""

import pytest

import mmbench
from mmbench.algorithms import ALGORITHMS
from mmbench.tasks import TASKS
from mmbench.testing.tools import start_runs

BOX = "bilinear[box=5]"


@pytest.mark.slow
def test_search_reaches_the_line_and_gda_cycles() -> None:
    """The authors' Figure 3: theirs stops on x = 0, projected descent ascent cycles."""
    frame = mmbench.run(
        [BOX],
        ["search = accept_reject_search", "gda = gda[step_size=0.1]"],
        ["distance", "worst"],
        seeds=12,
        steps=120,
        dtype="float64",
    )
    last = frame[frame.step == 120].set_index("label")
    search, gda = last.loc["search"], last.loc["gda"]
    assert set(search.status) <= {"stopped", "converged"}
    # A proposal within 0.25 of the line improves on the last by the margin too rarely.
    assert search.distance_worst.max() < 0.3
    assert search.distance_worst.median() < 0.15
    assert (search.stopped_at < 120).all()
    assert gda.distance_worst.min() > 1
    assert set(gda.status) == {"finished"}


def test_proposals_are_answered_to_near_stationarity() -> None:
    """y climbs until its gradient is within the tolerance, and no further."""
    tolerance = 0.01
    algorithm = ALGORITHMS.build(f"accept_reject_search[tolerance={tolerance}]")
    # f_yy = -2: each step of 0.05 takes a tenth off the gradient.
    oracle, z = start_runs(TASKS.build("quadratic[a=1,b=10,c=-1]"))
    z, state = algorithm.step(oracle, z, algorithm.init(oracle, z))
    slope = oracle.grad_y(z).abs()[:, 0]
    assert (slope <= tolerance).all()
    assert (slope > 0.8 * tolerance).all()
    assert state.ascents.min() > 10


def test_a_run_stops_after_its_patience() -> None:
    """Rejections in a row end a run; nothing is spent afterwards."""
    frame = mmbench.run(
        [BOX],
        ["accept_reject_search[margin=1000,patience=3,ascents=5]"],
        ["distance"],
        seeds=4,
        steps=20,
        records=20,
        dtype="float64",
    )
    # The first proposal is accepted, since there is nothing to beat yet.
    assert set(frame.stopped_at) == {4}
    spent = frame[frame.step >= 4].groupby("seed")[["grad_y", "values"]].nunique()
    assert (spent == 1).all(axis=None)

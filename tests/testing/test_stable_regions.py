"""Stable step sizes: every method is on the map or named, and the map is right."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmbench.algorithms import ALGORITHMS
from mmbench.analysis.plot.stability import differing
from mmbench.studies import stability
from mmbench.tasks import TASKS
from mmbench.testing.stable_regions import stable_regions
from mmbench.testing.step_matrices import radius, step_matrix
from mmbench.testing.theory import PREDICTIONS

PUBLISHED = Path(__file__).parents[2] / "reports/claims/figures" / stability.FILE
NAMES = {
    "alternating_gda",
    "cgd",
    "consensus",
    "discretisation_drift",
    "extragradient",
    "gda",
    "lola",
    "omd",
    "runge_kutta",
    "smoothed_gda",
}


def test_every_method_is_on_the_map_or_named() -> None:
    assert {*stability.NOT_LINEAR} <= {*ALGORITHMS}
    assert {*ALGORITHMS} - {*stability.NOT_LINEAR} <= {*PREDICTIONS}


def test_the_published_map_is_that_of_the_steps() -> None:
    """Its radii are those of the matrix of a step, and runs differ only near 1."""
    table = pd.read_parquet(PUBLISHED)
    assert {name.partition("[")[0] for name in table["method"]} == {*ALGORITHMS} - {
        *stability.NOT_LINEAR
    }
    assert len(table) == table["method"].nunique() * stability.POINTS**2
    assert differing(table)[1] == 0
    task = TASKS.build(stability.TASK)
    drawn = table[table["method"].isin(NAMES)].sample(30, random_state=0)
    for row in drawn.itertuples():
        method = ALGORITHMS.build(row.method)
        sized = method.with_step_sizes(row.step_size_x, row.step_size_y)
        found = radius(step_matrix(sized, task))
        # A double eigenvalue moves by the root of rounding.
        assert found == pytest.approx(row.radius, rel=1e-6)


@pytest.mark.slow
def test_theory_and_runs_agree_away_from_radius_1() -> None:
    table = stable_regions(points=9)
    assert differing(table)[1] == 0
    assert 0.2 < np.mean(table["radius"] < 1) < 0.6

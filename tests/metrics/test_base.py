"""Tests of the iterates that metrics are computed from."""

from mmbench.metrics.base import Point
from mmbench.tasks import TASKS
from mmbench.testing.tools import SEEDS, start_runs

GAUSSIANS = "four_gaussians[hidden=8,noise=4,batch=16]"


def test_shared_samples_are_drawn_once() -> None:
    """Two metrics that ask for as many samples see the same tensor."""
    oracle, z = start_runs(TASKS.build(GAUSSIANS))
    point = Point(oracle._game, z, SEEDS)
    assert point.samples(50) is point.samples(50)
    assert point.samples(60).shape[1] == 60

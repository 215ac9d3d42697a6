"""The drift of a discriminator from its start."""

import pytest
import torch

from mmbench.core.errors import MisfitError
from mmbench.metrics import METRICS
from mmbench.metrics.base import Point
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT, SEEDS, start_runs

DIGITS = "digits01[hidden=8,batch=16]"


def test_drift_is_measured_from_the_start() -> None:
    """Zero at the start; a shift of the last bias moves every logit by as much."""
    task, images = TASKS.build(DIGITS), 20
    game, start = task.build(PLACEMENT), start_runs(task)[1]
    drift = METRICS.build(f"drift[images={images}]")
    still = drift.measure(Point(game, start, SEEDS, start))
    assert all(not bool(values.any()) for values in still.values())
    z = start.clone()
    bias = game.discriminator.layout.sizes
    z[:, game.dim_x + sum(bias[:-1])] += torch.tensor([0.5, -1.0, 2.0])
    z[:, : game.dim_x] += 1  # the generator's own moves do not count
    found = drift.measure(Point(game, z, SEEDS, start))
    for name, each in (("drift_y", 1), ("drift_real", images), ("drift_fake", images)):
        expected = [one * each**0.5 for one in (0.5, 1.0, 2.0)]
        assert found[name].tolist() == pytest.approx(expected, rel=1e-9)


def test_more_images_than_the_game_has_are_refused():
    """Fewer would give a distance that does not compare with others."""
    metric = METRICS.build("drift[images=284]")
    with pytest.raises(MisfitError, match=r"284 training images; digits01 has 283"):
        metric.check_images("digits01", TASKS.build("digits01").real_images)
    game = TASKS.build("digits01[hidden=8]").build(PLACEMENT)
    z = torch.zeros(1, game.dim, dtype=torch.float64)
    with pytest.raises(MisfitError, match="has 283"):
        metric.measure(Point(game, z, (0,)))

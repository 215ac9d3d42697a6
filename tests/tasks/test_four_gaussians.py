"""The mixture of four Gaussians, and the players on it."""

import pytest
import torch

from mmbench.core.streams import generator
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT, SEEDS, start_runs


def test_ring_of_modes() -> None:
    """Four modes on the unit circle; as released the first has 2/5 of the data."""
    game = TASKS.build("four_gaussians").build(PLACEMENT)
    expected = [[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]]
    torch.testing.assert_close(game.modes, torch.tensor(expected), rtol=0, atol=1e-6)
    assert game.mode_weights.tolist() == pytest.approx([0.4, 0.2, 0.2, 0.2])
    uniform = TASKS.build("four_gaussians[weights=uniform]").build(PLACEMENT)
    assert uniform.mode_weights.tolist() == [0.25] * 4


@pytest.mark.parametrize("weights", ["released", "uniform"])
def test_data_follow_the_mixture(weights: str) -> None:
    """Shares and spread of the drawn points are those declared."""
    game = TASKS.build(f"four_gaussians[weights={weights},batch=500]").build(PLACEMENT)
    points = game.draw_real(generator(0, "data"), 40).flatten(0, 1)
    distances, which = torch.cdist(points, game.modes.double()).min(1)
    shares = which.bincount(minlength=4) / len(points)
    torch.testing.assert_close(shares, game.mode_weights, rtol=0, atol=0.015)
    # The mean square of a planar normal's length is twice the variance.
    assert distances.square().mean().sqrt().item() == pytest.approx(
        0.01 * 2**0.5, rel=0.02
    )


def test_samples_depend_on_the_seed_alone() -> None:
    """The generator's noise is the same at each record and for any other runs."""
    oracle, z = start_runs(TASKS.build("four_gaussians[hidden=8,noise=4,batch=16]"))
    game = oracle._game
    every = game.generate(z, 50, SEEDS)
    assert torch.equal(every, game.generate(z, 50, SEEDS))
    alone = game.generate(z[1:2], 50, SEEDS[1:2])
    torch.testing.assert_close(alone[0], every[1], rtol=1e-12, atol=1e-14)


def test_clip_bounds_the_critic_only() -> None:
    """Projection leaves the generator alone."""
    oracle, z = start_runs(
        TASKS.build(
            "four_gaussians[hidden=8,noise=4,batch=8,loss=wasserstein,clip=0.1]"
        )
    )
    (x, y), (old_x, old_y) = oracle.split(oracle.project(z)), oracle.split(z)
    assert torch.equal(x, old_x)
    assert torch.equal(y, old_y.clamp(-0.1, 0.1))
    assert old_y.abs().max() > 0.1

"""Gains of players that train alone, on games where they have closed forms."""

import pytest
import torch
from measuring import measure

from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT

WORDS = "gain_alone[steps=20,step_size=(0.03,0.01)]"


def gains(game: str, *point: float) -> tuple[float, float]:
    """Return both gains at one point."""
    built = TASKS.build(game).build(PLACEMENT)
    z = torch.tensor([point], dtype=torch.float64)
    found = measure(WORDS, built, z)
    return found["gain_x"][0], found["gain_y"][0]


def test_y_escapes_from_the_quadratic() -> None:
    """With x at 0, y grows by 1 + 2η in each step; with y at 0, x shrinks by 1 − 2η."""
    assert gains("quadratic", 0, 3)[1] == pytest.approx(9 * (1.02**40 - 1), rel=1e-12)
    assert gains("quadratic", 3, 0)[0] == pytest.approx(9 * (1 - 0.94**40), rel=1e-12)


def test_nobody_gains_at_a_nash_equilibrium() -> None:
    """Nor does a player that the box stops: from the corner x gains, y cannot."""
    assert gains("bilinear[box=5]", 0, 0) == (0, 0)
    of_x, of_y = gains("bilinear[box=5]", 5, 5)
    assert of_x == pytest.approx(5 * 20 * 0.03 * 5, rel=1e-12)
    assert of_y == 0


def test_a_finite_sum_is_taken_whole() -> None:
    """With two terms x gains k η |y/2|², y gains k η |x/2|², whatever is drawn."""
    found = gains("finite_sum_bilinear[terms=2,linear=none]", 1, 2, 3, 4)
    assert found == pytest.approx((0.6 * 25 / 4, 0.2 * 5 / 4), rel=1e-12)


def test_a_discriminator_gains_on_minibatches() -> None:
    """At its first weights it can learn; the loss falls on an unseen minibatch."""
    game = TASKS.build("four_gaussians[hidden=8,noise=4,batch=16]").build(PLACEMENT)
    z = torch.randn(
        2, game.dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    found = measure("gain_alone[steps=20,step_size=0.05]", game, z)
    assert min(found["gain_y"]) > 0

"""Noise of the size of rounding: how large it is, and where it enters."""

import pytest
import torch

from mmbench.core.placement import Placement
from mmbench.engine.rounding_noise import (
    BLUR_ROUNDINGS,
    LOSS_ROUNDINGS,
    STEP_ROUNDINGS,
    RoundingNoise,
)
from mmbench.tasks import TASKS


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_errors_are_some_roundings_of_each_number(dtype: torch.dtype) -> None:
    """They are centred, reach the largest size, and leave zeros and dtypes alone."""
    z = torch.logspace(-20, 20, 4000, dtype=dtype).reshape(1000, 4)
    z[0] = 0
    disturbed = RoundingNoise(3).disturb_point(z)
    assert disturbed.dtype == dtype
    assert (disturbed[0] == 0).all()
    share = ((disturbed.double() - z.double()) / z.double())[1:] / torch.finfo(
        dtype
    ).eps
    assert share.abs().max() <= STEP_ROUNDINGS + 1  # and the rounding of the product
    assert share.abs().max() > STEP_ROUNDINGS - 1
    assert abs(float(share.mean())) < 0.2
    assert float(share.std()) == pytest.approx(STEP_ROUNDINGS / 3**0.5, rel=0.1)


def test_noise_is_of_its_seed_and_other_in_every_run() -> None:
    """Runs side by side get errors of their own; the same seed gives the same again."""
    z = torch.ones(8, 50)
    first = RoundingNoise(1).disturb_point(z)
    assert torch.equal(first, RoundingNoise(1).disturb_point(z))
    assert not torch.equal(first, RoundingNoise(2).disturb_point(z))
    assert len({tuple(row.tolist()) for row in first}) == 8


def test_only_blurred_noise_enters_what_is_measured() -> None:
    """Measured iterates are those of the runs, or far larger errors apart."""
    z = torch.ones(4, 100)
    assert RoundingNoise(1).measured(z) is z
    apart = (RoundingNoise(1, is_blurred=True).measured(z) - z).abs()
    roundings = float(apart.max()) / torch.finfo(torch.float32).eps
    assert 0.9 * BLUR_ROUNDINGS < roundings <= BLUR_ROUNDINGS + 1


def test_losses_and_gradients_carry_errors() -> None:
    """Those of a product are its own error and those of both factors, and no more."""
    build = TASKS.build("bilinear").build
    game, exact = build(Placement()), build(Placement())
    RoundingNoise(5).disturb_losses(game)
    x = torch.full((64, 1), 0.3, requires_grad=True)
    y = torch.full((64, 1), 0.7, requires_grad=True)
    loss, found = exact.losses(x, y, None)[0], game.losses(x, y, None)[0]
    eps = torch.finfo(torch.float32).eps
    share = ((found - loss) / loss).detach().abs() / eps
    assert LOSS_ROUNDINGS < float(share.max()) <= 3 * LOSS_ROUNDINGS + 4
    (true,) = torch.autograd.grad(loss.sum(), x)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    share = ((gradient - true) / true).abs() / eps
    assert LOSS_ROUNDINGS < float(share.max()) <= 3 * LOSS_ROUNDINGS + 4

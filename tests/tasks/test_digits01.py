"""The game on zeros and ones: its minibatches, and when it is zero-sum."""

import pytest
import torch

from mmbench.core.capability import Capability
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.tasks._digit_data import DIGITS_TOP
from mmbench.tasks.digits01 import Digits01


def test_digits01_draws_its_own_images():
    """A minibatch holds zeros and ones of the data, from -1 to 1."""
    game = Digits01().build(Placement())
    batch = game.draw(generator(0, "data"), 2)
    real = game.unpack(batch.real)
    assert real.shape == (2, 128, 64)
    known = {tuple(row) for row in game.pixels.tolist()}
    drawn = ((real + 1) * (DIGITS_TOP / 2)).round().long().flatten(0, 1)
    assert {tuple(row) for row in drawn.tolist()} <= known
    assert game.share_of_ones == pytest.approx(143 / 283)


@pytest.mark.parametrize(
    ("loss", "zero_sum"),
    [("nonsaturating", False), ("saturating", True), ("wasserstein", True)],
)
def test_the_loss_decides_whether_the_sum_is_zero(loss, zero_sum):
    """What the task declares is what the game's losses do."""
    task = Digits01(loss=loss)
    game = task.build(Placement())
    z = task.start(game, generator(0, "start"))[None]
    batch = game.draw(generator(0, "data"), 1)
    loss_x, loss_y = game.losses(z[:, : game.dim_x], z[:, game.dim_x :], batch)
    assert bool(torch.isclose(loss_x, -loss_y)) is zero_sum
    assert (Capability.ZERO_SUM in task.gives) is zero_sum


def test_pixels_are_rounded_to_bytes():
    """A pixel of 1 of 16 is 15.94 of 255, and so 16; truncation would make it 15."""
    game = Digits01().build(Placement())
    for split in ("train", "test"):
        counts = game._images[split].pixels.flatten().tolist()
        found = game.real(split)[0].flatten().tolist()
        exact = {count: (2 * count * 255 + 16) // 32 for count in range(17)}
        assert exact[1] == 16
        assert set(zip(counts, found, strict=True)) == set(exact.items())

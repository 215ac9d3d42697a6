"""Noise of the size of rounding errors, by which their growth is measured.

Another processor, library or number of runs side by side rounds otherwise. What this
does to a run is what small random errors do that are made at every step: they grow
where the dynamics are chaotic, shrink where they contract, and turn a comparison of two
nearly equal numbers around. So a run with this noise departs from the run without it
as soon as, and about as far as, one that was computed elsewhere.
"""

from typing import Any

import torch
from torch import Tensor

from mmbench.core.game import Game

# Errors in units of the dtype's rounding unit ε, relative to each number. A step ends
# with a few operations on each entry; a loss and its gradients are sums of products.
STEP_ROUNDINGS = 4
LOSS_ROUNDINGS = 16
# Of the iterates that are measured, for metrics that count: what is counted turns over
# so rarely that only errors far larger than rounding show that it may.
BLUR_ROUNDINGS = 4096


class RoundingNoise:
    """Random relative errors of iterates and losses, independent in every run.

    Args:
        seed: of the errors.
        is_blurred: whether what is measured carries far larger errors, which do not
            enter into the runs.
    """

    def __init__(self, seed: int, *, is_blurred: bool = False) -> None:
        self._is_blurred = is_blurred
        self._generator = torch.Generator().manual_seed(seed)

    def disturb_point(self, z: Tensor, roundings: int = STEP_ROUNDINGS) -> Tensor:
        """Return numbers with relative errors of up to some roundings each.

        Args:
            z: numbers of any shape; zeros stay zeros.
            roundings: largest error, in units of ε.
        """
        drawn = torch.rand(z.shape, generator=self._generator, dtype=torch.float64)
        errors = (2 * drawn - 1) * (roundings * torch.finfo(z.dtype).eps)
        return z * (1 + errors).to(z.device, z.dtype)

    def measured(self, z: Tensor) -> Tensor:
        """Return the iterates that metrics see, shape (runs, dim)."""
        return self.disturb_point(z, BLUR_ROUNDINGS) if self._is_blurred else z

    def disturb_losses(self, game: Game) -> None:
        """Make the losses of a game, and so all their derivatives, carry errors."""
        losses = game.losses

        def disturbed(
            x: Tensor, y: Tensor, sample: Any, *, train: bool = True
        ) -> tuple[Tensor, Tensor]:
            x = self.disturb_point(x, LOSS_ROUNDINGS)
            y = self.disturb_point(y, LOSS_ROUNDINGS)
            loss_x, loss_y = losses(x, y, sample, train=train)
            ones = self.disturb_point(torch.ones_like(loss_x), LOSS_ROUNDINGS)
            return loss_x * ones, loss_y * ones

        vars(game)["losses"] = disturbed

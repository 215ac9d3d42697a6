"""The loss of each player at the iterate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from mmbench.core.domains import Count
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class Losses(IterateMetric):
    """Loss of each player, without dropout, on minibatches of the evaluation stream.

    The columns `loss_x` and `loss_y` only describe: neither direction is better. In a
    zero-sum game loss_y is −f. If the loss is a cross-entropy, a discriminator's loss
    shows how well it separates real from generated points: 2 ln 2 = 1.386 if it
    guesses, 0 if it makes no error.

    Args:
        minibatches: number of minibatches to average over, the same at each record.
    """

    by_iterate = True

    minibatches: Count = 8

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (
            Column("loss_x", "loss of the first player", "neither"),
            Column("loss_y", "loss of the second player", "neither"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        oracle = at.oracle()
        losses = []
        for _ in range(self.minibatches if at.game.batch_size else 1):
            oracle.resample()
            losses.append(torch.stack(oracle.losses(at.z, train=False)))
        loss_x, loss_y = torch.stack(losses).mean(0)
        return {"loss_x": loss_x, "loss_y": loss_y}

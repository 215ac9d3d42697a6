"""Losses: what each player loses at the iterate."""

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
    """Each player's loss, dropout off, on minibatches of the evaluation stream.

    In a zero-sum game loss_y is −f. With a cross-entropy, that of a discriminator tells
    how well it separates real from generated points: 1.386 = 2 ln 2 when it cannot, 0
    when it errs nowhere.

    Args:
        minibatches: whose mean is taken; the same ones at each record.
    """

    minibatches: Count = 8

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        return (
            Column("loss_x", "loss of the first player", "neither"),
            Column("loss_y", "loss of the second player", "neither"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """One number for each column and run."""
        oracle = at.oracle()
        seen = []
        for _ in range(self.minibatches if at.game.batch_size else 1):
            oracle.resample()
            seen.append(torch.stack(oracle.losses(at.z, train=False)))
        loss_x, loss_y = torch.stack(seen).mean(0)
        return {"loss_x": loss_x, "loss_y": loss_y}

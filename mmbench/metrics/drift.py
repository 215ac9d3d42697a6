"""Drift: how far a discriminator has moved from where the run started."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count
from mmbench.core.literature import SCHAEFER_2020
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class Drift(IterateMetric):
    """How far a discriminator has moved from the start of the run.

    Euclidean distances: of its parameters, and of its logits on images that stay the
    same throughout, real ones and those that the generator made at the start.

    Args:
        images: of each kind.

    Source: Schäfer, Zheng and Anandkumar 2020, Figure 4.
    """

    images: Count = 500

    source = SCHAEFER_2020.at("Figure 4")
    needs = frozenset({Capability.IMAGES, Capability.LOGITS})

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        return (
            Column("drift_y", "distance of the discriminator's weights", "neither"),
            Column("drift_real", "distance of its logits, real images", "neither"),
            Column("drift_fake", "distance of its logits, first fakes", "neither"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """One number for each column and run."""
        moved = (at.z - at.start)[:, at.game.dim_x :]
        pixels = at.game.real("train")[0][: self.images]
        real = pixels[None].to(at.z) / 127.5 - 1  # bytes to -1 ... 1
        fake = at.game.generate(at.start, self.images, at.seeds)
        return {
            "drift_y": moved.norm(dim=1),
            "drift_real": self._logits_moved(at, real),
            "drift_fake": self._logits_moved(at, fake),
        }

    def _logits_moved(self, at: Point, images: Tensor) -> Float[Tensor, "runs"]:
        now, then = (at.game.logits(z, images) for z in (at.z, at.start))
        return torch.linalg.vector_norm(now - then, dim=1)

"""Sliced Wasserstein distance between samples and data, in the plane."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count
from mmbench.core.game import with_modes
from mmbench.core.streams import generator
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class SlicedWasserstein(IterateMetric):
    """Mean over directions of the Wasserstein-1 distance of the projected samples.

    Needs no threshold and no notion of a mode. The directions are evenly spaced over
    the half circle; the data are a sample of the same size, the same at each record.

    Args:
        samples: drawn from each run's generator at each record, and of the data.
        directions: of projection.

    Source: Rabin, Peyré, Delon and Bernot 2012.
    """

    samples: Count = 2500
    directions: Count = 16

    needs = frozenset({Capability.SAMPLES, Capability.MODES})

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        title = "sliced Wasserstein distance to the data"
        return (Column("sliced_wasserstein", title, scale="log"),)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """One number for each column and run."""
        points = at.samples(self.samples)
        batches = math.ceil(self.samples / at.game.batch_size)
        real = with_modes(at.game).draw_real(generator(0, "evaluation"), batches)
        real = real.flatten(0, 1)[: self.samples].to(points)
        angles = torch.arange(self.directions) * (math.pi / self.directions)
        axes = torch.stack((angles.cos(), angles.sin())).to(points)
        fake = (points @ axes).sort(dim=1).values
        truth = (real @ axes).sort(dim=0).values
        distance = (fake - truth).abs().mean(dim=(1, 2))
        return {"sliced_wasserstein": distance}

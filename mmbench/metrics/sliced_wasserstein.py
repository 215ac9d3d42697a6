"""The sliced Wasserstein distance between samples and data in the plane."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count
from mmbench.core.game import with_modes
from mmbench.core.literature import RABIN_2012
from mmbench.core.streams import generator
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class SlicedWasserstein(IterateMetric):
    """Mean Wasserstein-1 distance between projections of generated and real samples.

    The column `sliced_wasserstein` is 0 or above, in units of the data, and lower is
    better. It needs no threshold and no notion of a mode. The directions of projection
    are evenly spaced over the half circle; the real sample has the same size and is
    the same at each record. Two finite samples of one distribution have a distance
    above 0, so values compare only at the same number of samples.

    Args:
        samples: number of samples of each run at each record, and of real samples.
        directions: number of directions of projection.

    Source: Rabin, Peyré, Delon and Bernot 2012, Wasserstein Barycenter and Its
        Application to Texture Mixing.
    """

    sources = (RABIN_2012,)

    samples: Count = 2500
    directions: Count = 16

    needs = frozenset({Capability.SAMPLES, Capability.MODES})

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        title = "sliced Wasserstein distance to the data"
        return (Column("sliced_wasserstein", title, scale="log"),)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        points = at.samples(self.samples)
        batches = math.ceil(self.samples / at.game.batch_size)
        real = with_modes(at.game).draw_real(generator(0, "evaluation"), batches)
        real = real.flatten(0, 1)[: self.samples].to(points)
        angles = torch.arange(self.directions) * (math.pi / self.directions)
        axes = torch.stack((angles.cos(), angles.sin())).to(points)
        fake, truth = _sorted(points @ axes, 1), _sorted(real @ axes, 0)
        distance = (fake - truth).abs().mean(dim=(1, 2))
        return {"sliced_wasserstein": distance}


def _sorted(values: Tensor, dim: int) -> Tensor:
    """Return values in order along an axis; on a CPU, NumPy sorts several at once."""
    if values.device.type != "cpu":
        return values.sort(dim=dim).values
    return torch.from_numpy(np.sort(values.numpy(), axis=dim))

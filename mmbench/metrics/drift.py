"""The distance of a discriminator from its start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count
from mmbench.core.errors import MisfitError
from mmbench.core.literature import SCHAEFER_2020
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class Drift(IterateMetric):
    """Euclidean distance of a discriminator from the start of the run.

    Three columns, each 0 or above, only describe; neither direction is better.

        drift_y:    distance of the parameters
        drift_real: distance of the logits on fixed real images
        drift_fake: distance of the logits on images generated at the start

    The distances of the logits grow with the number of images.

    Args:
        images: number of real images, and of generated ones.

    Source: Schäfer, Zheng and Anandkumar 2020, Figure 4.
    """

    images: Count = 500

    sources = (SCHAEFER_2020.at("Figure 4"),)
    needs = frozenset({Capability.IMAGES, Capability.LOGITS})

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (
            Column("drift_y", "distance of the discriminator's weights", "neither"),
            Column("drift_real", "distance of its logits, real images", "neither"),
            Column("drift_fake", "distance of its logits, first fakes", "neither"),
        )

    def check_images(self, task: str, real_images: Mapping[str, int]) -> None:
        """Raise a `MisfitError` if the game has fewer training images than needed."""
        available = real_images.get("train", self.images)
        if available < self.images:
            raise MisfitError(
                f"{self} needs {self.images} training images; {task} has {available}. "
                f"Choose drift[images={available}]."
            )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        change = (at.z - at.start)[:, at.game.dim_x :]
        pixels = at.game.real("train")[0][: self.images]
        self.check_images(type(at.game).__name__, {"train": len(pixels)})
        real = pixels[None].to(at.z) / 127.5 - 1  # bytes to -1 ... 1
        fake = at.game.generate(at.start, self.images, at.seeds)
        return {
            "drift_y": change.norm(dim=1),
            "drift_real": _logit_distance(at, real),
            "drift_fake": _logit_distance(at, fake),
        }


def _logit_distance(at: Point, images: Tensor) -> Float[Tensor, " runs"]:
    """Return the distance between the logits at z and those at the start."""
    now, then = (at.game.logits(z, images) for z in (at.z, at.start))
    return torch.linalg.vector_norm(now - then, dim=1)

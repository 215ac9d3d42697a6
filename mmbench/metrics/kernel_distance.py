"""Kernel distance: maximum mean discrepancy of features, unbiased at any number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.domains import Count
from mmbench.core.game import Game
from mmbench.core.streams import generator
from mmbench.metrics._features import Extracted
from mmbench.metrics._image_metric import Comparison, Several
from mmbench.metrics.base import Column


@final
@dataclass(frozen=True, kw_only=True)
class KernelDistance(Comparison):
    """Squared maximum mean discrepancy between features of generated and real images.

        MMD² = E k(a, a') + E k(b, b') − 2 E k(a, b),   k(a, b) = (a · b / dim + 1)³

    without the terms of an image with itself, so that it is unbiased, averaged over
    random subsets of both sets. It is called KID where the network is the canonical
    Inception, and there alone. It may be negative where the laws agree.

    Args:
        features: the network.
        count: generated images of each run at each record.
        real: real images, at most; 0 for all.
        split: which real images.
        subsets: number of subsets.
        subset_size: images in each, of either kind; fewer where there are not as many.

    Source: Binkowski, Sutherland, Arbel and Gretton 2018, Demystifying MMD GANs.
    """

    subsets: Count = 100  # both numbers are the usual ones
    subset_size: Several = 1000

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        name = self.named("kd", "kid", self.split)
        return (Column(name, self.titled("kernel distance"), "lower"),)

    @property
    def rule(self) -> Mapping[str, str | int]:
        """The part of the protocol that is this metric's own."""
        return {
            "kernel": "(a.b / dim + 1)^3",
            "estimator": "unbiased",
            "subsets": self.subsets,
            "subset_size": self.subset_size,
        }

    def score(self, images: Extracted, game: Game) -> tuple[float, ...]:
        """One number for each column, of one set of images."""
        ours, theirs = images.features, self.reference(images, game).features
        size = min(self.subset_size, len(ours), len(theirs))
        random = generator(0, "metrics/kernel_distance")
        distances = []
        for _ in range(self.subsets):
            some, others = (
                one[torch.randperm(len(one), generator=random)[:size].to(one.device)]
                for one in (ours, theirs)
            )
            distances.append(squared_discrepancy(some, others))
        return (torch.stack(distances).mean().item(),)


def squared_discrepancy(
    some: Float[Tensor, "count dim"], others: Float[Tensor, "others dim"]
) -> Float64[Tensor, ""]:
    """Unbiased squared maximum mean discrepancy with the cubic kernel."""
    a, b = some.double(), others.double()
    return _between_distinct(a) + _between_distinct(b) - 2 * _kernel(a, b).mean()


def _kernel(
    a: Float64[Tensor, "count dim"], b: Float64[Tensor, "others dim"]
) -> Float64[Tensor, "count others"]:
    return (a @ b.T / a.shape[1] + 1) ** 3  # the cubic kernel of Binkowski et al.


def _between_distinct(a: Float64[Tensor, "count dim"]) -> Float64[Tensor, ""]:
    """Mean of the kernel over pairs of different samples."""
    values = _kernel(a, a)
    return (values.sum() - values.diagonal().sum()) / (len(a) * (len(a) - 1))

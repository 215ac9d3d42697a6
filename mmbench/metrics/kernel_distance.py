"""The kernel distance: an unbiased maximum mean discrepancy between features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.domains import Count
from mmbench.core.game import Game
from mmbench.core.literature import BINKOWSKI_2018
from mmbench.core.streams import generator
from mmbench.metrics._features import NetworkOutputs
from mmbench.metrics._image_metric import AtLeastTwo, ReferenceMetric
from mmbench.metrics.base import Column


@final
@dataclass(frozen=True, kw_only=True)
class KernelDistance(ReferenceMetric):
    """Squared maximum mean discrepancy between features of generated and real images.

        MMD² = E k(a, a') + E k(b, b') − 2 E k(a, b),   k(a, b) = (a · b / dim + 1)³

    a and a' are features of different generated images, b and b' of different real
    images. The estimate is averaged over random subsets of both. The column is
    `kd_<network>_<count>`, or `kid_<count>` for the canonical Inception only. Lower is
    better. The estimator is unbiased at any number of images, so the value may be
    negative if the distributions agree.

    Args:
        features: network that extracts the features.
        count: number of generated images of each run at each record.
        real: largest number of real images; 0 for all.
        split: split of the real images.
        subsets: number of subsets.
        subset_size: number of generated and of real images in each subset; all if
            there are fewer.

    Source: Binkowski, Sutherland, Arbel and Gretton 2018, Demystifying MMD GANs.
    """

    sources = (BINKOWSKI_2018,)

    subsets: Count = 100  # both are the common defaults
    subset_size: AtLeastTwo = 1000

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        name = self.column_name("kd", "kid", self.split)
        return (Column(name, self.column_title("kernel distance"), "lower"),)

    @property
    def own_protocol(self) -> Mapping[str, str | int]:
        """Part of the protocol that is specific to this metric."""
        return {
            "kernel": "(a.b / dim + 1)^3",
            "estimator": "unbiased",
            "subsets": self.subsets,
            "subset_size": self.subset_size,
        }

    def score(self, outputs: NetworkOutputs, game: Game) -> tuple[float, ...]:
        """Return one value for each column, for one set of images."""
        generated = outputs.features
        real = self.reference(outputs, game).features
        size = min(self.subset_size, len(generated), len(real))
        random = generator(0, "metrics/kernel_distance")

        def subset(samples: Tensor) -> Tensor:
            order = torch.randperm(len(samples), generator=random)
            return samples[order[:size].to(samples.device)]

        distances = [
            squared_mmd(subset(generated), subset(real)) for _ in range(self.subsets)
        ]
        return (torch.stack(distances).mean().item(),)


def squared_mmd(
    samples: Float[Tensor, "count_a dim"], reference: Float[Tensor, "count_b dim"]
) -> Float64[Tensor, ""]:
    """Estimate the squared maximum mean discrepancy with the cubic kernel, unbiased.

    Args:
        samples: samples of one distribution, shape (count_a, dim), at least two.
        reference: samples of the other, shape (count_b, dim), at least two.
    """
    a, b = samples.double(), reference.double()
    return _mean_of_pairs(a) + _mean_of_pairs(b) - 2 * _kernel(a, b).mean()


def _kernel(
    a: Float64[Tensor, "count_a dim"], b: Float64[Tensor, "count_b dim"]
) -> Float64[Tensor, "count_a count_b"]:
    return (a @ b.T / a.shape[1] + 1) ** 3  # the cubic kernel of Binkowski et al.


def _mean_of_pairs(a: Float64[Tensor, "count dim"]) -> Float64[Tensor, ""]:
    """Return the mean of the kernel over all pairs of different samples."""
    values = _kernel(a, a)
    return (values.sum() - values.diagonal().sum()) / (len(a) * (len(a) - 1))

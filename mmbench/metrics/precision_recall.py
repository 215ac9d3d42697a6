"""Precision, recall, density and coverage, from balls around nearest neighbours."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.domains import Count, Natural
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.literature import KYNKAANNIEMI_2019, NAEEM_2020
from mmbench.metrics._features import NetworkOutputs
from mmbench.metrics._image_metric import ReferenceMetric
from mmbench.metrics.base import Column

_BLOCK_ENTRIES = 2**23  # distances in memory at a time: 64 MiB


@final
@dataclass(frozen=True, kw_only=True)
class PrecisionRecall(ReferenceMetric):
    """Overlap of the sets of generated and of real images in the space of features.

    The ball of an image reaches to its k-th nearest other image of its own set.

        precision: share of generated images within the ball of a real one
        recall:    share of real images within the ball of a generated one
        density:   mean number of real balls that hold a generated image, over k
        coverage:  share of real balls that hold a generated image

    The columns are named `<quantity>_<network>_<count>`; in each, higher is better.
    Density can exceed 1, the others lie between 0 and 1. For equal distributions and
    equal numbers of images, density is 1 and coverage is 1 − 2⁻ᵏ on average; with fewer
    generated than real images, coverage is lower. No single one is enough: images
    shrunk towards their centre have a precision and a coverage of 1, and one outlier in
    a hundred restores the recall.

    Args:
        features: network that extracts the features.
        count: number of generated images of each run at each record.
        real: largest number of real images; 0 for all. Time grows with its square.
        split: split of the real images.
        k: neighbour that bounds the balls of precision and recall.
        k_coverage: neighbour that bounds the balls of density and coverage.

    Source: Kynkäänniemi, Karras, Laine, Lehtinen and Aila 2019, Improved Precision and
        Recall Metric for Assessing Generative Models; Naeem, Oh, Uh, Choi and Yoo 2020,
        Reliable Fidelity and Diversity Metrics for Generative Models.
    """

    sources = (KYNKAANNIEMI_2019, NAEEM_2020)

    real: Natural = 10_000  # equal to the generated images, as in Naeem et al.
    k: Count = 3  # the value of Kynkäänniemi et al.
    k_coverage: Count = 5  # the value of Naeem et al.

    version = 2

    @property
    def fewest(self) -> int:
        """Least number of images, generated or real: each needs its neighbours."""
        return max(self.k, self.k_coverage) + 1

    def check(self) -> None:
        """Raise a `DescriptionError` if an image has fewer than k neighbours."""
        fewest = min(self.count, self.real or self.count)
        if max(self.k, self.k_coverage) >= fewest:
            raise DescriptionError(
                f"PrecisionRecall.k and k_coverage must be below its counts of images, "
                f"{fewest}; got {self.k} and {self.k_coverage}."
            )

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return tuple(
            Column(
                self.column_name(quantity, split=self.split),
                self.column_title(quantity),
                "higher",
            )
            for quantity in Overlap._fields
        )

    @property
    def own_protocol(self) -> Mapping[str, str | int]:
        """Part of the protocol that is specific to this metric."""
        return {"k": self.k, "k_coverage": self.k_coverage, "balls": "closed"}

    def score(self, outputs: NetworkOutputs, game: Game) -> tuple[float, ...]:
        """Return one value for each column, for one set of images."""
        reference = self.reference(outputs, game)
        return measure_overlap(outputs, reference, self.k, self.k_coverage)


class Overlap(NamedTuple):
    """The precision, recall, density and coverage of a set of generated images."""

    precision: float
    recall: float
    density: float
    coverage: float


def measure_overlap(
    outputs: NetworkOutputs, real: NetworkOutputs, k: int, k_coverage: int
) -> Overlap:
    """Compute precision, recall, density and coverage.

    Args:
        outputs: the network's outputs for the generated images.
        real: the network's outputs for the real images.
        k: neighbour that bounds the balls of precision and recall.
        k_coverage: neighbour that bounds the balls of density and coverage.
    """
    real_radii, wide_real_radii = _real_radii(real, k), _real_radii(real, k_coverage)
    generated = outputs.features.double()
    radii = squared_radii(generated, k)
    precise = torch.zeros((), dtype=torch.int64, device=generated.device)
    pairs = torch.zeros_like(precise)
    recalled = covered = torch.zeros_like(real_radii, dtype=torch.bool)
    slack = _rounding_bound(generated, real.features.double())
    for start, rows in _distance_blocks(generated, real.features.double()):
        block = rows - slack  # the balls are closed, and so stay after rounding
        precise += (block <= real_radii).any(1).sum()
        in_wide_ball = block <= wide_real_radii
        pairs += in_wide_ball.sum()
        covered = covered | in_wide_ball.any(0)
        in_generated_ball = block <= radii[start : start + len(block), None]
        recalled = recalled | in_generated_ball.any(0)
    return Overlap(
        precision=float(precise) / len(generated),
        recall=float(recalled.double().mean()),
        density=float(pairs) / (k_coverage * len(generated)),
        coverage=float(covered.double().mean()),
    )


@lru_cache(maxsize=8)  # two sets of real images, two neighbours, two devices
def _real_radii(real: NetworkOutputs, k: int) -> Float64[Tensor, " count"]:
    return squared_radii(real.features.double(), k)


def squared_radii(
    points: Float[Tensor, "count dim"], k: int
) -> Float64[Tensor, " count"]:
    """Return the squared distance of each point to its k-th nearest other point.

    Raises:
        DescriptionError: if there are at most k points.
    """
    if k >= len(points):
        raise DescriptionError(
            f"PrecisionRecall must have more images than k = {k}; got {len(points)}."
        )
    radii = []
    for start, block in _distance_blocks(points.double(), points.double()):
        rows = torch.arange(len(block), device=block.device)
        block[rows, start + rows] = torch.inf  # a point is not its own neighbour
        radii.append(block.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(radii)


def _distance_blocks(
    a: Float64[Tensor, "count_a dim"], b: Float64[Tensor, "count_b dim"]
) -> Iterator[tuple[int, Float64[Tensor, "rows count_b"]]]:
    """Yield blocks of rows of squared distances, with the index of the first row."""
    centre = b.mean(0)  # near the origin, products round less
    a, b = a - centre, b - centre
    b_squares = b.square().sum(1)
    rows = max(1, _BLOCK_ENTRIES // len(b))
    for start in range(0, len(a), rows):
        block = a[start : start + rows]
        squares = block.square().sum(1, keepdim=True) + b_squares
        yield start, (squares - 2 * block @ b.T).clamp(min=0)


def _rounding_bound(
    a: Float64[Tensor, "count_a dim"], b: Float64[Tensor, "count_b dim"]
) -> Float64[Tensor, ""]:
    """Return how far the difference of two squared distances may be off by rounding.

    A computed square of a distance is off by at most n u (|a| + |b|)² with n
    operations and the unit roundoff u. The bound is far below the rounding of
    features, which are in float32.
    """
    centre = b.mean(0)
    longest = max((points - centre).square().sum(1).max() for points in (a, b))
    unit_roundoff = torch.finfo(torch.float64).eps / 2
    return 2 * (a.shape[1] + 4) * unit_roundoff * 4 * longest

"""Precision and recall, density and coverage: of manifolds of nearest neighbours."""

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
from mmbench.metrics._features import Extracted
from mmbench.metrics._image_metric import Comparison
from mmbench.metrics.base import Column

_ENTRIES = 2**23  # distances held at once: 64 MiB


@final
@dataclass(frozen=True, kw_only=True)
class PrecisionRecall(Comparison):
    """Whether generated images lie among real ones, and the real among the generated.

    The ball of an image reaches to its k-th nearest other image of its own set.

        precision: share of generated images within the ball of a real one
        recall:    share of real images within the ball of a generated one
        density:   mean number of real balls around a generated image, over k
        coverage:  share of real balls with a generated image

    For equal laws and as many images of either kind, density is 1 and coverage is
    1 − 2⁻ᵏ; with fewer generated than real ones, coverage is lower. No single number is
    safe: images shrunk towards their centre have a precision and a coverage of 1, and
    one outlier in a hundred restores recall.

    Args:
        features: the network.
        count: generated images of each run at each record.
        real: real images, at most; 0 for all. Time grows with their square.
        split: which real images.
        k: the neighbour of precision and recall.
        k_coverage: the neighbour of density and coverage.

    Source: Kynkäänniemi, Karras, Laine, Lehtinen and Aila 2019, Improved Precision and
        Recall Metric for Assessing Generative Models; Naeem, Oh, Uh, Choi and Yoo 2020,
        Reliable Fidelity and Diversity Metrics for Generative Models.
    """

    real: Natural = 10_000  # as many as are generated, as Naeem et al. do
    k: Count = 3  # of Kynkäänniemi et al.
    k_coverage: Count = 5  # of Naeem et al.

    def check(self) -> None:
        """Every image must have as many neighbours."""
        least = min(self.count, self.real or self.count)
        if max(self.k, self.k_coverage) >= least:
            raise DescriptionError(
                f"PrecisionRecall.k and k_coverage must be below its counts of images, "
                f"{least}; got {self.k} and {self.k_coverage}."
            )

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        return tuple(
            Column(self.named(word, split=self.split), self.titled(word), "higher")
            for word in Manifolds._fields
        )

    @property
    def rule(self) -> Mapping[str, str | int]:
        """The part of the protocol that is this metric's own."""
        return {"k": self.k, "k_coverage": self.k_coverage, "balls": "closed"}

    def score(self, images: Extracted, game: Game) -> tuple[float, ...]:
        """One number for each column, of one set of images."""
        return compared(images, self.reference(images, game), self.k, self.k_coverage)


class Manifolds(NamedTuple):
    """The four numbers, from two sets of features."""

    precision: float
    recall: float
    density: float
    coverage: float


def compared(images: Extracted, real: Extracted, k: int, k_coverage: int) -> Manifolds:
    """The four numbers of a set of images against a set of real ones."""
    narrow, wide = _radii_of_real(real, k), _radii_of_real(real, k_coverage)
    ours, theirs = images.features.double(), real.features.double()
    own = radii(ours, k)
    precise = dense = 0
    recalled = covered = torch.zeros_like(narrow, dtype=torch.bool)
    for start, block in _blocks(ours, theirs):
        precise += (block <= narrow).any(1).sum()
        dense += (block <= wide).sum()
        covered = covered | (block <= wide).any(0)
        within = block <= own[start : start + len(block), None]
        recalled = recalled | within.any(0)
    return Manifolds(
        float(precise) / len(ours),
        float(recalled.double().mean()),
        float(dense) / (k_coverage * len(ours)),
        float(covered.double().mean()),
    )


@lru_cache(maxsize=8)  # two sets of real images, two neighbours, two devices
def _radii_of_real(real: Extracted, k: int) -> Float64[Tensor, "count"]:
    return radii(real.features.double(), k)


def radii(points: Float[Tensor, "count dim"], k: int) -> Float64[Tensor, "count"]:
    """Squared distance of each point to its k-th nearest other."""
    if k >= len(points):
        raise DescriptionError(
            f"PrecisionRecall must have more images than k = {k}; got {len(points)}."
        )
    found = []
    for start, block in _blocks(points.double(), points.double()):
        rows = torch.arange(len(block), device=block.device)
        block[rows, start + rows] = torch.inf  # a point is not its own neighbour
        found.append(block.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(found)


def _blocks(
    some: Float64[Tensor, "count dim"], others: Float64[Tensor, "others dim"]
) -> Iterator[tuple[int, Float64[Tensor, "block others"]]]:
    """Squared distances, by blocks of rows; each with the number of its first row."""
    centre = others.mean(0)  # near the origin, products round less
    some, others = some - centre, others - centre
    lengths = others.square().sum(1)
    rows = max(1, _ENTRIES // len(others))
    for start in range(0, len(some), rows):
        part = some[start : start + rows]
        squares = part.square().sum(1, keepdim=True) + lengths
        yield start, (squares - 2 * part @ others.T).clamp(min=0)

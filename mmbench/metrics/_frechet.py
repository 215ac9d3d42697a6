"""Fréchet distance between Gaussians fitted to samples, in float64.

The trace of the square root of a product of covariances is a sum of singular values:
with R the symmetric root of the second covariance, tr (Σ₁ Σ₂)^½ = tr (R Σ₁ R)^½, which
is also the nuclear norm of the centred samples times R, over √(n − 1). The first form
needs the eigenvalues of a symmetric matrix of the features' dimension; the second is
cheaper for fewer samples than that.

Source: Dowson and Landau 1982, The Fréchet distance between multivariate normal
distributions; Heusel et al. 2017; Chong and Forsyth 2020, Effectively Unbiased FID and
Inception Score and Where to Find Them.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

_SMALLEST = 0.1  # share of the samples in the smallest subset; Chong and Forsyth 2020


class Gaussian(NamedTuple):
    """A normal law, as the distance wants it.

    Args:
        mean: of each feature.
        root: symmetric root of the covariance, whose divisor is n − 1.
        trace: of the covariance.
    """

    mean: Float64[Tensor, "dim"]
    root: Float64[Tensor, "dim dim"]
    trace: Float64[Tensor, ""]


def gaussian(samples: Float[Tensor, "count dim"]) -> Gaussian:
    """The normal law with the samples' mean and covariance."""
    mean, scatter = _centred(samples)
    values, vectors = torch.linalg.eigh(scatter.T @ scatter)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return Gaussian(mean, root, scatter.square().sum())


def frechet_distance(
    samples: Float[Tensor, "count dim"], other: Float[Tensor, "others dim"]
) -> Float64[Tensor, ""]:
    """Fréchet distance between the Gaussians of two samples.

    |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁ Σ₂)^½
    """
    return distance_to(samples, gaussian(other))


def distance_to(
    samples: Float[Tensor, "count dim"], law: Gaussian
) -> Float64[Tensor, ""]:
    """Fréchet distance between the Gaussian of the samples and that law."""
    mean, scatter = _centred(samples)
    overlap = by_samples if len(samples) < len(mean) else by_covariance
    shift = (mean - law.mean).square().sum()
    spread = scatter.square().sum() + law.trace - 2 * overlap(scatter, law.root)
    return (shift + spread).clamp(min=0)  # rounding can leave it just below


def by_covariance(
    scatter: Float64[Tensor, "count dim"], root: Float64[Tensor, "dim dim"]
) -> Float64[Tensor, ""]:
    """Trace of the root of a product of covariances, from a symmetric matrix.

    Args:
        scatter: centred samples over √(n − 1).
        root: of the other covariance.
    """
    spread = scatter @ root
    return torch.linalg.eigvalsh(spread.T @ spread).clamp(min=0).sqrt().sum()


def by_samples(
    scatter: Float64[Tensor, "count dim"], root: Float64[Tensor, "dim dim"]
) -> Float64[Tensor, ""]:
    """The same from singular values; it squares no condition number."""
    return torch.linalg.svdvals(scatter @ root).sum()


def frechet_at_infinity(
    samples: Float[Tensor, "count dim"],
    law: Gaussian,
    sizes: int,
    random: torch.Generator,
) -> Float64[Tensor, ""]:
    """Fréchet distance that infinitely many samples would have, extrapolated.

    The distance of N samples is biased by about c / N. It is measured on subsets of
    several sizes, evenly spaced from a tenth of the samples to all of them; a straight
    line in 1 / N is fitted by least squares, and its value at 0 is returned.

    Args:
        samples: of which subsets are drawn without replacement.
        law: what they are compared with.
        sizes: how many; two at least.
        random: draws the subsets, on the CPU.
    """
    count = len(samples)
    lengths = torch.linspace(max(2, _SMALLEST * count), count, sizes).round().long()
    distances = []
    for length in lengths.tolist():
        chosen = torch.randperm(count, generator=random)[:length]
        distances.append(distance_to(samples[chosen.to(samples.device)], law))
    inverse, found = 1 / lengths.to(distances[0]), torch.stack(distances)
    moved = inverse - inverse.mean()
    slope = (moved * found).sum() / moved.square().sum()
    return found.mean() - slope * inverse.mean()


def _centred(
    samples: Float[Tensor, "count dim"],
) -> tuple[Float64[Tensor, "dim"], Float64[Tensor, "count dim"]]:
    """Mean, and deviations from it over √(n − 1), whose Gram matrix is the covariance.

    A lone sample has the covariance zero.
    """
    exact = samples.double()
    mean = exact.mean(0)
    return mean, (exact - mean) / max(1, len(exact) - 1) ** 0.5

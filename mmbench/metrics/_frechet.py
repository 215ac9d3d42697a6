"""The Fréchet distance between normal distributions fitted to samples, in float64.

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

_SMALLEST_SHARE = 0.1  # of the samples, in the smallest subset; Chong and Forsyth


class Gaussian(NamedTuple):
    """A normal distribution, in the terms that the distance needs.

    Args:
        mean: mean of each feature, shape (dim,).
        root: symmetric square root of the covariance, whose divisor is n − 1.
        trace: trace of the covariance.
    """

    mean: Float64[Tensor, " dim"]
    root: Float64[Tensor, "dim dim"]
    trace: Float64[Tensor, ""]


def fit_gaussian(samples: Float[Tensor, "count dim"]) -> Gaussian:
    """Return the normal distribution with the mean and covariance of the samples."""
    mean, scatter = _mean_and_scatter(samples)
    values, vectors = torch.linalg.eigh(scatter.T @ scatter)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return Gaussian(mean, root, scatter.square().sum())


def frechet_distance(
    samples: Float[Tensor, "count_1 dim"], reference: Float[Tensor, "count_2 dim"]
) -> Float64[Tensor, ""]:
    """Return the Fréchet distance between the normal distributions of two samples.

    |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁ Σ₂)^½
    """
    return distance_to_gaussian(samples, fit_gaussian(reference))


def distance_to_gaussian(
    samples: Float[Tensor, "count dim"], gaussian: Gaussian
) -> Float64[Tensor, ""]:
    """Return the Fréchet distance from the samples' normal distribution to another."""
    mean, scatter = _mean_and_scatter(samples)
    few = len(samples) < len(mean)
    root_trace = root_trace_by_svd if few else root_trace_by_eigenvalues
    shift = (mean - gaussian.mean).square().sum()
    overlap = root_trace(scatter, gaussian.root)
    spread = scatter.square().sum() + gaussian.trace - 2 * overlap
    return (shift + spread).clamp(min=0)  # rounding can make it slightly negative


def root_trace_by_eigenvalues(
    scatter: Float64[Tensor, "count dim"], root: Float64[Tensor, "dim dim"]
) -> Float64[Tensor, ""]:
    """Return tr (Σ₁ Σ₂)^½ from the eigenvalues of a symmetric matrix.

    Args:
        scatter: centred samples over √(n − 1), whose Gram matrix is Σ₁.
        root: symmetric square root of Σ₂.
    """
    spread = scatter @ root
    return torch.linalg.eigvalsh(spread.T @ spread).clamp(min=0).sqrt().sum()


def root_trace_by_svd(
    scatter: Float64[Tensor, "count dim"], root: Float64[Tensor, "dim dim"]
) -> Float64[Tensor, ""]:
    """Return tr (Σ₁ Σ₂)^½ from singular values, which squares no condition number.

    Args:
        scatter: centred samples over √(n − 1), whose Gram matrix is Σ₁.
        root: symmetric square root of Σ₂.
    """
    return torch.linalg.svdvals(scatter @ root).sum()


def frechet_at_infinity(
    samples: Float[Tensor, "count dim"],
    gaussian: Gaussian,
    sizes: int,
    random: torch.Generator,
) -> Float64[Tensor, ""]:
    """Extrapolate the Fréchet distance to infinitely many samples.

    The distance of N samples is biased by about c / N. It is measured on subsets of
    several sizes, evenly spaced from a tenth of the samples to all of them; a straight
    line in 1 / N is fitted by least squares, and its value at 0 is returned.

    Args:
        samples: samples of which subsets are drawn without replacement.
        gaussian: distribution to compare with.
        sizes: number of subsets, at least 2.
        random: generator that draws the subsets, on the CPU.
    """
    count = len(samples)
    smallest = max(2, _SMALLEST_SHARE * count)
    lengths = torch.linspace(smallest, count, sizes).round().long()
    distances = []
    for length in lengths.tolist():
        chosen = torch.randperm(count, generator=random)[:length]
        subset = samples[chosen.to(samples.device)]
        distances.append(distance_to_gaussian(subset, gaussian))
    x, y = 1 / lengths.to(distances[0]), torch.stack(distances)
    centred = x - x.mean()
    slope = (centred * y).sum() / centred.square().sum()
    return y.mean() - slope * x.mean()


def _mean_and_scatter(
    samples: Float[Tensor, "count dim"],
) -> tuple[Float64[Tensor, " dim"], Float64[Tensor, "count dim"]]:
    """Return the mean and the scatter, whose Gram matrix is the covariance.

    The scatter is the deviations from the mean over √(n − 1). A single sample has the
    covariance zero.
    """
    exact = samples.double()
    mean = exact.mean(0)
    return mean, (exact - mean) / max(1, len(exact) - 1) ** 0.5

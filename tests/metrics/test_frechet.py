"""Fréchet distances against closed forms, scipy and torchmetrics."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from mmbench.core.streams import generator
from mmbench.metrics._frechet import (
    by_covariance,
    by_samples,
    distance_to,
    frechet_at_infinity,
    frechet_distance,
    gaussian,
)


def normal(count, dim, seed=0):
    """Standard normal samples, in float64."""
    return torch.randn(
        count, dim, generator=generator(seed, "test"), dtype=torch.double
    )


def whitened(count, dim, seed=0):
    """Samples of mean 0 and covariance identity, but for rounding."""
    samples = normal(count, dim, seed)
    samples = samples - samples.mean(0)
    factor = torch.linalg.cholesky(samples.T @ samples / (count - 1))
    return torch.linalg.solve_triangular(factor, samples.T, upper=False).T


def test_of_equal_samples_is_zero():
    """Nothing lies between a sample and itself, nor its permutation."""
    samples = normal(300, 20)
    assert frechet_distance(samples, samples) < 1e-12
    assert frechet_distance(samples, samples.flip(0)) < 1e-12


def test_of_equal_laws_is_small():
    """Two draws from one law are near, and the nearer the more there are."""
    near, nearer = (
        frechet_distance(normal(count, 8, 1), normal(count, 8, 2)).item()
        for count in (200, 20_000)
    )
    assert 0 < nearer < near / 20
    assert nearer < 5e-3  # (2 · 8 + 8 · 9 / 2) / 20 000 is expected


@pytest.mark.parametrize("count", [10, 200])
def test_of_a_shift_is_its_squared_norm(count):
    """Moved samples keep their covariance, whichever route is taken."""
    samples, shift = normal(count, 20), torch.linspace(-1, 2, 20).double()
    found = frechet_distance(samples, samples + shift).item()
    assert found == pytest.approx(shift.square().sum().item(), rel=1e-10)


def test_of_commuting_covariances():
    """Diagonal covariances a and b are the sum of (√a − √b)² apart."""
    a, b = torch.logspace(-4, 1, 12).double(), torch.logspace(1, -6, 12).double()
    samples = whitened(500, 12)
    found = frechet_distance(samples * a.sqrt(), samples.flip(0) * b.sqrt()).item()
    expected = (a.sqrt() - b.sqrt()).square().sum().item()
    assert found == pytest.approx(expected, rel=1e-9)


def test_is_that_of_the_textbook():
    """Covariances that do not commute agree with scipy's matrix square root."""
    ours = normal(300, 6) @ normal(6, 6, 3) + 1
    theirs = normal(250, 6, 1) @ normal(6, 6, 4)
    a, b = np.cov(ours.T), np.cov(theirs.T)
    shift = (ours.mean(0) - theirs.mean(0)).square().sum().item()
    root = scipy.linalg.sqrtm(a @ b).real
    expected = shift + np.trace(a + b - 2 * root)
    found = frechet_distance(ours, theirs).item()
    assert found == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(theirs, ours).item() == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("count", [5, 19, 20, 21, 60])
def test_both_routes_agree(count):
    """Few samples or many, singular values and eigenvalues give one trace."""
    law = gaussian(normal(200, 20, 1) * torch.linspace(0.1, 3, 20).double())
    samples = normal(count, 20)
    scatter = (samples - samples.mean(0)) / (count - 1) ** 0.5
    one, other = (
        route(scatter, law.root).item() for route in (by_samples, by_covariance)
    )
    assert one == pytest.approx(other, rel=1e-6)
    trace = scatter.square().sum().item() + law.trace.item()
    shift = (samples.mean(0) - law.mean).square().sum().item()
    assert distance_to(samples, law).item() == pytest.approx(
        shift + trace - 2 * one, rel=1e-6
    )


def test_of_fewer_samples_than_features_to_themselves_is_zero():
    """Singular covariances do no harm."""
    samples = normal(10, 50)
    assert frechet_distance(samples, samples) < 1e-6
    assert gaussian(normal(1, 3)).trace == 0


@pytest.mark.parametrize("counts", [(400, 500), (20, 500)])
def test_is_that_of_torchmetrics(counts):
    """The same features give the same number elsewhere, to a millionth."""

    class Same(torch.nn.Module):
        num_features = 32

        def forward(self, samples):
            return samples

    fid = FrechetInceptionDistance(feature=Same())
    ours = normal(counts[0], 32) @ normal(32, 32, 5)
    theirs = normal(counts[1], 32, 1) + 0.5
    fid.update(ours, real=False)
    fid.update(theirs, real=True)
    assert frechet_distance(ours, theirs).item() == pytest.approx(
        fid.compute().item(), rel=1e-6
    )


def test_infinity_undoes_a_bias_of_one_over_n(monkeypatch):
    """A distance of exactly 3 + 40 / N gives 3."""

    def biased(samples, law):
        return torch.tensor(3 + 40 / len(samples), dtype=torch.double)

    monkeypatch.setattr("mmbench.metrics._frechet.distance_to", biased)
    samples = normal(1000, 4)
    found = frechet_at_infinity(samples, gaussian(samples), 15, generator(0, "test"))
    assert found.item() == pytest.approx(3, abs=1e-12)


def test_infinity_is_nearer_the_truth():
    """Where the true distance is 0.25, the plain one is too large, this is not."""
    reference = gaussian(normal(50_000, 30, 9))
    samples = normal(1500, 30) + 0.5 / 30**0.5
    plain = distance_to(samples, reference).item()
    found = frechet_at_infinity(samples, reference, 15, generator(0, "test")).item()
    assert abs(found - 0.25) < abs(plain - 0.25) / 2

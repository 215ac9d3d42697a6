"""Tests of the Fréchet distance against closed forms, scipy and torchmetrics."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from mmbench.core.streams import generator
from mmbench.metrics._frechet import (
    distance_to_gaussian,
    fit_gaussian,
    frechet_at_infinity,
    frechet_distance,
    root_trace_by_eigenvalues,
    root_trace_by_svd,
)


def normal(count, dim, seed=0):
    """Return standard normal samples in float64."""
    return torch.randn(
        count, dim, generator=generator(seed, "test"), dtype=torch.double
    )


def whitened(count, dim, seed=0):
    """Return samples with mean 0 and the identity as covariance, up to rounding."""
    samples = normal(count, dim, seed)
    samples = samples - samples.mean(0)
    factor = torch.linalg.cholesky(samples.T @ samples / (count - 1))
    return torch.linalg.solve_triangular(factor, samples.T, upper=False).T


def test_distance_of_equal_samples_is_zero():
    """The distance from a sample to itself, or its permutation, is zero."""
    samples = normal(300, 20)
    assert frechet_distance(samples, samples) < 1e-12
    assert frechet_distance(samples, samples.flip(0)) < 1e-12


def test_distance_of_equal_distributions_is_small():
    """The distance of two samples of one distribution falls with their size."""
    near, nearer = (
        frechet_distance(normal(count, 8, 1), normal(count, 8, 2)).item()
        for count in (200, 20_000)
    )
    assert 0 < nearer < near / 20
    assert nearer < 5e-3  # (2 · 8 + 8 · 9 / 2) / 20 000 is expected


@pytest.mark.parametrize("count", [10, 200])
def test_distance_of_a_shift_is_its_squared_norm(count):
    """A shift keeps the covariance, for few samples and for many."""
    samples, shift = normal(count, 20), torch.linspace(-1, 2, 20).double()
    found = frechet_distance(samples, samples + shift).item()
    assert found == pytest.approx(shift.square().sum().item(), rel=1e-10)


def test_distance_of_commuting_covariances():
    """The distance of diagonal covariances a and b is the sum of (√a − √b)²."""
    a, b = torch.logspace(-4, 1, 12).double(), torch.logspace(1, -6, 12).double()
    samples = whitened(500, 12)
    found = frechet_distance(samples * a.sqrt(), samples.flip(0) * b.sqrt()).item()
    expected = (a.sqrt() - b.sqrt()).square().sum().item()
    assert found == pytest.approx(expected, rel=1e-9)


def test_distance_is_that_of_the_textbook():
    """Covariances that do not commute agree with scipy's matrix square root."""
    generated = normal(300, 6) @ normal(6, 6, 3) + 1
    real = normal(250, 6, 1) @ normal(6, 6, 4)
    a, b = np.cov(generated.T), np.cov(real.T)
    shift = (generated.mean(0) - real.mean(0)).square().sum().item()
    root = scipy.linalg.sqrtm(a @ b).real
    expected = shift + np.trace(a + b - 2 * root)
    found = frechet_distance(generated, real).item()
    assert found == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(real, generated).item() == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("count", [5, 19, 20, 21, 60])
def test_both_traces_agree(count):
    """Singular values and eigenvalues give the same trace at any number of samples."""
    gaussian = fit_gaussian(normal(200, 20, 1) * torch.linspace(0.1, 3, 20).double())
    samples = normal(count, 20)
    scatter = (samples - samples.mean(0)) / (count - 1) ** 0.5
    by_svd, by_eigenvalues = (
        root_trace(scatter, gaussian.root).item()
        for root_trace in (root_trace_by_svd, root_trace_by_eigenvalues)
    )
    assert by_svd == pytest.approx(by_eigenvalues, rel=1e-6)
    trace = scatter.square().sum().item() + gaussian.trace.item()
    shift = (samples.mean(0) - gaussian.mean).square().sum().item()
    assert distance_to_gaussian(samples, gaussian).item() == pytest.approx(
        shift + trace - 2 * by_svd, rel=1e-6
    )


def test_distance_of_equal_samples_with_singular_covariance_is_zero():
    """Fewer samples than features are compared too."""
    samples = normal(10, 50)
    assert frechet_distance(samples, samples) < 1e-6
    assert fit_gaussian(normal(1, 3)).trace == 0


@pytest.mark.parametrize("counts", [(400, 500), (20, 500)])
def test_distance_is_that_of_torchmetrics(counts):
    """The same features give the value of torchmetrics, to a millionth."""

    class Identity(torch.nn.Module):
        num_features = 32

        def forward(self, samples):
            return samples

    fid = FrechetInceptionDistance(feature=Identity())
    generated = normal(counts[0], 32) @ normal(32, 32, 5)
    real = normal(counts[1], 32, 1) + 0.5
    fid.update(generated, real=False)
    fid.update(real, real=True)
    assert frechet_distance(generated, real).item() == pytest.approx(
        fid.compute().item(), rel=1e-6
    )


def test_infinity_undoes_a_bias_of_one_over_n(monkeypatch):
    """A distance of exactly 3 + 40 / N gives 3."""

    def biased(samples, gaussian):
        return torch.tensor(3 + 40 / len(samples), dtype=torch.double)

    monkeypatch.setattr("mmbench.metrics._frechet.distance_to_gaussian", biased)
    samples = normal(1000, 4)
    found = frechet_at_infinity(
        samples, fit_gaussian(samples), 15, generator(0, "test")
    )
    assert found.item() == pytest.approx(3, abs=1e-12)


def test_infinity_is_nearer_the_truth():
    """If the true distance is 0.25, the extrapolated one is the nearer one."""
    reference = fit_gaussian(normal(50_000, 30, 9))
    samples = normal(1500, 30) + 0.5 / 30**0.5
    plain = distance_to_gaussian(samples, reference).item()
    found = frechet_at_infinity(samples, reference, 15, generator(0, "test")).item()
    assert abs(found - 0.25) < abs(plain - 0.25) / 2

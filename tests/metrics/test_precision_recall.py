"""Tests of precision, recall, density and coverage."""

import numpy as np
import pytest
import torch

from mmbench.core.errors import DescriptionError
from mmbench.core.streams import generator
from mmbench.metrics import precision_recall
from mmbench.metrics._features import NetworkOutputs
from mmbench.metrics.precision_recall import measure_overlap, squared_radii


def normal(count, dim, seed=0):
    """Return standard normal samples in float64."""
    return torch.randn(
        count, dim, generator=generator(seed, "test"), dtype=torch.double
    )


def outputs(features):
    """Return features as an extractor does, with logits that are not used."""
    return NetworkOutputs(features.float(), torch.zeros(len(features), 10))


def test_radii_by_hand():
    """The radii of points on a line are the squared distances to the neighbours."""
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert squared_radii(points, 1).tolist() == pytest.approx([1, 1, 4, 16])
    assert squared_radii(points, 2).tolist() == pytest.approx([9, 4, 9, 36])
    with pytest.raises(DescriptionError, match="more images than k = 4; got 4"):
        squared_radii(points, 4)


def test_neighbours_by_brute_force(monkeypatch):
    """All four values follow their definitions, computed in one block or in many."""
    generated, real = normal(70, 5) * 0.8 + 0.3, normal(90, 5, 1)
    overlap = measure_overlap(outputs(generated), outputs(real), 3, 5)
    monkeypatch.setattr(precision_recall, "_BLOCK_ENTRIES", 640)
    assert measure_overlap(outputs(generated), outputs(real), 3, 5) == pytest.approx(
        overlap
    )
    a, b = generated.float().double().numpy(), real.float().double().numpy()

    def distances(points, others):
        return np.linalg.norm(points[:, None] - others[None], axis=2)

    def radii(points, k):
        return np.sort(distances(points, points), axis=1)[:, k]  # column 0 is the point

    between = distances(a, b)
    inside = between <= radii(b, 5)
    assert overlap == pytest.approx(
        (
            (between <= radii(b, 3)).any(1).mean(),
            (between <= radii(a, 3)[:, None]).any(0).mean(),
            inside.sum() / (5 * 70),
            inside.any(0).mean(),
        )
    )


@pytest.mark.parametrize("k", [1, 3, 5])
def test_coverage_of_equal_distributions(k):
    """The coverage is 1 − 2⁻ᵏ: the k nearest points are all real with 2⁻ᵏ."""
    found = measure_overlap(outputs(normal(2000, 8)), outputs(normal(2000, 8, 1)), k, k)
    assert found.coverage == pytest.approx(1 - 2.0**-k, abs=0.03)
    assert found.density == pytest.approx(1, abs=0.05)
    assert found.precision == pytest.approx(found.recall, abs=0.06)


def test_collapsed_samples_are_precise_and_recall_nothing():
    """Samples shrunk towards the centre have precision 1 and recall 0."""
    real = outputs(normal(500, 16))
    for factor in (0.1, 0.0):
        found = measure_overlap(outputs(normal(500, 16, 1) * factor), real, 3, 5)
        assert found.precision == 1
        assert found.recall == 0
        assert found.density > 1


def test_samples_far_from_the_data_score_zero():
    """Samples that do not overlap with the data score zero in all four."""
    far = measure_overlap(outputs(normal(60, 4) + 100), outputs(normal(50, 4)), 3, 5)
    assert far == (0, 0, 0, 0)


@pytest.mark.parametrize(("count", "dim"), [(200, 4), (200, 64), (300, 256)])
def test_balls_are_closed(count, dim):
    """A copy of the real images lies on the spheres of its neighbours, which count.

    Each ball holds its centre and k images, so the density is (k + 1) / k.
    """
    real = normal(count, dim) + 5
    order = torch.randperm(count, generator=generator(2, "test"))
    for copy in (real, real[order]):
        found = measure_overlap(outputs(copy), outputs(real), 3, 5)
        assert found == (1, 1, 6 / 5, 1)


def test_rounding_does_not_widen_the_balls():
    """A point a millionth outside all balls is in none."""
    line = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    for shift, expected in ((1e-6, 0.0), (0.0, 1.0)):
        generated = torch.full((2, 1), 4.0 + shift)
        found = measure_overlap(outputs(generated), outputs(line), 1, 1)
        assert found.precision == expected

"""Manifolds of nearest neighbours against brute force and closed forms."""

import numpy as np
import pytest
import torch

from mmbench.core.errors import DescriptionError
from mmbench.core.streams import generator
from mmbench.metrics import precision_recall
from mmbench.metrics._features import Extracted
from mmbench.metrics.precision_recall import compared, radii


def normal(count, dim, seed=0):
    """Standard normal samples, in float64."""
    return torch.randn(
        count, dim, generator=generator(seed, "test"), dtype=torch.double
    )


def seen(features):
    """Features as an extractor gives them; nobody asks for logits."""
    return Extracted(features.float(), torch.zeros(len(features), 10))


def test_radii_by_hand():
    """On a line, and with blocks that split the rows."""
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert radii(points, 1).tolist() == pytest.approx([1, 1, 4, 16])
    assert radii(points, 2).tolist() == pytest.approx([9, 4, 9, 36])
    with pytest.raises(DescriptionError, match="more images than k = 4; got 4"):
        radii(points, 4)


def test_neighbours_by_brute_force(monkeypatch):
    """All four numbers against their definitions in numpy, in one block and in many."""
    ours, theirs = normal(70, 5) * 0.8 + 0.3, normal(90, 5, 1)
    one = compared(seen(ours), seen(theirs), 3, 5)
    monkeypatch.setattr(precision_recall, "_ENTRIES", 640)
    assert compared(seen(ours), seen(theirs), 3, 5) == pytest.approx(one)
    a, b = ours.float().double().numpy(), theirs.float().double().numpy()

    def far(some, others):
        return np.linalg.norm(some[:, None] - others[None], axis=2)

    def reach(points, k):
        return np.sort(far(points, points), axis=1)[:, k]  # column 0 is the point

    between = far(a, b)
    inside = between <= reach(b, 5)
    assert one == pytest.approx(
        (
            (between <= reach(b, 3)).any(1).mean(),
            (between <= reach(a, 3)[:, None]).any(0).mean(),
            inside.sum() / (5 * 70),
            inside.any(0).mean(),
        )
    )


@pytest.mark.parametrize("k", [1, 3, 5])
def test_coverage_of_equal_laws(k):
    """1 − 2⁻ᵏ: of 2k nearest points of either kind, not the k first are all real."""
    found = compared(seen(normal(2000, 8)), seen(normal(2000, 8, 1)), k, k)
    assert found.coverage == pytest.approx(1 - 2.0**-k, abs=0.03)
    assert found.density == pytest.approx(1, abs=0.05)
    assert found.precision == pytest.approx(found.recall, abs=0.06)


def test_collapsed_samples_are_precise_and_recall_nothing():
    """Shrunk towards the centre, or all one image: precision 1, recall 0."""
    real = seen(normal(500, 16))
    for factor in (0.1, 0.0):
        found = compared(seen(normal(500, 16, 1) * factor), real, 3, 5)
        assert found.precision == 1
        assert found.recall == 0
        assert found.density > 1


def test_samples_far_away_have_nothing():
    """Neither near the data nor around them."""
    far = compared(seen(normal(60, 4) + 100), seen(normal(50, 4)), 3, 5)
    assert far == (0, 0, 0, 0)

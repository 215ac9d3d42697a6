"""Tests of the kernel distance against sums by hand and torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import KernelInceptionDistance

from mmbench.core.streams import generator
from mmbench.metrics._features import NetworkOutputs
from mmbench.metrics.kernel_distance import KernelDistance, squared_mmd
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT

GAME = TASKS.build("bilinear").build(PLACEMENT)  # the metric must not ask it


def normal(count, dim, seed=0):
    """Return standard normal samples in float64."""
    return torch.randn(
        count, dim, generator=generator(seed, "test"), dtype=torch.double
    )


class Identity(torch.nn.Module):
    """A network, for torchmetrics, that returns its input."""

    num_features = 16

    def forward(self, samples):
        """Return the samples."""
        return samples


def test_kernel_distance_of_three_points_by_hand():
    """Scalars 0, 1 against 2: k(a, b) = (ab + 1)³; no term of a point with itself."""
    samples, reference = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [-1.0]])
    within, among = (0 * 1 + 1) ** 3, (2 * -1 + 1) ** 3
    across = np.mean([1**3, 1**3, (2 + 1) ** 3, (-1 + 1) ** 3])
    found = squared_mmd(samples, reference).item()
    assert found == pytest.approx(within + among - 2 * across, abs=1e-12)


def test_kernel_distance_divides_by_the_dimension():
    """Each of 4 equal features has a weight of a quarter."""
    samples, reference = normal(6, 1), normal(5, 1, 1)
    wide = squared_mmd(samples.expand(6, 4), reference.expand(5, 4))
    torch.testing.assert_close(wide, squared_mmd(samples, reference))


def test_kernel_distance_is_unbiased():
    """The mean over pairs of samples of one distribution is 0, within its error."""
    found = torch.stack(
        [
            squared_mmd(normal(10, 4, 2 * i), normal(10, 4, 2 * i + 1))
            for i in range(400)
        ]
    )
    assert abs(found.mean()) < 3 * found.std() / 20


@pytest.mark.filterwarnings("ignore:.*will save all extracted features")
def test_kernel_distance_is_that_of_torchmetrics():
    """One subset of all samples gives the value of torchmetrics."""
    kid = KernelInceptionDistance(feature=Identity(), subsets=1, subset_size=60)
    generated, real = normal(60, 16), normal(60, 16, 1) * 1.5 + 0.1
    kid.update(generated, real=False)
    kid.update(real, real=True)
    found = squared_mmd(generated, real).item()
    assert found == pytest.approx(kid.compute()[0].item(), rel=1e-6)


def test_subsets_are_drawn_from_all_images(monkeypatch):
    """Images beyond the first subset count, of the generated ones and of the real."""
    subset = 20
    metric = KernelDistance(
        features="digitscnn", count=60, subsets=200, subset_size=subset
    )
    plain, odd = normal(60, 16), normal(60, 16, 1)
    odd[subset:] += 3  # only images after the first subset differ

    def score(generated, real):
        """Return the value for features of generated and of real images."""
        outputs = [
            NetworkOutputs(features.float(), torch.zeros(60, 10))
            for features in (generated, real)
        ]
        monkeypatch.setattr(KernelDistance, "reference", lambda *_: outputs[1])
        (value,) = metric.score(outputs[0], GAME)
        return value

    for generated, real in ((odd, plain), (plain, odd)):
        expected = squared_mmd(generated, real).item()
        assert score(generated, real) == pytest.approx(expected, rel=0.1)
        first = squared_mmd(generated[:subset], real[:subset]).item()
        assert abs(first) < expected / 100

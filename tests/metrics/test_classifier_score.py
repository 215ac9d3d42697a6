"""The classifier's score against closed forms and torchmetrics."""

import pytest
import torch
from torchmetrics.image.inception import InceptionScore

from mmbench.core.streams import generator
from mmbench.metrics.classifier_score import sureness


def normal(count, dim, seed=0):
    """Standard normal samples, in float64."""
    return torch.randn(
        count, dim, generator=generator(seed, "test"), dtype=torch.double
    )


class Same(torch.nn.Module):
    """What torchmetrics takes for a network: it gives back what it gets."""

    num_features = 16

    def forward(self, samples):
        """The samples."""
        return samples


@pytest.mark.parametrize("classes", [1, 3, 10])
def test_score_of_sure_and_even_classes_is_their_number(classes):
    """One-hot answers, even over K of ten classes, score K."""
    logits = 1e4 * torch.eye(10)[torch.arange(30 * classes) % classes]
    assert sureness(logits).item() == pytest.approx(classes, rel=1e-12)


def test_score_of_one_answer_is_one():
    """However sure or unsure, the same answer for every image scores 1."""
    assert sureness(torch.zeros(20, 10)).item() == pytest.approx(1, abs=1e-12)
    assert sureness(normal(1, 10).expand(20, 10)).item() == pytest.approx(1, abs=1e-12)


@pytest.mark.filterwarnings("ignore:.*will save all extracted features")
def test_score_is_that_of_torchmetrics():
    """The same permutation in the same ten parts: the same mean elsewhere."""
    logits, metric = 2 * normal(200, 10), InceptionScore(feature=Same(), splits=10)
    metric.update(logits)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = metric.compute()[0].item()
        torch.manual_seed(5)
        order = torch.randperm(200)
    parts = logits[order].tensor_split(10)
    found = torch.stack([sureness(part) for part in parts]).mean().item()
    assert found == pytest.approx(expected, rel=1e-6)

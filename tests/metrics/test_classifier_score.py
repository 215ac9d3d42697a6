"""Tests of the classifier score against closed forms and torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.image.inception import InceptionScore

from mmbench.core.streams import generator
from mmbench.metrics._features import NetworkOutputs
from mmbench.metrics.classifier_score import ClassifierScore, split_score
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


@pytest.mark.parametrize("classes", [1, 3, 10])
def test_score_of_confident_uniform_classes_is_their_number(classes):
    """One-hot probabilities, uniform over K of ten classes, score K."""
    logits = 1e4 * torch.eye(10)[torch.arange(30 * classes) % classes]
    assert split_score(logits).item() == pytest.approx(classes, rel=1e-12)


def test_score_of_equal_probabilities_is_one():
    """Equal probabilities for all images score 1 at any confidence."""
    assert split_score(torch.zeros(20, 10)).item() == pytest.approx(1, abs=1e-12)
    assert split_score(normal(1, 10).expand(20, 10)).item() == pytest.approx(
        1, abs=1e-12
    )


@pytest.mark.filterwarnings("ignore:.*will save all extracted features")
def test_score_is_that_of_torchmetrics():
    """The same permutation and splits give the mean of torchmetrics."""
    logits, metric = 2 * normal(200, 10), InceptionScore(feature=Identity(), splits=10)
    metric.update(logits)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = metric.compute()[0].item()
        torch.manual_seed(5)
        order = torch.randperm(200)
    splits = logits[order].tensor_split(10)
    found = torch.stack([split_score(split) for split in splits]).mean().item()
    assert found == pytest.approx(expected, rel=1e-6)


def test_splits_are_cut_as_in_the_reference():
    """Of 1003 images, ten splits begin at i · 1003 // 10, so that the last is longer.

    The score is that of the definition, with the cuts of Salimans et al.
    """
    logits = 3 * normal(1003, 10)
    outputs = NetworkOutputs(torch.zeros(1003, 4), logits.float())
    probabilities = logits.float().double().softmax(1).numpy()
    scores = []
    for i in range(10):
        part = probabilities[i * 1003 // 10 : (i + 1) * 1003 // 10]
        divergence = part * (np.log(part) - np.log(part.mean(0)))
        scores.append(np.exp(divergence.sum(1).mean()))
    metric = ClassifierScore(features="digitscnn", count=1003)
    (found,) = metric.score(outputs, GAME)
    assert found == pytest.approx(np.mean(scores), rel=1e-12)

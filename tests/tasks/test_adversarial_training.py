"""Adversarial training: its losses, its bounds and its data."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from mmbench.core.errors import DescriptionError
from mmbench.core.streams import generator
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT

WORDS = "adversarial_training[hidden=5,images=30,radius=0.3]"


@pytest.fixture
def played() -> tuple:
    """Return the game and the start of one run."""
    task = TASKS.build(WORDS)
    game = task.build(PLACEMENT)
    return game, task.start(game, generator(0, "start"))[None]


def test_the_loss_is_that_of_scikit_learns_perceptron(played: tuple) -> None:
    """A network with the same weights has the same cross-entropy on images + y."""
    game, z = played
    z = z + 0.1 * torch.randn(z.shape, generator=generator(1, "start"))
    x, y = z[:, : game.dim_x], z[:, game.dim_x :]
    f, minus_f = game.losses(x, y, None)
    tensors = [tensor[0].numpy() for tensor in game.network.layout.split(x).values()]
    peer = MLPClassifier((5,), max_iter=1).partial_fit(
        np.zeros((10, 64)), np.arange(10), classes=np.arange(10)
    )
    peer.coefs_ = tensors[::2]
    peer.intercepts_ = [bias[0] for bias in tensors[1::2]]
    bunch = load_digits()
    images = bunch.data[:30] / 16 + y.numpy().reshape(30, 64)
    expected = log_loss(
        bunch.target[:30], peer.predict_proba(images), labels=np.arange(10)
    )
    assert f.item() == pytest.approx(expected, rel=1e-9)
    assert minus_f.item() == -f.item()


def test_perturbations_stay_within_the_radius_and_the_pixels(played: tuple) -> None:
    """A far point is cut pixel by pixel, and the classifier's weights are kept."""
    game, z = played
    assert torch.equal(game.project(z), z)
    pixels = load_digits().data[:30].ravel() / 16
    for side in (-1.0, 1.0):
        far = game.project(torch.full_like(z, 7 * side))
        expected = np.clip(pixels + 0.3 * side, 0, 1) - pixels
        np.testing.assert_allclose(far[0, game.dim_x :].numpy(), expected, atol=1e-15)
        assert (far[:, : game.dim_x] == 7 * side).all()


def test_starts_fill_the_bounds(played: tuple) -> None:
    """First perturbations are spread over their intervals, and differ among runs."""
    game, z = played
    low, high = game.box(game.training.images.flatten())
    share = (z[0, game.dim_x :] - low) / (high - low)
    counts = share.histc(4, 0, 1)
    assert counts.sum() == 30 * 64
    assert (counts - 480).abs().max() < 80  # four standard deviations
    other = TASKS.build(WORDS).start(game, generator(1, "start"))
    assert not torch.equal(other, z[0])


def test_held_out_digits_are_those_of_other_writers(played: tuple) -> None:
    """They are the last 382, whatever the number of training images."""
    images, labels = played[0].held_out()
    bunch = load_digits()
    assert np.array_equal(images.numpy(), bunch.data[1415:] / 16)
    assert np.array_equal(labels.numpy(), bunch.target[1415:])


def test_more_images_than_there_are_are_refused() -> None:
    """The message names the limit."""
    with pytest.raises(DescriptionError, match="images must be .* 1415; got 1416"):
        TASKS.build("adversarial_training[images=1416]")

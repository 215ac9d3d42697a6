"""The score of generators that copy real images, or miss something of them."""

import numpy as np
import pytest
import torch
from measuring import measure
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from mmbench.core.game import Game
from mmbench.metrics import METRICS
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT

PIXELS, LABELS = load_digits(return_X_y=True)
BYTES = np.floor(PIXELS * 255 / 16 + 0.5)  # no pixel lies halfway
COUNT = 300


class Album(Game):
    """A game whose generator returns given images of given classes, for each run."""

    dim_x, dim_y = 1, 0
    image_shape = (1, 8, 8)
    dtype = torch.float64

    def __init__(self, images: list[np.ndarray], classes: np.ndarray) -> None:
        self._images = torch.from_numpy(np.stack(images))
        self._classes = torch.from_numpy(classes)
        self._other = TASKS.build("conditional_digits").build(PLACEMENT)

    def losses(self, x, y, sample, *, train=True):
        """Fail, because no test computes losses."""
        raise NotImplementedError

    def generate(self, z, count, seeds):
        """Return the images."""
        return self._images[:, :count]

    def generated_classes(self, count):
        """Return their classes."""
        return self._classes[:count]

    def real(self, split):
        """Return the real digits."""
        return self._other.real(split)


def score(images: list[np.ndarray], classes: np.ndarray) -> list[float]:
    """Return the score of each run's images."""
    z = torch.zeros(len(images), 1, dtype=torch.float64)
    words = f"classification_accuracy_score[count={COUNT}]"
    return measure(words, Album(images, classes), z)[f"cas_{COUNT}"]


def test_copies_score_as_the_images_they_copy() -> None:
    """The score is what scikit-learn finds, trained on the first images as bytes."""
    expected = SVC().fit(BYTES[:COUNT], LABELS[:COUNT])
    found = score([PIXELS / 8 - 1], LABELS)
    accuracy = expected.score(BYTES[1415:], LABELS[1415:])
    assert found == pytest.approx([accuracy], abs=1e-12)
    assert accuracy > 0.85


def test_wrong_classes_and_copies_of_one_image_score_less() -> None:
    """Each run is scored by its own images; one with NaN has no score."""
    first = np.array([np.flatnonzero(c == LABELS)[0] for c in range(10)])
    images = PIXELS / 8 - 1
    broken = images.copy()
    broken[7, 3] = np.nan
    varied, collapsed, none = score([images, images[first[LABELS]], broken], LABELS)
    (swapped,) = score([images], (LABELS + 1) % 10)
    assert swapped < 0.05
    assert 0.5 < collapsed < varied - 0.1
    assert np.isnan(none)


def test_the_real_score_is_that_of_real_training_images() -> None:
    """With a count beyond them, it is that of all 1415, in any order."""
    metric = METRICS.build("classification_accuracy_score[count=2000]")
    game = TASKS.build("conditional_digits").build(PLACEMENT)
    expected = SVC().fit(BYTES[:1415], LABELS[:1415])
    accuracy = expected.score(BYTES[1415:], LABELS[1415:])
    assert metric.real_score(game) == {"cas_2000": pytest.approx(accuracy, abs=3e-3)}

"""Tests of feature extractors and of the cache of their outputs."""

import gc
import typing

import pytest
import torch

from mmbench.core.capability import Capability
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.metrics import _features, _inception
from mmbench.metrics._classifier import load
from mmbench.metrics._features import (
    EXTRACTORS,
    Extractor,
    FeatureName,
    outputs_for_generated,
    outputs_for_real,
)
from mmbench.metrics.base import Point
from mmbench.tasks.digits01 import Digits01

CPU = torch.device("cpu")
SHAPES = {
    Capability.GREY_8: (1, 8, 8),
    Capability.GREY_28: (1, 28, 28),
    Capability.COLOUR_32: (3, 32, 32),
}
DIGITS = {"digitscnn": "digits", "mnistcnn": "mnist"}


def noise(count, shape, seed=0):
    """Return random 8-bit images."""
    random = generator(seed, "test")
    return torch.randint(256, (count, *shape), generator=random).to(torch.uint8)


class Album(Game):
    """A game with given real images."""

    dim_x, dim_y, dataset = 1, 0, "album"

    def __init__(self, images):
        self.images, self.calls = images, 0

    def losses(self, x, y, sample, *, train=True):
        """Fail, because no test computes losses."""
        raise NotImplementedError

    def real(self, split):
        """Return the same images for both splits."""
        self.calls += 1
        return self.images, torch.zeros(len(self.images), dtype=torch.long)


class Splits(Album):
    """A game with other images in the test split."""

    def __init__(self, train, test):
        super().__init__(train)
        self.test = Album(test)

    def real(self, split):
        return super().real(split) if split == "train" else self.test.real(split)


@pytest.fixture
def image_counts(monkeypatch):
    """Replace an extractor by one that records the number of images of each call."""
    counts = []

    def network(images):
        counts.append(len(images))
        return images.flatten(1).float(), images.flatten(1)[:, :10].float()

    stub = Extractor("digitscnn", "0", "none", 64, 10, None, lambda device: network)
    monkeypatch.setitem(EXTRACTORS, "digitscnn", stub)
    monkeypatch.setattr(_features, "_by_content", {})
    return counts


def test_every_name_has_an_extractor():
    """Each name in descriptions has an extractor with a complete SHA-256."""
    assert set(typing.get_args(FeatureName)) == set(EXTRACTORS)
    for name, extractor in EXTRACTORS.items():
        assert extractor.name == name
        assert len(extractor.sha256) == 64
        int(extractor.sha256, 16)


@pytest.mark.parametrize("name", ["digitscnn", "mnistcnn", "cifar10cnn"])
def test_shipped_extractors_have_the_stated_widths(name):
    """Features and logits have the stated widths, without gradients."""
    extractor = EXTRACTORS[name]
    outputs = extractor(noise(7, SHAPES[extractor.needs]), CPU)
    assert outputs.features.shape == (7, extractor.dim)
    assert outputs.logits.shape == (7, extractor.classes)
    assert not outputs.features.requires_grad


@pytest.mark.parametrize("name", DIGITS)
def test_digit_features_are_those_of_the_classifier(name):
    """Pixels are scaled to -1 ... 1; the logits give the probabilities."""
    extractor, classifier = EXTRACTORS[name], load(DIGITS[name])
    images = noise(5, SHAPES[extractor.needs])
    outputs = extractor(images, CPU)
    scaled = images[:, 0] / 127.5 - 1
    torch.testing.assert_close(outputs.features, classifier.features(scaled))
    torch.testing.assert_close(
        outputs.logits.softmax(1), classifier.probabilities(scaled)
    )


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_inception_takes_any_image(shape, monkeypatch):
    """Inception takes grey and colour images of any size."""
    weights = {
        name: torch.full(size, 0.5) if name.endswith("var") else torch.zeros(size)
        for name, size in _inception.shapes().items()
    }
    weights["fc.bias"] += 1  # the logits must leave it out
    network = _inception.Inception(weights, "0")
    monkeypatch.setattr(_inception, "load", lambda device: network)
    extractor = EXTRACTORS["inception"]
    outputs = extractor(noise(2, shape), CPU)
    assert extractor.needs is None
    assert outputs.features.shape == (2, extractor.dim) == (2, 2048)
    assert outputs.logits.shape == (2, extractor.classes) == (2, 1008)
    assert not outputs.logits.any()


def test_batches_do_not_change_outputs(monkeypatch):
    """Images in several batches keep their order."""
    images = noise(23, (1, 8, 8))
    at_once = EXTRACTORS["digitscnn"](images, CPU)
    monkeypatch.setattr(_features, "_BATCH_IMAGES", 5)
    in_parts = EXTRACTORS["digitscnn"](images, CPU)
    torch.testing.assert_close(at_once.features, in_parts.features)
    torch.testing.assert_close(at_once.logits, in_parts.logits)


def test_generated_images_are_computed_once_a_record(image_counts):
    """Metrics at one record share outputs; another record or count has its own."""
    task = Digits01(hidden=8)
    game = task.build(Placement())
    z = task.start(game, generator(0, "start")).expand(2, -1)
    point = Point(game, z, (0, 1))
    first = outputs_for_generated(point, "digitscnn", 30)
    assert outputs_for_generated(point, "digitscnn", 30) is first
    assert image_counts == [30, 30]
    outputs_for_generated(point, "digitscnn", 20)
    outputs_for_generated(Point(game, z, (0, 1)), "digitscnn", 30)
    assert image_counts == [30, 30, 20, 20, 30, 30]
    assert torch.equal(first[1].features, point.images(30)[1].flatten(1).float())
    del point, first
    gc.collect()
    assert len(_features._by_point) == 0


def test_real_images_are_computed_once_a_process(image_counts):
    """Games share outputs if their images are equal, and only then."""
    images = noise(40, (1, 8, 8))
    game, same, other = Album(images), Album(images.clone()), Album(255 - images)
    first = outputs_for_real(game, "digitscnn", "train", 0, CPU)
    assert outputs_for_real(game, "digitscnn", "train", 0, CPU) is first
    assert outputs_for_real(game, "digitscnn", "train", 99, CPU) is first
    assert outputs_for_real(same, "digitscnn", "train", 0, CPU) is first
    assert image_counts == [40]
    outputs_for_real(other, "digitscnn", "train", 0, CPU)
    assert image_counts == [40, 40]
    assert game.calls == 2


def test_splits_are_told_apart(image_counts):
    """As many images of both splits of one game have outputs of their own."""
    game = Splits(noise(40, (1, 8, 8)), noise(40, (1, 8, 8), seed=1))
    train, test = (
        outputs_for_real(game, "digitscnn", split, 20, CPU)
        for split in ("train", "test")
    )
    assert not torch.equal(train.features, test.features)
    again = outputs_for_real(game, "digitscnn", "train", 20, CPU)
    assert torch.equal(again.features, train.features)


def test_real_images_are_drawn_in_a_fixed_order(image_counts):
    """The draw is fixed and without replacement; a smaller one begins a larger one."""
    images = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(
        40, 1, 8, 8
    )
    game = Album(images)
    every = outputs_for_real(game, "digitscnn", "train", 0, CPU).features[:, 0]
    few = outputs_for_real(game, "digitscnn", "train", 10, CPU).features[:, 0]
    assert sorted(every.tolist()) == list(range(40))
    assert every.tolist() != list(range(40))
    assert torch.equal(few, every[:10])

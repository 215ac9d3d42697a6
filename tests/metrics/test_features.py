"""Feature extractors: what they see, what is kept, and by what it is known."""

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
    FEATURES,
    Extractor,
    of_generated,
    of_real,
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
    """Images of bytes."""
    random = generator(seed, "test")
    return torch.randint(256, (count, *shape), generator=random).to(torch.uint8)


class Album(Game):
    """A game with given real images."""

    dim_x, dim_y, dataset = 1, 0, "album"

    def __init__(self, images):
        self.images, self.asked = images, 0

    def losses(self, x, y, sample, *, train=True):
        """Nobody asks."""
        raise NotImplementedError

    def real(self, split):
        """The same images for both splits."""
        self.asked += 1
        return self.images, torch.zeros(len(self.images), dtype=torch.long)


@pytest.fixture
def counted(monkeypatch):
    """An extractor that counts the images it sees, under the name of another."""
    seen = []

    def network(images):
        seen.append(len(images))
        return images.flatten(1).float(), images.flatten(1)[:, :10].float()

    stub = Extractor("digitscnn", "0", "none", 64, 10, None, lambda device: network)
    monkeypatch.setitem(EXTRACTORS, "digitscnn", stub)
    monkeypatch.setattr(_features, "_of_content", {})
    return seen


def test_every_name_has_an_extractor():
    """What a description may ask for is there, known by a whole SHA-256."""
    assert set(typing.get_args(FEATURES)) == set(EXTRACTORS)
    for name, extractor in EXTRACTORS.items():
        assert extractor.name == name
        assert len(extractor.sha256) == 64
        int(extractor.sha256, 16)


@pytest.mark.parametrize("name", ["digitscnn", "mnistcnn", "cifar10cnn"])
def test_shipped_extractors_see_what_they_say(name):
    """Features and logits have the stated widths, in float32, without gradients."""
    extractor = EXTRACTORS[name]
    seen = extractor(noise(7, SHAPES[extractor.needs]), CPU)
    assert seen.features.shape == (7, extractor.dim)
    assert seen.logits.shape == (7, extractor.classes)
    assert not seen.features.requires_grad


@pytest.mark.parametrize("name", DIGITS)
def test_digit_features_are_the_classifier_s(name):
    """Bytes are moved to -1 ... 1; logits are those behind its confidences."""
    extractor, classifier = EXTRACTORS[name], load(DIGITS[name])
    images = noise(5, SHAPES[extractor.needs])
    seen = extractor(images, CPU)
    scaled = images[:, 0] / 127.5 - 1
    torch.testing.assert_close(seen.features, classifier.features(scaled))
    torch.testing.assert_close(seen.logits.softmax(1), classifier.probabilities(scaled))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_inception_takes_any_image(shape, monkeypatch):
    """Grey or coloured, small or large; its weights are asked for only then."""
    weights = {
        name: torch.full(size, 0.5) if name.endswith("var") else torch.zeros(size)
        for name, size in _inception.shapes().items()
    }
    weights["fc.bias"] += 1  # which the logits must leave out
    network = _inception.Inception(weights, "0")
    monkeypatch.setattr(_inception, "load", lambda device: network)
    extractor = EXTRACTORS["inception"]
    seen = extractor(noise(2, shape), CPU)
    assert extractor.needs is None
    assert seen.features.shape == (2, extractor.dim) == (2, 2048)
    assert seen.logits.shape == (2, extractor.classes) == (2, 1008)
    assert not seen.logits.any()


def test_batches_change_nothing(monkeypatch):
    """More images than go at once are seen in their order."""
    images = noise(23, (1, 8, 8))
    at_once = EXTRACTORS["digitscnn"](images, CPU)
    monkeypatch.setattr(_features, "_BATCH", 5)
    in_parts = EXTRACTORS["digitscnn"](images, CPU)
    torch.testing.assert_close(at_once.features, in_parts.features)
    torch.testing.assert_close(at_once.logits, in_parts.logits)


def test_generated_images_are_seen_once_a_record(counted):
    """Two metrics at one record share; another record and another count do not."""
    task = Digits01(hidden=8)
    game = task.build(Placement())
    z = task.start(game, generator(0, "start")).expand(2, -1)
    point = Point(game, z, (0, 1))
    first = of_generated(point, "digitscnn", 30)
    assert of_generated(point, "digitscnn", 30) is first
    assert counted == [30, 30]
    of_generated(point, "digitscnn", 20)
    of_generated(Point(game, z, (0, 1)), "digitscnn", 30)
    assert counted == [30, 30, 20, 20, 30, 30]
    assert torch.equal(first[1].features, point.images(30)[1].flatten(1).float())
    del point, first
    gc.collect()
    assert len(_features._generated) == 0


def test_real_images_are_seen_once_a_process(counted):
    """Games with the same images share; those with others do not, whatever the name."""
    images = noise(40, (1, 8, 8))
    one, same, other = Album(images), Album(images.clone()), Album(255 - images)
    first = of_real(one, "digitscnn", "train", 0, CPU)
    assert of_real(one, "digitscnn", "train", 0, CPU) is first
    assert of_real(one, "digitscnn", "train", 99, CPU) is first
    assert of_real(same, "digitscnn", "train", 0, CPU) is first
    assert counted == [40]
    of_real(other, "digitscnn", "train", 0, CPU)
    assert counted == [40, 40]
    assert one.asked == 2


def test_real_images_are_shuffled_and_chosen_alike(counted):
    """A fixed draw without replacement; the fewer are the first of the more."""
    images = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(
        40, 1, 8, 8
    )
    game = Album(images)
    every = of_real(game, "digitscnn", "train", 0, CPU).features[:, 0]
    some = of_real(game, "digitscnn", "train", 10, CPU).features[:, 0]
    assert sorted(every.tolist()) == list(range(40))
    assert every.tolist() != list(range(40))
    assert torch.equal(some, every[:10])

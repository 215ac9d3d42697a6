"""Features that frozen networks extract from images.

A network is identified by the SHA-256 of its weights and by how it resizes images;
values from different networks are not comparable. Outputs are cached: those for
generated images as long as their record exists; those for real images as long as the
process runs, by the content of the images, so that cells with equal data share them.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.game import Game
from mmbench.core.streams import generator
from mmbench.metrics import _cifar_classifier, _classifier, _inception, _inception_file
from mmbench.metrics._classifier_file import scale_pixels
from mmbench.metrics._frechet import Gaussian, fit_gaussian
from mmbench.metrics.base import Point

FeatureName = Literal["cifar10cnn", "mnistcnn", "digitscnn", "inception"]

_BATCH_IMAGES = 500  # bounds the memory, changes no result beyond rounding

Network = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class NetworkOutputs:
    """What a network computes from a set of images.

    Args:
        features: input of the last layer, shape (count, dim).
        logits: logits of the classes, shape (count, classes).
    """

    features: Float32[Tensor, "count dim"]
    logits: Float32[Tensor, "count classes"]

    @cached_property
    def gaussian(self) -> Gaussian:
        """The normal distribution fitted to the features."""
        return fit_gaussian(self.features)


@dataclass(frozen=True, eq=False)
class Extractor:
    """A frozen network that extracts features from images, and its properties.

    Args:
        name: name in descriptions and columns.
        sha256: checksum of the published weights.
        resize: description of how images of another size are resized.
        dim: number of features.
        classes: number of logits.
        needs: kind of images that the network takes; None for any.
        load: function that returns the network on a device, loaded once for each; the
            network maps 8-bit images to features and logits.
    """

    name: str
    sha256: str
    resize: str
    dim: int
    classes: int
    needs: Capability | None
    load: Callable[[torch.device], Network]

    def __call__(
        self,
        images: UInt8[Tensor, "count channels height width"],
        device: torch.device,
    ) -> NetworkOutputs:
        """Return the network's outputs, computed in batches and without gradients."""
        network = self.load(device)
        with torch.no_grad():
            batches = [
                network(batch.to(device)) for batch in images.split(_BATCH_IMAGES)
            ]
        features, logits = (torch.cat(values) for values in zip(*batches, strict=True))
        return NetworkOutputs(features.float(), logits.float())


def _digit_extractor(name: str, dataset: str, needs: Capability) -> Extractor:
    """Return the extractor for the shipped classifier of a data set of digits."""
    config = _classifier.config_for(dataset)

    def load(device: torch.device) -> Network:
        net = _classifier.load(dataset, device).net

        def network(images: Tensor) -> tuple[Tensor, Tensor]:
            features = net.features(scale_pixels(images[:, 0]))
            return features, net.output(features)

        return network

    return Extractor(name, config.sha256, "none", config.hidden, 10, needs, load)


EXTRACTORS = {
    extractor.name: extractor
    for extractor in (
        Extractor(
            name="cifar10cnn",
            sha256=_cifar_classifier.CIFAR10_SHA256,
            resize="none",
            dim=256,
            classes=10,
            needs=Capability.COLOUR_32,
            load=lambda device: _cifar_classifier.load(device).features_and_logits,
        ),
        _digit_extractor("mnistcnn", "mnist", Capability.GREY_28),
        _digit_extractor("digitscnn", "digits", Capability.GREY_8),
        Extractor(
            name="inception",
            sha256=_inception_file.ORIGINAL_SHA256,
            resize="bilinear to 299 x 299, as in TensorFlow 1",
            dim=_inception.FEATURES,
            classes=_inception.CLASSES,
            needs=None,
            load=lambda device: _inception.load(device).features_and_logits,
        ),
    )
}

_by_point: WeakKeyDictionary[Point, dict[tuple, list[NetworkOutputs]]] = (
    WeakKeyDictionary()
)
_by_game: WeakKeyDictionary[Game, dict[tuple, NetworkOutputs]] = WeakKeyDictionary()
_by_content: dict[tuple[str, str, str], NetworkOutputs] = {}


def outputs_for_generated(at: Point, name: str, count: int) -> list[NetworkOutputs]:
    """Return a network's outputs for generated images, one entry for each run.

    Runs are computed one at a time, so that the rounding of one does not depend on the
    images of another.

    Args:
        at: iterates of all runs.
        name: name of the network.
        count: number of images of each run.
    """
    cached = _by_point.setdefault(at, {})
    if (name, count) not in cached:
        extract, device = EXTRACTORS[name], at.z.device
        cached[name, count] = [extract(images, device) for images in at.images(count)]
    return cached[name, count]


def outputs_for_real(
    game: Game, name: str, split: str, count: int, device: torch.device
) -> NetworkOutputs:
    """Return a network's outputs for real images of a game.

    Args:
        game: game with the images.
        name: name of the network.
        split: "train" or "test".
        count: number of images, drawn without replacement from a fixed stream; all of
            them if there are fewer, and for 0.
        device: device that computes.
    """
    cached = _by_game.setdefault(game, {})
    key = (name, split, count, str(device))
    if key not in cached:
        images, _ = game.real(split)
        # Shuffled even if all are taken: the parts of a later split must not be sorted.
        order = torch.randperm(len(images), generator=generator(0, "metrics/real"))
        images = images[order[: count or len(images)]]
        digest = hashlib.sha256(str(tuple(images.shape)).encode())
        digest.update(images.flatten().numpy().data)
        content = (name, str(device), digest.hexdigest())
        if content not in _by_content:
            _by_content[content] = EXTRACTORS[name](images, device)
        cached[key] = _by_content[content]
    return cached[key]

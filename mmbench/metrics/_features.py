"""Features of images: what frozen networks see, for distances between sets of images.

A network is known by the SHA-256 of its weights and by how it resizes; numbers of one
are comparable with nothing measured through another. What is extracted is kept: that of
generated images as long as the record that they belong to, that of real images for the
process, by their content, so that cells with the same data share it.
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
from mmbench.metrics import _cifar_classifier, _classifier, _inception
from mmbench.metrics._frechet import Gaussian, gaussian
from mmbench.metrics.base import Point

FEATURES = Literal["cifar10cnn", "mnistcnn", "digitscnn", "inception"]

_BATCH = 500  # images at once: bounds memory, changes no result beyond rounding

Network = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Extracted:
    """What a network sees in some images.

    Args:
        features: what its last layer sees.
        logits: of its classes.
    """

    features: Float32[Tensor, "count dim"]
    logits: Float32[Tensor, "count classes"]

    @cached_property
    def gaussian(self) -> Gaussian:
        """The normal law fitted to the features."""
        return gaussian(self.features)


@dataclass(frozen=True, eq=False)
class Extractor:
    """A frozen network, and what must be known of it.

    Args:
        name: in descriptions and columns.
        sha256: of its weights, as published.
        resize: what it does to images of another size, in words.
        dim: number of features.
        classes: number of logits.
        needs: which images it takes; None for any.
        load: gives the network on a device, the same one each time: images of bytes to
            features and logits.
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
    ) -> Extracted:
        """What the network sees, in batches and without gradients."""
        network = self.load(device)
        with torch.no_grad():
            parts = [network(part.to(device)) for part in images.split(_BATCH)]
        features, logits = (torch.cat(part) for part in zip(*parts, strict=True))
        return Extracted(features.float(), logits.float())


def _digit_extractor(name: str, dataset: str, needs: Capability) -> Extractor:
    """The shipped classifier of that data set of digits."""
    kind = _classifier.kind_of(dataset)

    def load(device: torch.device) -> Network:
        net = _classifier.load(dataset, device).net

        def network(images: Tensor) -> tuple[Tensor, Tensor]:
            features = net.features(images[:, 0].float() * (2 / 255) - 1)
            return features, net.output(features)

        return network

    return Extractor(name, kind.sha256, "none", kind.hidden, 10, needs, load)


EXTRACTORS = {
    one.name: one
    for one in (
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
            sha256=_inception.ORIGINAL_SHA256,
            resize="bilinear to 299 x 299, as in TensorFlow 1",
            dim=_inception.FEATURES,
            classes=_inception.CLASSES,
            needs=None,
            load=lambda device: _inception.load(device).features_and_logits,
        ),
    )
}

_generated: WeakKeyDictionary[Point, dict[tuple, list[Extracted]]] = WeakKeyDictionary()
_of_game: WeakKeyDictionary[Game, dict[tuple, Extracted]] = WeakKeyDictionary()
_of_content: dict[tuple[str, str, str], Extracted] = {}


def of_generated(at: Point, name: str, count: int) -> list[Extracted]:
    """What the network sees in so many generated images of each run.

    One run at a time, so that no run's rounding depends on another's images.
    """
    kept = _generated.setdefault(at, {})
    if (name, count) not in kept:
        extract, device = EXTRACTORS[name], at.z.device
        kept[name, count] = [extract(one, device) for one in at.images(count)]
    return kept[name, count]


def of_real(
    game: Game, name: str, split: str, count: int, device: torch.device
) -> Extracted:
    """What the network sees in the game's real images.

    Args:
        game: whose images.
        name: of the network.
        split: "train" or "test".
        count: how many, drawn without replacement by a fixed stream; all of them where
            there are no more, and for 0.
        device: where to compute.
    """
    kept = _of_game.setdefault(game, {})
    asked = (name, split, count, str(device))
    if asked not in kept:
        images, _ = game.real(split)
        # Shuffled even when all are taken: what is cut into parts must not be sorted.
        order = torch.randperm(len(images), generator=generator(0, "metrics/real"))
        images = images[order[: count or len(images)]]
        said = hashlib.sha256(str(tuple(images.shape)).encode())
        said.update(images.flatten().numpy())
        address = (name, str(device), said.hexdigest())
        if address not in _of_content:
            _of_content[address] = EXTRACTORS[name](images, device)
        kept[asked] = _of_content[address]
    return kept[asked]

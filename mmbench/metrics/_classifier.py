"""Frozen classifiers of handwritten digits, known by hash, that can say "neither".

A class of ten is right only if its classifier can also be unsure, so training shows it
what is no digit: noise of several kinds with an equal share for each class as target,
and mixtures w a + (1 - w) b of two images with the shares w and 1 - w (mixup). What
this bought is measured on the test images and written into the file: accuracy,
confusion matrix, and the shares of noise and of averages of a 0 and a 1 that still get
a confidence of 0.9 or more.

The shipped files were written by `mmbench features train mnist --out FILE` and the same
for digits, with one thread; the header of each has seed, epochs and accuracy.
Another machine may round otherwise, so training again need not give the same bits: the
checksums below are those of the shipped files.

Source: mixtures are those of Zhang, Cisse, Dauphin and Lopez-Paz 2018, mixup: Beyond
Empirical Risk Minimization; images of no class with equal shares are those of
Hendrycks, Mazeika and Dietterich 2019, Deep Anomaly Detection with Outlier Exposure.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from mmbench.core.errors import unknown_name
from mmbench.metrics._classifier_file import SHIPPED, Facts, fill, frozen

CONFIDENT = 0.9  # rule of the coverage of digits: a less confident image is junk

_BATCH = 1000  # images at once: bounds memory, changes no result beyond rounding


class Kind(NamedTuple):
    """What one data set asks for: its pixels, its network, its training.

    Args:
        side: height and width of an image.
        top: pixel value that becomes 1.
        channels: of each convolution; a maximum over 2 x 2 follows each.
        hidden: width of the layer before the last.
        epochs: of training, unless told otherwise.
        shift: largest move of a training image, in pixels.
        sha256: of the shipped file.
    """

    side: int
    top: int
    channels: tuple[int, ...]
    hidden: int
    epochs: int
    shift: float
    sha256: str


KINDS = {
    "mnist": Kind(
        side=28,
        top=255,
        channels=(16, 32, 64),
        hidden=64,
        epochs=12,
        shift=2.0,
        sha256="f9c0f77a1e9e4ba0f4b85f57032e164122391826726694c22a47081df271683d",
    ),
    "digits": Kind(
        side=8,
        top=16,
        channels=(32, 64),
        hidden=64,
        epochs=300,
        shift=0.6,  # as 2 of 28
        sha256="47e2197c9dc8934ef0b1ef84a2655684f48eab7203266c98aa5c0db875060210",
    ),
}


class DigitNet(nn.Module):
    """Convolutions of 3 x 3, each halved by a maximum, then two linear layers.

    Args:
        side: height and width of an image.
        channels: of each convolution.
        hidden: width of the layer before the last.
    """

    def __init__(self, side: int, channels: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        widths = (1, *channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1)
            for before, after in zip(widths, channels, strict=False)
        )
        self.hidden = nn.Linear(channels[-1] * (side >> len(channels)) ** 2, hidden)
        self.output = nn.Linear(hidden, 10)

    def features(
        self, images: Float[Tensor, "count height width"]
    ) -> Float[Tensor, "count hidden"]:
        """What the last layer sees."""
        signal = images[:, None]
        for convolution in self.convolutions:
            signal = functional.max_pool2d(functional.relu(convolution(signal)), 2)
        return functional.relu(self.hidden(signal.flatten(1)))

    def forward(
        self, images: Float[Tensor, "count height width"]
    ) -> Float[Tensor, "count 10"]:
        """Logits."""
        return self.output(self.features(images))


@dataclass(frozen=True, eq=False)
class DigitClassifier:
    """A trained network, at rest, and what is known of it.

    Args:
        dataset: what it was trained on.
        net: in evaluation mode, without gradients.
        confusion: counts on the test images; rows are true, columns are said.
        facts: seed, epochs, accuracy and command, from the file's header.
    """

    dataset: str
    net: DigitNet
    confusion: Int64[Tensor, "10 10"]
    facts: Facts

    def probabilities(
        self, images: Float[Tensor, "count height width"]
    ) -> Float[Tensor, "count 10"]:
        """Confidence in each digit, in float32.

        Args:
            images: from -1, paper, to 1, ink.
        """
        with torch.no_grad():
            parts = [self.net(part).softmax(1) for part in _parts(images)]
        return torch.cat(parts)

    def features(
        self, images: Float[Tensor, "count height width"]
    ) -> Float[Tensor, "count hidden"]:
        """What the last layer sees, for distances between sets of images, in float32.

        Args:
            images: from -1, paper, to 1, ink.
        """
        with torch.no_grad():
            return torch.cat([self.net.features(part) for part in _parts(images)])


def _parts(images: Tensor) -> tuple[Tensor, ...]:
    return images.to(torch.float32).split(_BATCH)


def load(dataset: str, device: torch.device | str = "cpu") -> DigitClassifier:
    """The shipped classifier of that data set, read once per device.

    Args:
        dataset: "mnist" or "digits".
        device: where it is to work.

    Raises:
        DataError: when its file is missing or is not the shipped one.
    """
    return _loaded(dataset, str(device))


@cache
def _loaded(dataset: str, device: str) -> DigitClassifier:
    return read(dataset, weights_path(dataset), kind_of(dataset).sha256, device)


def weights_path(dataset: str) -> Path:
    """Where the shipped file of that data set lies."""
    kind_of(dataset)
    return SHIPPED / f"{dataset}_classifier.safetensors"


def read(
    dataset: str, path: Path, sha256: str | None, device: torch.device | str = "cpu"
) -> DigitClassifier:
    """A classifier from its file.

    Args:
        dataset: "mnist" or "digits".
        path: of a safetensors file that `train` wrote.
        sha256: what the file's checksum must be; None takes any.
        device: where it is to work.

    Raises:
        DataError: when the file is missing, damaged or another one.
    """
    kind = kind_of(dataset)
    with torch.device("meta"):  # no time, and no random numbers, for what is replaced
        net = DigitNet(kind.side, kind.channels, kind.hidden)
    weights = fill(net, path, sha256, f"a classifier of {dataset}")
    return DigitClassifier(
        dataset, frozen(net, device), weights.confusion, weights.facts
    )


def kind_of(dataset: str) -> Kind:
    """What that data set asks for."""
    if dataset not in KINDS:
        raise unknown_name("data set with a classifier", dataset, KINDS)
    return KINDS[dataset]

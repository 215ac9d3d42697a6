"""Frozen classifiers of handwritten digits, with low confidence in what is no digit.

They are identified by SHA-256. Metrics reject images in which the classifier has little
confidence, so it is also trained on images of no digit: on noise of several kinds, with
the same target probability for each class, and on mixtures w a + (1 - w) b of two
images, with the target probabilities w and 1 - w (mixup). The file of the weights has
the results on the test images: accuracy, confusion matrix, and the shares of noise and
of averages of a 0 and a 1 that get a confidence of 0.9 or more.

`mmbench features train mnist --out FILE`, and `digits` for mnist, wrote the shipped
files with one thread; the header of each has seed, epochs and accuracy. Another machine
may round differently, so that training again may not give the same bits; the checksums
below are those of the shipped files.

Source: the mixtures are those of Zhang, Cisse, Dauphin and Lopez-Paz 2018, mixup:
Beyond Empirical Risk Minimization; noise with equal target probabilities is that of
Hendrycks, Mazeika and Dietterich 2019, Deep Anomaly Detection with Outlier Exposure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from mmbench.core.errors import unknown_name
from mmbench.metrics._classifier_file import (
    WEIGHTS_FOLDER,
    Facts,
    freeze,
    load_weights,
)

CONFIDENT = 0.9  # digit coverage counts images below it as junk

# Of a batch, whose activations then stay in a core's cache: a third of the time.
_BATCH_PIXELS = 64 * 28 * 28


class ClassifierConfig(NamedTuple):
    """Images, network and training of the classifier of one data set.

    Args:
        side: height and width of an image, in pixels.
        top: pixel value that becomes 1.
        channels: output channels of each convolution; 2 x 2 max pooling follows each.
        hidden: width of the layer before the last.
        epochs: default number of epochs of the training.
        shift: largest move of a training image along each axis, in pixels.
        sha256: checksum of the shipped file.
    """

    side: int
    top: int
    channels: tuple[int, ...]
    hidden: int
    epochs: int
    shift: float
    sha256: str


CONFIGS = {
    "mnist": ClassifierConfig(
        side=28,
        top=255,
        channels=(16, 32, 64),
        hidden=64,
        epochs=12,
        shift=2.0,
        sha256="f9c0f77a1e9e4ba0f4b85f57032e164122391826726694c22a47081df271683d",
    ),
    "digits": ClassifierConfig(
        side=8,
        top=16,
        channels=(32, 64),
        hidden=64,
        epochs=300,
        shift=0.6,  # in proportion to 2 of 28
        sha256="47e2197c9dc8934ef0b1ef84a2655684f48eab7203266c98aa5c0db875060210",
    ),
}


class DigitNet(nn.Module):
    """3 x 3 convolutions with 2 x 2 max pooling, then two linear layers.

    Args:
        side: height and width of an image, in pixels.
        channels: output channels of each convolution.
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
        """Return the input of the last layer."""
        signal = images[:, None]
        for convolution in self.convolutions:
            signal = functional.relu(_largest_of_four(convolution(signal)))
        return functional.relu(self.hidden(signal.flatten(1)))

    def forward(
        self, images: Float[Tensor, "count height width"]
    ) -> Float[Tensor, "count 10"]:
        """Return the logits of the classes."""
        return self.output(self.features(images))


def _largest_of_four(signal: Tensor) -> Tensor:
    """Return the largest of 2 x 2 neighbours, seven times as fast as torch pools.

    Args:
        signal: shape (..., height, width); what is left of odd lengths is dropped.
    """
    height, width = (size // 2 * 2 for size in signal.shape[-2:])
    rows = torch.maximum(signal[..., 0:height:2, :], signal[..., 1:height:2, :])
    return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])


@dataclass(frozen=True, eq=False)
class DigitClassifier:
    """A trained network for inference, with facts about its training.

    Args:
        dataset: data set of the training.
        net: network in evaluation mode, without gradients.
        confusion: counts on the test images, by true class (rows) and predicted class.
        facts: seed, epochs, accuracy and command, from the file's header.
    """

    dataset: str
    net: DigitNet
    confusion: Int64[Tensor, "10 10"]
    facts: Facts

    def probabilities(
        self, images: Float[Tensor, "count height width"]
    ) -> Float[Tensor, "count 10"]:
        """Return the probability of each digit, in float32.

        Args:
            images: images from -1, paper, to 1, ink.
        """
        return _in_batches(lambda batch: self.net(batch).softmax(1), images)

    def features(
        self, images: Float[Tensor, "count height width"]
    ) -> Float[Tensor, "count hidden"]:
        """Return the features, for distances between sets of images, in float32.

        Args:
            images: images from -1, paper, to 1, ink.
        """
        return _in_batches(self.net.features, images)


def _in_batches(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Apply a function to float32 images, batch by batch and without gradients."""
    count = max(1, _BATCH_PIXELS // images[0].numel()) if len(images) else 1
    batches = images.to(torch.float32).split(count)
    with torch.no_grad():
        return torch.cat([function(batch) for batch in batches])


def load(dataset: str, device: torch.device | str = "cpu") -> DigitClassifier:
    """Return the shipped classifier of a data set, read once for each device.

    Args:
        dataset: "mnist" or "digits".
        device: device of the network.

    Raises:
        DataError: if its file is missing or is not the shipped one.
        UnknownNameError: if the data set has no classifier.
    """
    return _loaded(dataset, str(device))


@cache
def _loaded(dataset: str, device: str) -> DigitClassifier:
    return read(dataset, weights_path(dataset), config_for(dataset).sha256, device)


def weights_path(dataset: str) -> Path:
    """Return the path of the shipped file of a data set."""
    config_for(dataset)
    return WEIGHTS_FOLDER / f"{dataset}_classifier.safetensors"


def read(
    dataset: str, path: Path, sha256: str | None, device: torch.device | str = "cpu"
) -> DigitClassifier:
    """Read a classifier from its file.

    Args:
        dataset: "mnist" or "digits".
        path: safetensors file that `train` wrote.
        sha256: required checksum of the file; None accepts any.
        device: device of the network.

    Raises:
        DataError: if the file is missing, damaged or a different one.
    """
    config = config_for(dataset)
    with torch.device("meta"):  # the weights are replaced, so draw none
        net = DigitNet(config.side, config.channels, config.hidden)
    weights = load_weights(net, path, sha256, f"a classifier of {dataset}")
    return DigitClassifier(
        dataset, freeze(net, device), weights.confusion, weights.facts
    )


def config_for(dataset: str) -> ClassifierConfig:
    """Return the configuration of a data set's classifier.

    Raises:
        UnknownNameError: if the data set has no classifier.
    """
    if dataset not in CONFIGS:
        raise unknown_name("data set with a classifier", dataset, CONFIGS)
    return CONFIGS[dataset]

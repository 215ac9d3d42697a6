"""The frozen classifier of CIFAR10, identified by SHA-256, that gives image features.

The network is small: one core trains it in three quarters of an hour. Its last layer
takes 256 features, each the maximum of one channel over the image. Distances between
them rank generators, but are not FID, which is defined on Inception's features.

`mmbench features train cifar10 --out FILE` wrote the shipped file; its header has seed,
epochs, accuracy and minutes. Another machine may round differently, so that training
again may not give the same bits; the checksum below is that of the shipped file.

Source: the shape of the network (a 2 x 2 stem, pairs of convolutions, GELU, a global
    maximum) follows Jordan 2024, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from mmbench.metrics._classifier_file import (
    WEIGHTS_FOLDER,
    Facts,
    freeze,
    load_weights,
    scale_pixels,
    to_channels_last,
)

CIFAR10_SHA256 = "78e8a66223b514c3d45897a296e9569f52e3d51a0eb18a1a43ec5eebc0c7570a"
WEIGHTS_PATH = WEIGHTS_FOLDER / "cifar10_classifier.safetensors"

_STEM_CHANNELS = 24
_BLOCK_CHANNELS = (64, 128, 256)
_BATCH_IMAGES = 500  # bounds the memory, changes no result beyond rounding


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm and GELU; 2 x 2 max pooling in the first.

    Args:
        before: number of input channels.
        after: number of output channels.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)

    def forward(
        self, signal: Float[Tensor, "count before height width"]
    ) -> Float[Tensor, "count after half_height half_width"]:
        """Return the block's output, of half the height and width."""
        signal = functional.max_pool2d(self.first(signal), 2)
        signal = functional.gelu(self.first_norm(signal))
        return functional.gelu(self.second_norm(self.second(signal)))


class CifarNet(nn.Module):
    """A 2 x 2 convolution, three blocks, global max pooling and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _STEM_CHANNELS, 2)
        widths = (_STEM_CHANNELS, *_BLOCK_CHANNELS)
        self.blocks = nn.ModuleList(
            Block(before, after)
            for before, after in zip(widths, _BLOCK_CHANNELS, strict=False)
        )
        self.output = nn.Linear(_BLOCK_CHANNELS[-1], 10)

    def features(
        self, images: Float[Tensor, "count 3 32 32"]
    ) -> Float[Tensor, "count 256"]:
        """Return the input of the last layer."""
        signal = functional.gelu(self.stem(images))
        for block in self.blocks:
            signal = block(signal)
        return signal.amax((2, 3))

    def forward(
        self, images: Float[Tensor, "count 3 32 32"]
    ) -> Float[Tensor, "count 10"]:
        """Return the logits of the classes."""
        return self.output(self.features(images))


@dataclass(frozen=True, eq=False)
class CifarClassifier:
    """A trained network for inference, with facts about its training.

    Args:
        net: network in evaluation mode, without gradients.
        confusion: counts on the test images, by true class (rows) and predicted class.
        facts: seed, epochs, accuracy and command, from the file's header.
        sha256: checksum of the file.
    """

    net: CifarNet
    confusion: Int64[Tensor, "10 10"]
    facts: Facts
    sha256: str

    def features_and_logits(
        self, images: UInt8[Tensor, "count 3 32 32"]
    ) -> tuple[Float[Tensor, "count 256"], Float[Tensor, "count 10"]]:
        """Return the features and the logits, in float32.

        Args:
            images: red, green and blue from 0 to 255, on the network's device.
        """
        features = self.features(images)
        with torch.no_grad():
            return features, self.net.output(features)

    def features(
        self, images: UInt8[Tensor, "count 3 32 32"]
    ) -> Float[Tensor, "count 256"]:
        """Return the features, for distances between sets of images, in float32.

        Args:
            images: red, green and blue from 0 to 255, on the network's device.
        """
        with torch.no_grad():
            batches = [
                self.net.features(scale_pixels(batch))
                for batch in images.split(_BATCH_IMAGES)
            ]
        return torch.cat(batches)

    def probabilities(
        self, images: UInt8[Tensor, "count 3 32 32"]
    ) -> Float[Tensor, "count 10"]:
        """Return the probability of each class, in float32.

        Args:
            images: red, green and blue from 0 to 255, on the network's device.
        """
        return self.features_and_logits(images)[1].softmax(1)


def load(device: torch.device | str = "cpu") -> CifarClassifier:
    """Return the shipped classifier, read once for each device.

    Args:
        device: device of the network.

    Raises:
        DataError: if its file is missing or is not the shipped one.
    """
    return _loaded(str(device))


@cache
def _loaded(device: str) -> CifarClassifier:
    return read(WEIGHTS_PATH, CIFAR10_SHA256, device)


def read(
    path: Path, sha256: str | None, device: torch.device | str = "cpu"
) -> CifarClassifier:
    """Read a classifier from its file.

    Args:
        path: safetensors file that the training wrote.
        sha256: required checksum of the file; None accepts any.
        device: device of the network.

    Raises:
        DataError: if the file is missing, damaged or a different one.
    """
    with torch.device("meta"):  # the weights are replaced, so draw none
        net = CifarNet()
    weights = load_weights(net, path, sha256, "a classifier of cifar10")
    return CifarClassifier(to_channels_last(freeze(net, device)), *weights)

"""The frozen classifier of CIFAR10, known by hash, whose features metrics compare.

A small network that one core trains in three quarters of an hour. The layer before the
last has 256 features, each the strongest answer of one channel anywhere in the image.
Its distances order generators; they are no FID, which asks for Inception's features.

The shipped file was written by `mmbench features train cifar10 --out FILE`; its header
has seed, epochs, accuracy and minutes. Another machine may round otherwise, so
training again need not give the same bits: the checksum below is that of the shipped
file.

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

from mmbench.metrics._classifier_file import SHIPPED, Facts, fill, frozen

CIFAR10_SHA256 = "78e8a66223b514c3d45897a296e9569f52e3d51a0eb18a1a43ec5eebc0c7570a"
WEIGHTS_PATH = SHIPPED / "cifar10_classifier.safetensors"

_STEM = 24  # channels
_CHANNELS = (64, 128, 256)  # of each block
_BATCH = 500  # images at once: bounds memory, changes no result beyond rounding


class Block(nn.Module):
    """Two convolutions of 3 x 3 with batch norms; a maximum over 2 x 2 after the first.

    Args:
        before: channels that come in.
        after: channels that go out.
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
        """Half the height, half the width."""
        signal = functional.max_pool2d(self.first(signal), 2)
        signal = functional.gelu(self.first_norm(signal))
        return functional.gelu(self.second_norm(self.second(signal)))


class CifarNet(nn.Module):
    """A convolution of 2 x 2, three blocks, a global maximum, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _STEM, 2)
        widths = (_STEM, *_CHANNELS)
        self.blocks = nn.ModuleList(
            Block(before, after)
            for before, after in zip(widths, _CHANNELS, strict=False)
        )
        self.output = nn.Linear(_CHANNELS[-1], 10)

    def features(
        self, images: Float[Tensor, "count 3 32 32"]
    ) -> Float[Tensor, "count 256"]:
        """What the last layer sees."""
        signal = functional.gelu(self.stem(images))
        for block in self.blocks:
            signal = block(signal)
        return signal.amax((2, 3))

    def forward(
        self, images: Float[Tensor, "count 3 32 32"]
    ) -> Float[Tensor, "count 10"]:
        """Logits."""
        return self.output(self.features(images))


@dataclass(frozen=True, eq=False)
class CifarClassifier:
    """A trained network, at rest, and what is known of it.

    Args:
        net: in evaluation mode, without gradients.
        confusion: counts on the test images; rows are true, columns are said.
        facts: seed, epochs, accuracy and command, from the file's header.
        sha256: of the file.
    """

    net: CifarNet
    confusion: Int64[Tensor, "10 10"]
    facts: Facts
    sha256: str

    def features_and_logits(
        self, images: UInt8[Tensor, "count 3 32 32"]
    ) -> tuple[Float[Tensor, "count 256"], Float[Tensor, "count 10"]]:
        """What the last layer sees, and what it makes of it, in float32.

        Args:
            images: red, green and blue from 0 to 255, on the network's device.
        """
        features = self.features(images)
        with torch.no_grad():
            return features, self.net.output(features)

    def features(
        self, images: UInt8[Tensor, "count 3 32 32"]
    ) -> Float[Tensor, "count 256"]:
        """What the last layer sees, for distances between sets of images, in float32.

        Args:
            images: red, green and blue from 0 to 255, on the network's device.
        """
        with torch.no_grad():
            parts = [self.net.features(centred(part)) for part in images.split(_BATCH)]
        return torch.cat(parts)

    def probabilities(
        self, images: UInt8[Tensor, "count 3 32 32"]
    ) -> Float[Tensor, "count 10"]:
        """Confidence in each class, in float32.

        Args:
            images: red, green and blue from 0 to 255, on the network's device.
        """
        return self.features_and_logits(images)[1].softmax(1)


def centred(images: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Bytes as the network takes them: 0 becomes -1 and 255 becomes 1."""
    return images.float() * (2 / 255) - 1  # 255 is full light


def load(device: torch.device | str = "cpu") -> CifarClassifier:
    """The shipped classifier, read once per device.

    Args:
        device: where it is to work.

    Raises:
        DataError: when its file is missing or is not the shipped one.
    """
    return _loaded(str(device))


@cache
def _loaded(device: str) -> CifarClassifier:
    return read(WEIGHTS_PATH, CIFAR10_SHA256, device)


def read(
    path: Path, sha256: str | None, device: torch.device | str = "cpu"
) -> CifarClassifier:
    """A classifier from its file.

    Args:
        path: of a safetensors file that training wrote.
        sha256: what the file's checksum must be; None takes any.
        device: where it is to work.

    Raises:
        DataError: when the file is missing, damaged or another one.
    """
    with torch.device("meta"):  # no time, and no random numbers, for what is replaced
        net = CifarNet()
    weights = fill(net, path, sha256, "a classifier of cifar10")
    net = frozen(net, device).to(memory_format=torch.channels_last)  # faster
    return CifarClassifier(net, *weights)

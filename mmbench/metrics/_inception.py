"""Inception v3 as used by image metrics: TensorFlow's graph of 2015, in torch.

FID and IS are defined on its 2048 features and 1008 classes. The network of torchvision
has other weights and another architecture, and gives other values. In this one, average
pooling does not count the padding, the last average pooling is a max pooling, and
images are resized as in TensorFlow 1, without smoothing:

    source = target · size / 299        (no half pixels),  then  (x − 128) / 128

The weights are not part of mmbench. `mmbench features fetch inception` checks the
published file, converts it once, and writes the result to the user's cache; only that
result is ever loaded.

Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna 2016, Rethinking the Inception
    Architecture for Computer Vision; the weights were ported by Seitzer 2018,
    pytorch-fid; the features are those of Heusel et al. 2017, the logits without bias
    those of Salimans et al. 2016.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from mmbench.metrics._inception_blocks import NETWORK, Pool, Step, Unit, unit_shapes
from mmbench.metrics._inception_file import ORIGINAL_SHA256, read

SIDE = 299  # height and width of the network's input, in pixels
FEATURES = 2048  # channels of the last block, averaged over the image
CLASSES = 1008

_BATCH_IMAGES = 50  # bounds the memory, changes no result beyond rounding
_OUTPUT = "fc"  # name of the last layer in the published weights
_EPSILON = 0.001  # of every batch norm

Weights = Mapping[str, Tensor]


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of each of the published weights, by name."""
    return {
        **dict(unit_shapes(NETWORK, 3)),
        f"{_OUTPUT}.weight": (CLASSES, FEATURES),
        f"{_OUTPUT}.bias": (CLASSES,),
    }


def forward(
    weights: Weights, chain: tuple[Step, ...], signal: Float[Tensor, "count _ _ _"]
) -> Float[Tensor, "count _ _ _"]:
    """Return a signal after some steps of the network.

    Args:
        weights: weights by their published names.
        chain: steps of the network.
        signal: images, or the output of earlier steps.
    """
    for step in chain:
        if isinstance(step, Unit):
            signal = _unit(weights, step, signal)
        elif isinstance(step, Pool):
            signal = _pool(step, signal)
        else:
            outputs = [forward(weights, branch, signal) for branch in step.branches]
            signal = torch.cat(outputs, 1)
    return signal


def _unit(weights: Weights, unit: Unit, signal: Tensor) -> Tensor:
    height, width = unit.kernel
    padding = (height // 2, width // 2) if unit.same else 0
    signal = functional.conv2d(
        signal,
        weights[f"{unit.name}.conv.weight"],
        stride=unit.stride,
        padding=padding,
    )
    signal = functional.batch_norm(
        signal,
        weights[f"{unit.name}.bn.running_mean"],
        weights[f"{unit.name}.bn.running_var"],
        weights[f"{unit.name}.bn.weight"],
        weights[f"{unit.name}.bn.bias"],
        eps=_EPSILON,
    )
    return functional.relu(signal)


def _pool(pool: Pool, signal: Tensor) -> Tensor:
    padding = 1 if pool.stride == 1 else 0
    if pool.kind == "maximum":
        return functional.max_pool2d(signal, 3, pool.stride, padding)
    return functional.avg_pool2d(
        signal, 3, pool.stride, padding, count_include_pad=False
    )


def resize(
    images: Float[Tensor, "count channels height width"],
) -> Float[Tensor, "count channels 299 299"]:
    """Resize images to 299 x 299 by the bilinear interpolation of TensorFlow 1.

    The position of a target pixel in the source is its index times the ratio of the
    sizes, without half pixels. It is interpolated with its right and lower neighbours,
    if they are inside the image.

    Args:
        images: images of any size and scale.
    """
    left, right, across = _neighbours(images.shape[3], images.device)
    near, far = images[..., left], images[..., right]
    rows = near + (far - near) * across  # torch.lerp rounds differently
    upper, lower, down = _neighbours(images.shape[2], images.device)
    near, far = rows[:, :, upper], rows[:, :, lower]
    return near + (far - near) * down[:, None]


def _neighbours(size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return both neighbours of each target on one axis, and the second's weight."""
    ratio = torch.tensor(size / SIDE, dtype=torch.float32, device=device)
    source = torch.arange(SIDE, dtype=torch.float32, device=device) * ratio
    first = source.long()
    return first, (first + 1).clamp(max=size - 1), source - first


@dataclass(frozen=True, eq=False)
class Inception:
    """The network with the published weights, for inference.

    Args:
        weights: weights by their published names, without gradients.
        sha256: checksum of the published file.
    """

    weights: Weights
    sha256: str

    def features_and_logits(
        self, images: UInt8[Tensor, "count channels height width"]
    ) -> tuple[Float[Tensor, "count 2048"], Float[Tensor, "count 1008"]]:
        """Return the features and the logits without bias, in float32.

        The features are the last block, averaged over the image. The inception score
        was published with logits that leave the bias out.

        Args:
            images: pixels from 0 to 255, one channel or three, on the weights' device.
        """
        with torch.no_grad():
            batches = images.split(_BATCH_IMAGES)
            features = torch.cat([self._features(batch) for batch in batches])
            return features, features @ self.weights[f"{_OUTPUT}.weight"].T

    def features(
        self, images: UInt8[Tensor, "count channels height width"]
    ) -> Float[Tensor, "count 2048"]:
        """Return the features, in float32.

        Args:
            images: pixels from 0 to 255, one channel or three, on the weights' device.
        """
        return self.features_and_logits(images)[0]

    def probabilities(
        self, images: UInt8[Tensor, "count channels height width"]
    ) -> Float[Tensor, "count 1008"]:
        """Return the probability of each class, in float32, from logits without bias.

        Args:
            images: pixels from 0 to 255, one channel or three, on the weights' device.
        """
        return self.features_and_logits(images)[1].softmax(1)

    def _features(
        self, images: UInt8[Tensor, "count channels height width"]
    ) -> Float[Tensor, "count 2048"]:
        colour = images.float().expand(-1, 3, -1, -1)  # a grey image has equal channels
        centred = (resize(colour) - 128) / 128
        return forward(self.weights, NETWORK, centred).mean((2, 3))


def load(device: torch.device | str = "cpu") -> Inception:
    """Return the network with the published weights, read once for each device.

    Args:
        device: device of the network.

    Raises:
        DataError: if the weights have not been fetched, or are damaged.
    """
    return _loaded(str(device))


@cache
def _loaded(device: str) -> Inception:
    weights = {}
    for name, tensor in read(shapes()).items():
        layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
        weights[name] = tensor.to(device, memory_format=layout)  # a fifth faster
    return Inception(weights, ORIGINAL_SHA256)

"""Inception v3 as scores of images use it: TensorFlow's graph of 2015, in torch.

Its 2048 features and 1008 classes are what FID and IS are defined on. The network of
torchvision has other weights and another shape, and gives other numbers. This one has
average pools that do not count the padding, a maximum in place of the last average, and
an image is resized as TensorFlow 1 did it, without smoothing:

    source = target · size / 299        (no half pixels),  then  (x − 128) / 128

Its weights do not come with mmbench. `mmbench features fetch inception` checks the
published file, converts it once, and keeps the result in the user's cache; only the
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

SIDE = 299  # height and width that the network takes
FEATURES = 2048  # average of the last block
CLASSES = 1008  # of the graph

_BATCH = 50  # images at once: bounds memory, changes no result beyond rounding
_OUTPUT = "fc"  # the last layer, in the published weights
_EPSILON = 0.001  # of every batch norm in the graph

Weights = Mapping[str, Tensor]


def shapes() -> dict[str, tuple[int, ...]]:
    """The published weights: the name of each and its shape."""
    found = dict(unit_shapes(NETWORK, 3))
    found[f"{_OUTPUT}.weight"] = (CLASSES, FEATURES)
    found[f"{_OUTPUT}.bias"] = (CLASSES,)
    return found


def forward(
    weights: Weights, chain: tuple[Step, ...], signal: Float[Tensor, "count _ _ _"]
) -> Float[Tensor, "count _ _ _"]:
    """A signal after some steps of the network.

    Args:
        weights: by their published names.
        chain: the steps.
        signal: images, or what earlier steps made of them.
    """
    for step in chain:
        if isinstance(step, Unit):
            signal = _unit(weights, step, signal)
        elif isinstance(step, Pool):
            signal = _pool(step, signal)
        else:
            parts = [forward(weights, branch, signal) for branch in step.branches]
            signal = torch.cat(parts, 1)
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


def resized(
    images: Float[Tensor, "count channels height width"],
) -> Float[Tensor, "count channels 299 299"]:
    """Images of 299 x 299, as TensorFlow 1 makes them by bilinear interpolation.

    A target pixel looks at its number times the ratio of the sizes, without half
    pixels, and at its right and lower neighbours; none beyond the edge.

    Args:
        images: of any size and scale.
    """
    left, right, across = _places(images.shape[3], images.device)
    near, far = images[..., left], images[..., right]
    rows = near + (far - near) * across  # torch.lerp rounds otherwise
    upper, lower, down = _places(images.shape[2], images.device)
    near, far = rows[:, :, upper], rows[:, :, lower]
    return near + (far - near) * down[:, None]


def _places(size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Both neighbours of each target along one axis, and the share of the second."""
    ratio = torch.tensor(size / SIDE, dtype=torch.float32, device=device)
    source = torch.arange(SIDE, dtype=torch.float32, device=device) * ratio
    first = source.long()
    return first, (first + 1).clamp(max=size - 1), source - first


@dataclass(frozen=True, eq=False)
class Inception:
    """The network with the published weights, at rest.

    Args:
        weights: by their published names, without gradients.
        sha256: of the published file.
    """

    weights: Weights
    sha256: str

    def features_and_logits(
        self, images: UInt8[Tensor, "count channels height width"]
    ) -> tuple[Float[Tensor, "count 2048"], Float[Tensor, "count 1008"]]:
        """The average of the last block, and logits without bias, in float32.

        The inception score was published with logits that leave the bias out.

        Args:
            images: from 0 to 255, with one channel or three, on the weights' device.
        """
        with torch.no_grad():
            parts = [self._features(part) for part in images.split(_BATCH)]
            features = torch.cat(parts)
            return features, features @ self.weights[f"{_OUTPUT}.weight"].T

    def features(
        self, images: UInt8[Tensor, "count channels height width"]
    ) -> Float[Tensor, "count 2048"]:
        """The average of the last block, in float32.

        Args:
            images: from 0 to 255, with one channel or three, on the weights' device.
        """
        return self.features_and_logits(images)[0]

    def probabilities(
        self, images: UInt8[Tensor, "count channels height width"]
    ) -> Float[Tensor, "count 1008"]:
        """Confidence in each class, in float32, from logits without bias.

        Args:
            images: from 0 to 255, with one channel or three, on the weights' device.
        """
        return self.features_and_logits(images)[1].softmax(1)

    def _features(
        self, images: UInt8[Tensor, "count channels height width"]
    ) -> Float[Tensor, "count 2048"]:
        colour = images.float().expand(-1, 3, -1, -1)  # grey is equal red, green, blue
        centred = (resized(colour) - 128) / 128  # 128 is the grey of the graph
        return forward(self.weights, NETWORK, centred).mean((2, 3))


def load(device: torch.device | str = "cpu") -> Inception:
    """The network with the published weights, read once per device.

    Args:
        device: where it is to work.

    Raises:
        DataError: when the weights have not been fetched, or are damaged.
    """
    return _loaded(str(device))


@cache
def _loaded(device: str) -> Inception:
    weights = {}
    for name, one in read(shapes()).items():
        form = torch.channels_last if one.ndim == 4 else torch.contiguous_format
        weights[name] = one.to(device, memory_format=form)  # a fifth faster
    return Inception(weights, ORIGINAL_SHA256)

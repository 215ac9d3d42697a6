"""Layers of convolutional networks on a flat vector, with a leading `runs` axis.

A signal has shape (runs, batch, features) or (runs, batch, channels, height, width).
Convolutions fold the runs into groups of channels, so that one call serves all runs.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Shape = tuple[int, ...]
Tensors = Mapping[str, Tensor]

EPSILON = 1e-5  # added to the variance by batch normalisation, as torch's default


class Moments(NamedTuple):
    """Mean and variance of each channel of each run, shape (runs * channels,)."""

    mean: Tensor
    variance: Tensor


class Initialisation(NamedTuple):
    """Law of the first parameters.

    Args:
        linear: of the weights of linear layers: "torch" is uniform within
            ±1 / √inputs; "glorot" within ±√(6 / (inputs + outputs)).
        convolution: of convolutions: the same two, with kernel area times channels as
            inputs and outputs; "he" is uniform within ±√(12 / (inputs + outputs)),
            where the stride's square divides the side that it thins out; a number is
            the standard deviation of a normal law.
        bias: "torch" is uniform within ±1 / √inputs.
    """

    linear: Literal["torch", "glorot"]
    convolution: Literal["torch", "glorot", "he"] | float
    bias: Literal["torch", "zero"]


@dataclass(frozen=True)
class Layer(ABC):
    """One step of a network."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """Parameters, by name."""
        return {}

    def start(self, first: Initialisation, generator: torch.Generator) -> Tensors:
        """One run's first parameters."""
        return {}

    @abstractmethod
    def after(self, before: Shape) -> Shape:
        """Shape of one output, given that of one input."""


@dataclass(frozen=True)
class SimpleLayer(Layer):
    """A layer that needs the signal alone and its own parameters."""

    @abstractmethod
    def __call__(self, tensors: Tensors, signal: Tensor) -> Tensor:
        """The signal after the layer."""


# ---- layers with weights ----


@dataclass(frozen=True)
class Linear(SimpleLayer):
    """A fully connected layer.

    Args:
        inputs: features before.
        outputs: features after.
    """

    inputs: int
    outputs: int

    @property
    def shapes(self) -> dict[str, Shape]:
        """Parameters, by name."""
        return {"weight": (self.inputs, self.outputs), "bias": (1, self.outputs)}

    def start(self, first: Initialisation, generator: torch.Generator) -> Tensors:
        """One run's first parameters."""
        bound = 1 / math.sqrt(self.inputs)
        if first.linear == "glorot":
            bound = math.sqrt(6 / (self.inputs + self.outputs))
        weight = _uniform(self.shapes["weight"], bound, generator)
        return {"weight": weight, "bias": self._bias(first, generator)}

    def _bias(self, first: Initialisation, generator: torch.Generator) -> Tensor:
        return _first_bias(self.shapes["bias"], self.inputs, first, generator)

    def after(self, before: Shape) -> Shape:
        """Shape of one output, given that of one input."""
        return (self.outputs,)

    def __call__(self, tensors: Tensors, signal: Tensor) -> Tensor:
        """The signal after the layer."""
        return torch.baddbmm(tensors["bias"], signal, tensors["weight"])


@dataclass(frozen=True)
class Conv(SimpleLayer):
    """A convolution.

    Args:
        inputs: channels before.
        outputs: channels after.
        kernel: height and width.
        stride: of its positions.
        padding: zeros around the image.
    """

    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0

    @property
    def shapes(self) -> dict[str, Shape]:
        """Parameters, by name."""
        weight = (self.outputs, self.inputs, self.kernel, self.kernel)
        return {"weight": weight, "bias": (self.outputs,)}

    def start(self, first: Initialisation, generator: torch.Generator) -> Tensors:
        """One run's first parameters."""
        area = self.kernel**2
        inputs, outputs = self.inputs * area, self.outputs * area
        thinned = outputs / self.stride**2
        weight = _first_weight(
            self.shapes["weight"], inputs, outputs, inputs + thinned, first, generator
        )
        bias = _first_bias(self.shapes["bias"], inputs, first, generator)
        return {"weight": weight, "bias": bias}

    def after(self, before: Shape) -> Shape:
        """Shape of one output, given that of one input."""
        sides = [
            (side + 2 * self.padding - self.kernel) // self.stride + 1
            for side in before[1:]
        ]
        return (self.outputs, *sides)

    def __call__(self, tensors: Tensors, signal: Tensor) -> Tensor:
        """The signal after the layer."""
        folded = functional.conv2d(
            fold(signal),
            tensors["weight"].flatten(0, 1),
            tensors["bias"].flatten(),
            stride=self.stride,
            padding=self.padding,
            groups=len(signal),
        )
        return unfold(folded, len(signal))


@dataclass(frozen=True)
class ConvTranspose(SimpleLayer):
    """A transposed convolution, which makes images larger.

    Args:
        inputs: channels before.
        outputs: channels after.
        kernel: height and width.
        stride: factor by which sides grow.
        padding: rows and columns cut off on each side.
        extra: rows and columns put back on one side.
    """

    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    extra: int = 0

    @property
    def shapes(self) -> dict[str, Shape]:
        """Parameters, by name."""
        weight = (self.inputs, self.outputs, self.kernel, self.kernel)
        return {"weight": weight, "bias": (self.outputs,)}

    def start(self, first: Initialisation, generator: torch.Generator) -> Tensors:
        """One run's first parameters."""
        area = self.kernel**2
        inputs, outputs = self.inputs * area, self.outputs * area
        thinned = inputs / self.stride**2
        # torch counts the second axis of a weight, here the outputs, as its inputs
        weight = _first_weight(
            self.shapes["weight"], outputs, inputs, thinned + outputs, first, generator
        )
        bias = _first_bias(self.shapes["bias"], outputs, first, generator)
        return {"weight": weight, "bias": bias}

    def after(self, before: Shape) -> Shape:
        """Shape of one output, given that of one input."""
        sides = [
            (side - 1) * self.stride - 2 * self.padding + self.kernel + self.extra
            for side in before[1:]
        ]
        return (self.outputs, *sides)

    def __call__(self, tensors: Tensors, signal: Tensor) -> Tensor:
        """The signal after the layer."""
        folded = functional.conv_transpose2d(
            fold(signal),
            tensors["weight"].flatten(0, 1),
            tensors["bias"].flatten(),
            stride=self.stride,
            padding=self.padding,
            output_padding=self.extra,
            groups=len(signal),
        )
        return unfold(folded, len(signal))


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation with the statistics of each run's own batch.

        s → γ (s − mean) / √(variance + ε) + β

    Args:
        channels: of images, or features.

    Source: Ioffe and Szegedy 2015.
    """

    channels: int

    @property
    def shapes(self) -> dict[str, Shape]:
        """Parameters, by name."""
        return {"scale": (self.channels,), "shift": (self.channels,)}

    def start(self, first: Initialisation, generator: torch.Generator) -> Tensors:
        """One run's first parameters: scale 1, shift 0."""
        return {
            "scale": torch.ones(self.channels),
            "shift": torch.zeros(self.channels),
        }

    def after(self, before: Shape) -> Shape:
        """Shape of one output, given that of one input."""
        return before

    def moments(self, signal: Tensor) -> Moments:
        """Mean and variance of a batch."""
        folded = fold(signal)
        axes = [0, *range(2, folded.ndim)]
        variance, mean = torch.var_mean(folded, axes, correction=0)
        return Moments(mean, variance)

    def __call__(
        self, tensors: Tensors, signal: Tensor, moments: Moments | None
    ) -> Tensor:
        """The signal after the layer.

        Args:
            tensors: scale and shift.
            signal: a batch of each run.
            moments: to normalise by; None takes the batch's own.
        """
        folded = functional.batch_norm(
            fold(signal),
            moments.mean if moments else None,
            moments.variance if moments else None,
            tensors["scale"].flatten(),
            tensors["shift"].flatten(),
            training=moments is None,
            eps=EPSILON,
        )
        return unfold(folded, len(signal))


# ---- layers without weights ----


@dataclass(frozen=True)
class Rectifier(SimpleLayer):
    """A leaky rectifier.

    Args:
        slope: below zero; 0 is the plain one.
    """

    slope: float = 0.0

    def after(self, before: Shape) -> Shape:
        """Shape of one output, given that of one input."""
        return before

    def __call__(self, tensors: Tensors, signal: Tensor) -> Tensor:
        """The signal after the layer."""
        if self.slope:
            return functional.leaky_relu(signal, self.slope)
        return signal.relu()


@dataclass(frozen=True)
class Tanh(SimpleLayer):
    """The hyperbolic tangent."""

    def after(self, before: Shape) -> Shape:
        """Shape of one output, given that of one input."""
        return before

    def __call__(self, tensors: Tensors, signal: Tensor) -> Tensor:
        """The signal after the layer."""
        return signal.tanh()


@dataclass(frozen=True)
class MaxPool(SimpleLayer):
    """The largest of each 2 x 2 pixels."""

    def after(self, before: Shape) -> Shape:
        """Shape of one output, given that of one input."""
        return (before[0], before[1] // 2, before[2] // 2)

    def __call__(self, tensors: Tensors, signal: Tensor) -> Tensor:
        """The signal after the layer."""
        return unfold(functional.max_pool2d(fold(signal), 2), len(signal))


@dataclass(frozen=True)
class Reshape(SimpleLayer):
    """Features as an image, or an image as features.

    Args:
        shape: of one output.
    """

    shape: Shape

    def after(self, before: Shape) -> Shape:
        """Shape of one output, given that of one input."""
        return self.shape

    def __call__(self, tensors: Tensors, signal: Tensor) -> Tensor:
        """The signal after the layer."""
        return signal.reshape(*signal.shape[:2], *self.shape)


@dataclass(frozen=True)
class Dropout(Layer):
    """Units dropped by a mask that comes with the minibatch.

    Args:
        share: of the units that are dropped.
    """

    share: float

    def after(self, before: Shape) -> Shape:
        """Shape of one output, given that of one input."""
        return before

    def __call__(self, signal: Tensor, mask: Tensor) -> Tensor:
        """The signal after the layer."""
        return signal * mask.unflatten(2, signal.shape[2:])


# ---- folding runs into channels ----


def fold(signal: Tensor) -> Tensor:
    """(runs, batch, channels, ...) as (batch, runs * channels, ...)."""
    return signal.transpose(0, 1).flatten(1, 2)


def unfold(folded: Tensor, runs: int) -> Tensor:
    """The inverse of `fold`."""
    return folded.unflatten(1, (runs, -1)).transpose(0, 1)


# ---- first parameters ----


def _uniform(shape: Shape, bound: float, generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(shape, generator=generator) - 1) * bound


def _first_weight(
    shape: Shape,
    inputs: float,
    outputs: float,
    thinned: float,
    first: Initialisation,
    generator: torch.Generator,
) -> Tensor:
    """A convolution's first weight.

    Args:
        shape: of the weight.
        inputs: numbers that one output sees.
        outputs: numbers that one input reaches.
        thinned: the sum of both, the stride considered.
        first: the law.
        generator: of the run.
    """
    law = first.convolution
    if isinstance(law, float):
        return law * torch.randn(shape, generator=generator)
    bounds = {
        "torch": 1 / math.sqrt(inputs),
        "glorot": math.sqrt(6 / (inputs + outputs)),
        "he": math.sqrt(12 / thinned),
    }
    return _uniform(shape, bounds[law], generator)


def _first_bias(
    shape: Shape, inputs: float, first: Initialisation, generator: torch.Generator
) -> Tensor:
    if first.bias == "zero":
        return torch.zeros(shape)
    return _uniform(shape, 1 / math.sqrt(inputs), generator)

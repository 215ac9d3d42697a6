"""Layers of networks on a flat parameter vector, with a leading `runs` axis.

A signal has shape (runs, batch, features) or (runs, batch, channels, height, width).
Convolutions fold the runs into groups of channels, so that one call serves all runs.
Shapes of parameters and of single inputs and outputs leave out `runs` and `batch`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional, init

Shape = tuple[int, ...]
Tensors = Mapping[str, Tensor]  # parameters by name, each with a leading `runs` axis
Inputs = Float[Tensor, "runs batch *input"]
Outputs = Float[Tensor, "runs batch *output"]

EPSILON = 1e-5  # added to the variance by batch normalisation, as torch's default


class Moments(NamedTuple):
    """Mean and variance of each channel of each run, shape (runs * channels,)."""

    mean: Float[Tensor, " run_channels"]
    variance: Float[Tensor, " run_channels"]


class Initialisation(NamedTuple):
    """The distribution of a network's initial parameters; by default torch's.

    Args:
        linear: distribution of the weights of linear layers: "torch" is uniform within
            ±1 / √inputs; "glorot" is uniform within ±√(6 / (inputs + outputs));
            "xavier" is the same distribution as drawn by torch's `xavier_uniform_`,
            which rounds differently; "orthogonal" draws orthogonal rows or columns.
        convolution: distribution of the weights of convolutions: "torch" and "glorot"
            as above, with kernel area times channels as inputs and outputs; "he" is
            uniform within ±√(12 / (inputs + outputs)), where the side that the stride
            thins out is divided by its square; a number is the standard deviation of a
            normal distribution.
        bias: distribution of the biases: "torch" is uniform within ±1 / √inputs.
        gain: factor of "orthogonal" weights.
    """

    linear: Literal["torch", "glorot", "xavier", "orthogonal"] = "torch"
    convolution: Literal["torch", "glorot", "he"] | float = "torch"
    bias: Literal["torch", "zero"] = "torch"
    gain: float = 1.0


@dataclass(frozen=True)
class Layer:
    """One step of a network; by default without parameters and keeping the shape."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """The name and the shape of each parameter of one run."""
        return {}

    def start(
        self, initialisation: Initialisation, generator: torch.Generator
    ) -> Tensors:
        """Draw one run's initial parameters, in float32 on the CPU.

        Args:
            initialisation: distribution of the parameters.
            generator: random generator of the run.

        Returns:
            Each parameter by name, of the shape in `shapes`.
        """
        return {}

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one output, given that of one input."""
        return input_shape


@dataclass(frozen=True)
class SimpleLayer(Layer, ABC):
    """A layer that needs nothing but its input and its own parameters."""

    @abstractmethod
    def __call__(self, tensors: Tensors, signal: Inputs) -> Outputs:
        """Compute the outputs of a batch.

        Args:
            tensors: parameters of all runs by name, shape (runs, *shape).
            signal: inputs, shape (runs, batch, *input).
        """


# ---- layers with weights ----


@dataclass(frozen=True)
class Linear(SimpleLayer):
    """A fully connected layer.

    Args:
        inputs: features of one input.
        outputs: features of one output.
    """

    inputs: int
    outputs: int

    @property
    def shapes(self) -> dict[str, Shape]:
        """The name and the shape of each parameter of one run."""
        return {"weight": (self.inputs, self.outputs), "bias": (1, self.outputs)}

    def start(
        self, initialisation: Initialisation, generator: torch.Generator
    ) -> Tensors:
        """Draw one run's initial weight and bias."""
        shapes = self.shapes
        weight = torch.zeros(shapes["weight"])
        match initialisation.linear:
            case "torch":
                bound = 1 / math.sqrt(self.inputs)
                weight = _uniform(shapes["weight"], bound, generator)
            case "glorot":
                bound = math.sqrt(6 / (self.inputs + self.outputs))
                weight = _uniform(shapes["weight"], bound, generator)
            case "xavier":
                init.xavier_uniform_(weight, generator=generator)
            case "orthogonal":
                init.orthogonal_(weight, initialisation.gain, generator)
        bias = _bias(shapes["bias"], self.inputs, initialisation, generator)
        return {"weight": weight, "bias": bias}

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one output, given that of one input."""
        return (self.outputs,)

    def __call__(self, tensors: Tensors, signal: Inputs) -> Outputs:
        """Compute the outputs of a batch."""
        return torch.baddbmm(tensors["bias"], signal, tensors["weight"])


@dataclass(frozen=True)
class Conv(SimpleLayer):
    """A convolution of images.

    Args:
        inputs: channels of one input.
        outputs: channels of one output.
        kernel: height and width of the kernel, in pixels.
        stride: pixels from one position of the kernel to the next.
        padding: rows and columns of zeros added on each side.
    """

    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0

    @property
    def shapes(self) -> dict[str, Shape]:
        """The name and the shape of each parameter of one run."""
        weight = (self.outputs, self.inputs, self.kernel, self.kernel)
        return {"weight": weight, "bias": (self.outputs,)}

    def start(
        self, initialisation: Initialisation, generator: torch.Generator
    ) -> Tensors:
        """Draw one run's initial weight and bias."""
        area = self.kernel**2
        inputs, outputs = self.inputs * area, self.outputs * area
        thinned = inputs + outputs / self.stride**2
        return _convolution_start(
            self.shapes, inputs, outputs, thinned, initialisation, generator
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one output, given that of one input."""
        sides = [
            (side + 2 * self.padding - self.kernel) // self.stride + 1
            for side in input_shape[1:]
        ]
        return (self.outputs, *sides)

    def __call__(self, tensors: Tensors, signal: Inputs) -> Outputs:
        """Compute the outputs of a batch."""
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
        inputs: channels of one input.
        outputs: channels of one output.
        kernel: height and width of the kernel, in pixels.
        stride: factor by which height and width grow.
        padding: rows and columns cut off on each side.
        extra: rows and columns put back at the bottom and on the right.
    """

    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    extra: int = 0

    @property
    def shapes(self) -> dict[str, Shape]:
        """The name and the shape of each parameter of one run."""
        weight = (self.inputs, self.outputs, self.kernel, self.kernel)
        return {"weight": weight, "bias": (self.outputs,)}

    def start(
        self, initialisation: Initialisation, generator: torch.Generator
    ) -> Tensors:
        """Draw one run's initial weight and bias."""
        area = self.kernel**2
        inputs, outputs = self.inputs * area, self.outputs * area
        thinned = inputs / self.stride**2 + outputs
        # torch counts the second axis of a weight, here the outputs, as its inputs.
        return _convolution_start(
            self.shapes, outputs, inputs, thinned, initialisation, generator
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one output, given that of one input."""
        sides = [
            (side - 1) * self.stride - 2 * self.padding + self.kernel + self.extra
            for side in input_shape[1:]
        ]
        return (self.outputs, *sides)

    def __call__(self, tensors: Tensors, signal: Inputs) -> Outputs:
        """Compute the outputs of a batch."""
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
        channels: channels of images, or features.

    Source: Ioffe and Szegedy 2015.
    """

    channels: int

    @property
    def shapes(self) -> dict[str, Shape]:
        """The name and the shape of each parameter of one run."""
        return {"scale": (self.channels,), "shift": (self.channels,)}

    def start(
        self, initialisation: Initialisation, generator: torch.Generator
    ) -> Tensors:
        """Return one run's initial parameters: scale 1 and shift 0."""
        return {
            "scale": torch.ones(self.channels),
            "shift": torch.zeros(self.channels),
        }

    def moments(self, signal: Inputs) -> Moments:
        """Return the mean and the variance of each channel over a batch."""
        folded = fold(signal)
        axes = [0, *range(2, folded.ndim)]
        variance, mean = torch.var_mean(folded, axes, correction=0)
        return Moments(mean, variance)

    def __call__(
        self, tensors: Tensors, signal: Inputs, moments: Moments | None
    ) -> Outputs:
        """Compute the outputs of a batch.

        Args:
            tensors: scale γ and shift β of all runs, each of shape (runs, channels).
            signal: inputs, shape (runs, batch, channels, ...).
            moments: statistics to normalise by; None takes those of the batch.
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


def rectified(signal: Inputs, slope: float) -> Outputs:
    """Return numbers, those below zero times a slope."""
    return functional.leaky_relu(signal, slope) if slope else signal.relu()


@dataclass(frozen=True)
class Rectifier(SimpleLayer):
    """A leaky rectifier.

    Args:
        slope: slope below zero; 0 makes it an ordinary rectifier.
    """

    slope: float = 0.0

    def __call__(self, tensors: Tensors, signal: Inputs) -> Outputs:
        """Compute the outputs of a batch."""
        return rectified(signal, self.slope)


@dataclass(frozen=True)
class Tanh(SimpleLayer):
    """The hyperbolic tangent."""

    def __call__(self, tensors: Tensors, signal: Inputs) -> Outputs:
        """Compute the outputs of a batch."""
        return signal.tanh()


@dataclass(frozen=True)
class MaxPool(SimpleLayer):
    """The maximum over each 2 x 2 pixels of an image."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one output, given that of one input."""
        return (input_shape[0], input_shape[1] // 2, input_shape[2] // 2)

    def __call__(self, tensors: Tensors, signal: Inputs) -> Outputs:
        """Compute the outputs of a batch."""
        return unfold(functional.max_pool2d(fold(signal), 2), len(signal))


@dataclass(frozen=True)
class Reshape(SimpleLayer):
    """A change from features to an image, or from an image to features.

    Args:
        shape: shape of one output.
    """

    shape: Shape

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one output, given that of one input."""
        return self.shape

    def __call__(self, tensors: Tensors, signal: Inputs) -> Outputs:
        """Compute the outputs of a batch."""
        return signal.reshape(*signal.shape[:2], *self.shape)


@dataclass(frozen=True)
class Dropout(Layer):
    """Dropout of units by a mask that comes with the minibatch.

    Args:
        share: share of the units that are dropped, from 0 to below 1.
    """

    share: float

    def __call__(
        self, signal: Inputs, mask: Float[Tensor, "runs batch units"]
    ) -> Outputs:
        """Compute the outputs of a batch.

        Args:
            signal: inputs, shape (runs, batch, *input).
            mask: factor of each unit of the flattened input.
        """
        return signal * mask.unflatten(2, signal.shape[2:])


# ---- folding runs into channels ----


def fold(
    signal: Float[Tensor, "runs batch channels *rest"],
) -> Float[Tensor, "batch run_channels *rest"]:
    """Turn (runs, batch, channels, ...) into (batch, runs * channels, ...)."""
    return signal.transpose(0, 1).flatten(1, 2)


def unfold(
    folded: Float[Tensor, "batch run_channels *rest"], runs: int
) -> Float[Tensor, "runs batch channels *rest"]:
    """Turn (batch, runs * channels, ...) into (runs, batch, channels, ...)."""
    return folded.unflatten(1, (runs, -1)).transpose(0, 1)


# ---- initial parameters ----


def _uniform(shape: Shape, bound: float, generator: torch.Generator) -> Tensor:
    """Draw numbers that are uniform between minus and plus the bound."""
    return (2 * torch.rand(shape, generator=generator) - 1) * bound


def _convolution_start(
    shapes: dict[str, Shape],
    inputs: float,
    outputs: float,
    thinned: float,
    initialisation: Initialisation,
    generator: torch.Generator,
) -> Tensors:
    """Draw the initial weight and bias of a convolution.

    Args:
        shapes: shapes of weight and bias.
        inputs: numbers that one output depends on, as torch counts them.
        outputs: numbers that one input affects, as torch counts them.
        thinned: sum of both, where one is divided by the square of the stride.
        initialisation: distribution of the parameters.
        generator: random generator of the run.
    """
    distribution = initialisation.convolution
    if isinstance(distribution, float):
        weight = distribution * torch.randn(shapes["weight"], generator=generator)
    else:
        bounds = {
            "torch": 1 / math.sqrt(inputs),
            "glorot": math.sqrt(6 / (inputs + outputs)),
            "he": math.sqrt(12 / thinned),
        }
        weight = _uniform(shapes["weight"], bounds[distribution], generator)
    return {
        "weight": weight,
        "bias": _bias(shapes["bias"], inputs, initialisation, generator),
    }


def _bias(
    shape: Shape,
    inputs: float,
    initialisation: Initialisation,
    generator: torch.Generator,
) -> Tensor:
    """Draw the initial bias of a layer, given the numbers that one output sees."""
    if initialisation.bias == "zero":
        return torch.zeros(shape)
    return _uniform(shape, 1 / math.sqrt(inputs), generator)

"""Networks as functions of a flat parameter vector, with a leading `runs` axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize
from torch.overrides import handle_torch_function, has_torch_function

from mmbench.core.vectors import Layout
from mmbench.tasks._layers import (
    BatchNorm,
    Dropout,
    Initialisation,
    Layer,
    Linear,
    Moments,
    Rectifier,
    Shape,
    SimpleLayer,
    Tanh,
    rectified,
)

WARMUP_ITERATIONS = 15  # of the power method, as in torch's spectral_norm


@dataclass(frozen=True)
class Network:
    """A chain of layers, as a function of a flat parameter vector.

    Args:
        input_shape: shape of one input.
        layers: layers from the input to the output.
        normalised: whether each weight is divided by its largest singular value.

    Source: Miyato, Kataoka, Koyama and Yoshida 2018, for spectral normalisation.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    normalised: bool = False

    @cached_property
    def layout(self) -> Layout:
        """The position of each parameter on the flat vector."""
        return Layout(
            {
                f"{i}.{name}": shape
                for i, layer in enumerate(self.layers)
                for name, shape in layer.shapes.items()
            }
        )

    @cached_property
    def output_shape(self) -> Shape:
        """The shape of one output."""
        return self._shapes[-1]

    @cached_property
    def _shapes(self) -> list[Shape]:
        """The shape of one input of each layer, then that of one output."""
        shapes = [self.input_shape]
        for layer in self.layers:
            shapes.append(layer.output_shape(shapes[-1]))
        return shapes

    @cached_property
    def _leading(self) -> list[tuple[int, float | None]]:
        """The linear layers that the network begins with.

        Each one has its number, and the slope of the rectifier after it, if it has one.
        """
        found: list[tuple[int, float | None]] = []
        for i, layer in enumerate(self.layers):
            if type(layer) is Linear:
                found.append((i, None))
            elif type(layer) is Rectifier and found and found[-1][1] is None:
                found[-1] = found[-1][0], layer.slope
            else:
                break
        return found

    @cached_property
    def _leading_end(self) -> int:
        """The number of the first layer after those that the network begins with."""
        return sum(1 if slope is None else 2 for _, slope in self._leading)

    @cached_property
    def has_batch_norm(self) -> bool:
        """Whether an output depends on the batch that its input is in."""
        return self._norms > 0

    @cached_property
    def _norms(self) -> int:
        return sum(isinstance(layer, BatchNorm) for layer in self.layers)

    @cached_property
    def dropout(self) -> float:
        """The share of units that a dropout mask drops; 0 without dropout."""
        shares = [layer.share for layer in self.layers if isinstance(layer, Dropout)]
        return max(shares, default=0.0)

    @cached_property
    def mask_width(self) -> int:
        """The length of one input's dropout masks, all layers together."""
        return sum(
            math.prod(shape)
            for layer, shape in zip(self.layers, self._shapes, strict=False)
            if isinstance(layer, Dropout) and layer.share
        )

    def __call__(
        self,
        flat: Float[Tensor, "runs size"],
        inputs: Float[Tensor, "runs batch *input"],
        masks: Float[Tensor, "runs batch units"] | None = None,
        *,
        moments: Sequence[Moments] | None = None,
        vectors: Sequence[Float[Tensor, "runs _"]] = (),
        with_features: bool = False,
    ) -> Float[Tensor, "runs batch *output"]:
        """Compute the outputs of each run's network.

        Args:
            flat: parameters of each run, as `layout` places them.
            inputs: one batch for each run.
            masks: 1 / (1 - dropout) where a unit stays and 0 where it is dropped, the
                layers in order; None switches dropout off.
            moments: statistics that batch normalisations use, in order; None takes
                those of each batch.
            vectors: singular vectors as `power_iteration` returns them, where weights
                are normalised.
            with_features: whether the inputs of the last layer follow its outputs.
        """
        return self._run(flat, inputs, masks, moments, vectors, None, with_features)

    def moments(
        self, flat: Float[Tensor, "runs size"], inputs: Float[Tensor, "runs batch *i"]
    ) -> list[Moments]:
        """Return the statistics that each batch normalisation sees, in order.

        Args:
            flat: parameters of each run.
            inputs: one batch for each run.
        """
        seen: list[Moments] = []
        if self.has_batch_norm:
            self._run(flat, inputs, None, None, (), seen)
        return seen

    def _run(
        self,
        flat: Tensor,
        signal: Tensor,
        masks: Tensor | None,
        moments: Sequence[Moments] | None,
        vectors: Sequence[Tensor],
        seen: list[Moments] | None,
        with_features: bool = False,
    ) -> Tensor:
        """Compute the outputs; with `seen`, only append the moments to it."""
        tensors = self.layout.split(flat)
        if self.normalised:
            tensors = self._divided(tensors, vectors)
        used, norms, features = 0, 0, signal
        first = 0
        if self._leading and not with_features:  # these are inputs of the last layer
            signal = linear_layers(
                signal,
                [
                    LinearLayer(tensors[f"{i}.weight"], tensors[f"{i}.bias"], slope)
                    for i, slope in self._leading
                ],
            )
            first = self._leading_end
        for i, layer in enumerate(self.layers[first:], first):
            own = {name: tensors[f"{i}.{name}"] for name in layer.shapes}
            features = signal
            if isinstance(layer, Dropout):
                if masks is not None and layer.share:
                    width = math.prod(self._shapes[i])
                    signal = layer(signal, masks[:, :, used : used + width])
                    used += width
            elif isinstance(layer, BatchNorm):
                if seen is not None:
                    seen.append(layer.moments(signal))
                    if len(seen) == self._norms:
                        return signal
                signal = layer(own, signal, moments[norms] if moments else None)
                norms += 1
            else:
                assert isinstance(layer, SimpleLayer)
                signal = layer(own, signal)
        return torch.cat((signal, features), dim=2) if with_features else signal

    # ---- the last layer ----

    @property
    def features(self) -> int:
        """The number of inputs of the last layer."""
        return math.prod(self._shapes[-2])

    def with_outputs(self, count: int) -> "Network":
        """Return the network with another number of outputs.

        Args:
            count: number of outputs; the last layer must be linear.
        """
        last = self.layers[-1]
        assert isinstance(last, Linear)
        return replace(self, layers=(*self.layers[:-1], replace(last, outputs=count)))

    # ---- parameters at the start ----

    def start(
        self, initialisation: Initialisation, generator: torch.Generator
    ) -> Float[Tensor, " size"]:
        """Draw one run's initial parameters, in float32 on the CPU.

        Args:
            initialisation: distribution of the parameters.
            generator: random generator of the run.
        """
        tensors = {
            f"{i}.{name}": tensor
            for i, layer in enumerate(self.layers)
            for name, tensor in layer.start(initialisation, generator).items()
        }
        return self.layout.join(tensors)

    # ---- spectral normalisation ----

    @cached_property
    def _weights(self) -> list[str]:
        """The name of each weight on the flat vector."""
        return [name for name in self.layout.shapes if name.endswith(".weight")]

    def first_vectors(
        self, flat: Float[Tensor, "runs size"]
    ) -> tuple[Float[Tensor, "runs _"], ...]:
        """Return singular vectors before the first step; none without normalisation.

        Args:
            flat: parameters of each run.

        Returns:
            The left and the right vector of each weight in turn.
        """
        if not self.normalised:
            return ()
        generator = torch.Generator().manual_seed(0)  # one direction for all runs
        vectors: list[Tensor] = []
        for name in self._weights:
            shape = self.layout.shapes[name]
            for length in (shape[0], math.prod(shape[1:])):
                drawn = torch.randn(length, generator=generator).to(flat)
                vectors.append((drawn / drawn.norm()).expand(len(flat), -1))
        for _ in range(WARMUP_ITERATIONS):
            vectors = list(self.power_iteration(flat, vectors))
        return tuple(vectors)

    def power_iteration(
        self,
        flat: Float[Tensor, "runs size"],
        vectors: Sequence[Float[Tensor, "runs _"]],
    ) -> tuple[Float[Tensor, "runs _"], ...]:
        """Return the singular vectors after one iteration of the power method.

        Args:
            flat: parameters of each run.
            vectors: the left and the right vector of each weight in turn.
        """
        tensors = self.layout.split(flat)
        improved: list[Tensor] = []
        for name, left in zip(self._weights, vectors[::2], strict=True):
            matrix = tensors[name].flatten(2)
            right = normalize(torch.einsum("rij,ri->rj", matrix, left))
            improved += [normalize(torch.einsum("rij,rj->ri", matrix, right)), right]
        return tuple(improved)

    def _divided(
        self, tensors: dict[str, Tensor], vectors: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Divide each weight by its norm, the singular vectors being constants."""
        divided = dict(tensors)
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        for name, (left, right) in zip(self._weights, pairs, strict=True):
            weight = tensors[name]
            norm = torch.einsum("ri,rij,rj->r", left, weight.flatten(2), right)
            divided[name] = weight / norm.view(-1, *[1] * (weight.ndim - 1))
        return divided


class LinearLayer(NamedTuple):
    """A linear layer of each run, and the rectifier after it.

    Args:
        weight: shape (runs, inputs, outputs).
        bias: shape (runs, 1, outputs).
        slope: slope of the rectifier below zero; None where there is none.
    """

    weight: Float[Tensor, "runs inputs outputs"]
    bias: Float[Tensor, "runs 1 outputs"]
    slope: float | None


def linear_layers(
    signal: Float[Tensor, "runs batch inputs"], layers: Sequence[LinearLayer]
) -> Float[Tensor, "runs batch outputs"]:
    """Return the outputs of linear layers one after the other.

    Modes and subclasses of torch see it in place of the functions that it calls, and
    may compute it otherwise.

    Args:
        signal: inputs of the first layer.
        layers: the layers.
    """
    if has_torch_function((signal,)):
        return handle_torch_function(linear_layers, (signal,), signal, layers)
    for weight, bias, slope in layers:
        signal = torch.baddbmm(bias, signal, weight)
        if slope is not None:
            signal = rectified(signal, slope)
    return signal


def mlp(
    widths: Sequence[int],
    slope: float = 0.0,
    dropout: float = 0.0,
    dropped: int = 0,
    squash: bool = False,
) -> Network:
    """Return a multilayer perceptron: linear layers with rectifiers between them.

    Args:
        widths: features of the input, of each hidden layer and of the output.
        slope: slope of the rectifiers below zero; 0 makes them ordinary ones.
        dropout: share of units dropped after each of the first `dropped` hidden layers.
        dropped: number of hidden layers with dropout.
        squash: whether the output passes through tanh.
    """
    layers: list[Layer] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths), 1):
        layers.append(Linear(inputs, outputs))
        if i < len(widths) - 1:
            layers.append(Rectifier(slope))
            if dropout and i <= dropped:
                layers.append(Dropout(dropout))
    if squash:
        layers.append(Tanh())
    return Network((widths[0],), tuple(layers))

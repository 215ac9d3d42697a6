"""Networks as functions of a flat vector, with a leading `runs` axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import init
from torch.nn.functional import leaky_relu, normalize

from mmbench.core.vectors import Layout
from mmbench.tasks._layers import (
    BatchNorm,
    Dropout,
    Initialisation,
    Layer,
    Moments,
    Shape,
    SimpleLayer,
)

WARM = 15  # power iterations before the first step, as torch's spectral_norm


@dataclass(frozen=True)
class MLP:
    """Fully connected layers with a leaky rectifier between them.

    Args:
        widths: of the input, each hidden layer and the output.
        slope: of the rectifier below zero; 0 is the plain one.
        dropout: share of units dropped after each of the first `dropped` hidden layers.
        dropped: hidden layers with dropout.
        squash: whether the output passes through tanh.
    """

    widths: tuple[int, ...]
    slope: float = 0.0
    dropout: float = 0.0
    dropped: int = 0
    squash: bool = False

    @property
    def input_shape(self) -> Shape:
        """Of one input."""
        return self.widths[:1]

    @property
    def layout(self) -> Layout:
        """Where weights and biases lie on the flat vector."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (before, after) in enumerate(
            zip(self.widths, self.widths[1:], strict=False)
        ):
            shapes[f"weight{i}"] = (before, after)
            shapes[f"bias{i}"] = (1, after)
        return Layout(shapes)

    @property
    def mask_width(self) -> int:
        """Dropout masks of one input, all layers together."""
        return sum(self.widths[1 : 1 + self.dropped]) if self.dropout else 0

    def __call__(
        self,
        flat: Float[Tensor, "runs size"],
        inputs: Float[Tensor, "runs batch features"],
        masks: Float[Tensor, "runs batch units"] | None = None,
    ) -> Float[Tensor, "runs batch outputs"]:
        """Outputs of each run's network.

        Args:
            flat: parameters, laid out as `layout` says.
            inputs: one batch a run.
            masks: 1 / (1 - dropout) where a unit stays and 0 where it is dropped, the
                layers side by side; None switches dropout off.
        """
        tensors = self.layout.split(flat)
        h, last, offset = inputs, len(self.widths) - 2, 0
        for i in range(last + 1):
            h = torch.baddbmm(tensors[f"bias{i}"], h, tensors[f"weight{i}"])
            if i == last:
                break
            h = leaky_relu(h, self.slope) if self.slope else h.relu()
            if i < self.dropped and masks is not None:
                width = self.widths[i + 1]
                h = h * masks[:, :, offset : offset + width]
                offset += width
        return h.tanh() if self.squash else h

    def start(
        self,
        generator: torch.Generator,
        law: Literal["orthogonal", "glorot"],
        gain: float = 1.0,
    ) -> Float[Tensor, "size"]:
        """One run's first parameters: weights by a law, biases zero.

        Args:
            generator: of the run.
            law: "orthogonal" rows or columns, or "glorot", uniform within
                ±√(6 / (inputs + outputs)).
            gain: factor of the weights.
        """
        tensors = {}
        for name, shape in self.layout.shapes.items():
            tensor = torch.zeros(shape)
            if name.startswith("weight"):
                fill = init.orthogonal_ if law == "orthogonal" else init.xavier_uniform_
                fill(tensor, gain=gain, generator=generator)
            tensors[name] = tensor
        return self.layout.join(tensors)


@dataclass(frozen=True)
class Network:
    """Layers one after the other, as a function of a flat vector.

    Args:
        input_shape: of one input.
        layers: in order.
        normalised: whether every weight is divided by its spectral norm.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    normalised: bool = False

    @cached_property
    def layout(self) -> Layout:
        """Where parameters lie on the flat vector."""
        return Layout(
            {
                f"{i}.{name}": shape
                for i, layer in enumerate(self.layers)
                for name, shape in layer.shapes.items()
            }
        )

    @cached_property
    def output_shape(self) -> Shape:
        """Of one output."""
        return self._shapes[-1]

    @cached_property
    def _shapes(self) -> list[Shape]:
        shapes = [self.input_shape]
        for layer in self.layers:
            shapes.append(layer.after(shapes[-1]))
        return shapes

    @cached_property
    def dropout(self) -> float:
        """Share of units that a mask drops; 0 without dropout."""
        return max((one.share for one in self.layers if _drops(one)), default=0.0)

    @cached_property
    def mask_width(self) -> int:
        """Dropout masks of one input, all layers together."""
        return sum(
            math.prod(shape)
            for layer, shape in zip(self.layers, self._shapes, strict=False)
            if _drops(layer)
        )

    def __call__(
        self,
        flat: Float[Tensor, "runs size"],
        inputs: Float[Tensor, "runs batch *input"],
        masks: Float[Tensor, "runs batch units"] | None = None,
        *,
        moments: Sequence[Moments] | None = None,
        vectors: Sequence[Tensor] = (),
    ) -> Float[Tensor, "runs batch *output"]:
        """Outputs of each run's network.

        Args:
            flat: parameters, laid out as `layout` says.
            inputs: one batch a run.
            masks: 1 / (1 - dropout) where a unit stays and 0 where it is dropped, the
                layers side by side; None switches dropout off.
            moments: what batch normalisations use, in order; None takes each batch's
                own.
            vectors: singular vectors, as `power_iteration` gives them, where weights
                are normalised.
        """
        return self._run(flat, inputs, masks, moments, vectors, None)

    def moments(
        self, flat: Float[Tensor, "runs size"], inputs: Float[Tensor, "runs batch *i"]
    ) -> list[Moments]:
        """What each batch normalisation sees of these inputs, in order."""
        seen: list[Moments] = []
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
    ) -> Tensor:
        tensors = self.layout.split(flat)
        if self.normalised:
            tensors = self._divided(tensors, vectors)
        used, norms = 0, 0
        for i, layer in enumerate(self.layers):
            own = {name: tensors[f"{i}.{name}"] for name in layer.shapes}
            if isinstance(layer, Dropout):
                if masks is not None and _drops(layer):
                    width = math.prod(self._shapes[i])
                    signal = layer(signal, masks[:, :, used : used + width])
                    used += width
            elif isinstance(layer, BatchNorm):
                if seen is not None:
                    seen.append(layer.moments(signal))
                signal = layer(own, signal, moments[norms] if moments else None)
                norms += 1
            else:
                assert isinstance(layer, SimpleLayer)
                signal = layer(own, signal)
        return signal

    def start(
        self, first: Initialisation, generator: torch.Generator
    ) -> Float[Tensor, "size"]:
        """One run's first parameters.

        Args:
            first: their law.
            generator: of the run.
        """
        tensors = {
            f"{i}.{name}": tensor
            for i, layer in enumerate(self.layers)
            for name, tensor in layer.start(first, generator).items()
        }
        return self.layout.join(tensors)

    # ---- spectral normalisation ----

    @cached_property
    def _weights(self) -> list[str]:
        return [name for name in self.layout.shapes if name.endswith(".weight")]

    def first_vectors(self, flat: Float[Tensor, "runs size"]) -> tuple[Tensor, ...]:
        """Singular vectors of each weight, left then right, before the first step."""
        if not self.normalised:
            return ()
        generator = torch.Generator().manual_seed(0)  # a direction, the same for all
        vectors: list[Tensor] = []
        for name in self._weights:
            shape = self.layout.shapes[name]
            for length in (shape[0], math.prod(shape[1:])):
                drawn = torch.randn(length, generator=generator).to(flat)
                vectors.append((drawn / drawn.norm()).expand(len(flat), -1))
        for _ in range(WARM):
            vectors = list(self.power_iteration(flat, vectors))
        return tuple(vectors)

    def power_iteration(
        self, flat: Float[Tensor, "runs size"], vectors: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Singular vectors after one power iteration with these weights."""
        tensors, better = self.layout.split(flat), []
        for name, left in zip(self._weights, vectors[::2], strict=True):
            matrix = tensors[name].flatten(2)
            right = normalize(torch.einsum("rij,ri->rj", matrix, left))
            better += [normalize(torch.einsum("rij,rj->ri", matrix, right)), right]
        return tuple(better)

    def _divided(
        self, tensors: dict[str, Tensor], vectors: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Tensors with each weight over its norm, the vectors being constants."""
        divided = dict(tensors)
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        for name, (left, right) in zip(self._weights, pairs, strict=True):
            weight = tensors[name]
            norm = torch.einsum("ri,rij,rj->r", left, weight.flatten(2), right)
            divided[name] = weight / norm.view(-1, *[1] * (weight.ndim - 1))
        return divided


def _drops(layer: Layer) -> bool:
    return isinstance(layer, Dropout) and layer.share > 0

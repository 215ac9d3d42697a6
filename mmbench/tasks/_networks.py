"""Small networks as functions of a flat vector, with a leading `runs` axis."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import init
from torch.nn.functional import leaky_relu

from mmbench.core.vectors import Layout


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

"""A GAN on a ring of four modes, between which simultaneous training cycles."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Bound, Count, Scale
from mmbench.core.literature import MANGOUBI_2020
from mmbench.core.placement import Placement
from mmbench.tasks._gan import GANGame, GANTask
from mmbench.tasks._gan_losses import GANLoss
from mmbench.tasks._layers import Initialisation
from mmbench.tasks._networks import mlp
from mmbench.tasks._regularisers import (
    UNLESS_DEFAULT,
    Regulariser,
    Regularisers,
    clipping,
)
from mmbench.tasks.base import Target


@final
@dataclass(frozen=True, kw_only=True)
class FourGaussians(GANTask):
    """Four Gaussians: a GAN on a mixture of four narrow modes on the unit circle.

        modes (0, 1), (1, 0), (0, −1), (−1, 0), each with standard deviation 0.01

    Both players are perceptrons with two hidden layers; the defaults are the authors'.

    Args:
        weights: weights of the modes: "released" is 2/5, 1/5, 1/5, 1/5, as in the
            authors' code (its five angles hold the first mode twice); "uniform" is 1/4
            each, as in their text.
        loss: "saturating" (the authors' and zero-sum), "nonsaturating", "wasserstein"
            or a description such as `fgan[divergence=kl]`.
        hidden: width of each hidden layer.
        noise: length of the generator's input.
        batch: real points in a minibatch, and as many generated ones.
        clip: largest absolute weight of the discriminator; 0 leaves it free.
        gain: factor of the orthogonal initial weights.
        regularisers: penalties and constraints on the discriminator, such as
            `(r1[weight=1],spectral)`.

    Source: Mangoubi, Sachdeva and Vishnoi 2020, and their notebook.
    """

    weights: Literal["released", "uniform"] = "released"
    loss: GANLoss = "saturating"
    hidden: Count = 128
    noise: Count = 256
    batch: Count = 512
    clip: Bound = 0.0
    gain: Scale = 0.8
    regularisers: Regularisers = field(default=(), metadata=UNLESS_DEFAULT)

    source = MANGOUBI_2020

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        return super().gives | {Capability.MODES}

    @property
    def all_regularisers(self) -> Iterable[Regulariser]:
        """The regularisers, and the bound on the discriminator's weights."""
        return (*clipping(self.clip), *self.regularisers)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of the metrics measured when none are chosen."""
        return ("mode_coverage", "sliced_wasserstein", "forgetting[of=modes]")

    @property
    def target(self) -> Target:
        """The bounds that a run must reach."""
        # Most samples must lie near a mode, because a diffuse cloud touches all four.
        return Target("mode_coverage", at_least=(("modes", 4), ("near_mode", 0.7)))

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU."""
        return 8 if self.hidden >= 128 else 16

    def build(self, placement: Placement) -> "FourGaussiansGame":
        """Build the game."""
        return FourGaussiansGame(self, placement)

    @property
    def initialisation(self) -> Initialisation:
        """Orthogonal weights times the gain, and zero biases."""
        return Initialisation(linear="orthogonal", bias="zero", gain=self.gain)


class FourGaussiansGame(GANGame):
    """The GAN on points of the plane.

    Attributes:
        modes: mean of each Gaussian, shape (4, 2), on the CPU.
        mode_weights: share of the data of each, shape (4,), on the CPU.
        deviation: standard deviation of each Gaussian along each axis.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    deviation = 0.01

    def __init__(self, task: FourGaussians, placement: Placement) -> None:
        super().__init__(
            mlp((task.noise, task.hidden, task.hidden, 2)),
            mlp((2, task.hidden, task.hidden, 1)),
            task.loss,
            task.batch,
            task.all_regularisers,
            placement,
        )
        shares = (2, 1, 1, 1) if task.weights == "released" else (1, 1, 1, 1)
        self.mode_weights = torch.tensor(shares) / sum(shares)
        angles = torch.arange(4) * (math.pi / 2)
        self.modes = torch.stack((angles.sin(), angles.cos()), dim=1)

    def draw_real(
        self, generator: torch.Generator, count: int
    ) -> Float[Tensor, "count batch 2"]:
        """Draw minibatches of real points of one run, on the CPU."""
        total = count * self.batch_size
        which = torch.multinomial(
            self.mode_weights, total, replacement=True, generator=generator
        )
        noise = torch.randn(total, 2, generator=generator)
        points = self.modes[which] + self.deviation * noise
        return points.view(count, self.batch_size, 2).to(self.dtype)

    def sheet(
        self, z: Float[Tensor, "runs dim"], seeds: tuple[int, ...]
    ) -> Float[Tensor, "runs 512 2"]:
        """Return the 512 points of each run that the authors' scatter plot shows."""
        return self.generate(z, 512, seeds)

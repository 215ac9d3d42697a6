"""A GAN on a ring of four modes, between which simultaneous training cycles."""

import math
from dataclasses import dataclass, field
from typing import Literal, final

import torch

from mmbench.core.description import UNLESS_DEFAULT
from mmbench.core.domains import Bound, Count, Scale
from mmbench.core.literature import MANGOUBI_2020
from mmbench.tasks._gan_losses import GANLoss
from mmbench.tasks._mixture_gan import Mixture, MixtureTask
from mmbench.tasks._regularisers import (
    Regularisers,
)
from mmbench.tasks.base import Target


@final
@dataclass(frozen=True, kw_only=True)
class FourGaussians(MixtureTask):
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
    def mixture(self) -> Mixture:
        """The distribution of the data."""
        shares = (2, 1, 1, 1) if self.weights == "released" else (1, 1, 1, 1)
        angles = torch.arange(4) * (math.pi / 2)
        modes = torch.stack((angles.sin(), angles.cos()), dim=1)
        return Mixture(modes, torch.tensor(shares) / sum(shares), 0.01)

    @property
    def target(self) -> Target:
        """The bounds that a run must reach."""
        # Most samples must lie near a mode, because a diffuse cloud touches all four.
        return Target("mode_coverage", at_least=(("modes", 4), ("near_mode", 0.7)))

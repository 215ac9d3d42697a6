"""A GAN on the ring of eight modes or the grid of twenty-five."""

import math
from dataclasses import dataclass
from typing import Literal, final

import torch

from mmbench.core.domains import Bound, Count, Scale
from mmbench.core.literature import SRIVASTAVA_2017
from mmbench.tasks._gan_losses import GANLoss
from mmbench.tasks._mixture_gan import Mixture, MixtureTask
from mmbench.tasks._regularisers import Regularisers
from mmbench.tasks.base import Target


@final
@dataclass(frozen=True, kw_only=True)
class GaussianMixture(MixtureTask):
    """Gaussian mixture: a GAN on 8 or 25 equal, narrow modes in the plane.

        ring  8 modes on the unit circle, standard deviation 0.01
        grid  25 modes at {−4, −2, 0, 2, 4}², standard deviation 0.05

    Both players are perceptrons with two hidden layers.

    Args:
        layout: "ring" or "grid".
        loss: "saturating", "nonsaturating", "wasserstein" or a description such as
            `fgan[divergence=kl]`.
        regularisers: penalties and constraints on the discriminator, such as
            `(r1[weight=1],spectral)`.
        hidden: width of each hidden layer.
        noise: length of the generator's input.
        batch: real points in a minibatch, and as many generated ones.
        clip: largest absolute weight of the discriminator; 0 leaves it free.
        gain: factor of the orthogonal initial weights.

    Differs from the source: networks and initial weights are those of four_gaussians.
    Source: Srivastava, Valkov, Russell, Gutmann and Sutton 2017, for the data.
    """

    layout: Literal["ring", "grid"] = "ring"
    loss: GANLoss = "nonsaturating"
    regularisers: Regularisers = ()
    hidden: Count = 128
    noise: Count = 256
    batch: Count = 512
    clip: Bound = 0.0
    gain: Scale = 0.8

    source = SRIVASTAVA_2017

    @property
    def mixture(self) -> Mixture:
        """The distribution of the data."""
        if self.layout == "grid":
            line = torch.arange(-4.0, 5.0, 2.0)
            modes, deviation = torch.cartesian_prod(line, line), 0.05
        else:
            angles = torch.arange(8) * (math.pi / 4)
            modes, deviation = torch.stack((angles.sin(), angles.cos()), dim=1), 0.01
        weights = torch.full((len(modes),), 1 / len(modes))
        return Mixture(modes, weights, deviation)

    @property
    def target(self) -> Target:
        """The bounds that a run must reach."""
        modes = 25 if self.layout == "grid" else 8
        return Target("mode_coverage", at_least=(("modes", modes), ("near_mode", 0.7)))

"""Fréchet distance: between normal laws fitted to features of images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from mmbench.core.game import Game
from mmbench.metrics._features import Extracted
from mmbench.metrics._frechet import distance_to
from mmbench.metrics._image_metric import Comparison
from mmbench.metrics.base import Column


@final
@dataclass(frozen=True, kw_only=True)
class FrechetDistance(Comparison):
    """Fréchet distance between features of generated and real images.

        |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁ Σ₂)^½

    with the means μ and covariances Σ of what the network's last layer sees. It is
    called FID where the network is the canonical Inception, and there alone. It is
    biased upwards by about c / N: never compare across numbers of images.

    Args:
        features: the network.
        count: generated images of each run at each record.
        real: real images, at most; 0 for all.
        split: which real images.

    Source: Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter 2017, GANs Trained by
        a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        name = self.named("fd", "fid", self.split)
        return (Column(name, self.titled("Fréchet distance"), "lower", "log"),)

    @property
    def rule(self) -> Mapping[str, str | int]:
        """The part of the protocol that is this metric's own."""
        return {"covariance": "divisor n - 1", "precision": "float64"}

    def score(self, images: Extracted, game: Game) -> tuple[float, ...]:
        """One number for each column, of one set of images."""
        law = self.reference(images, game).gaussian
        return (distance_to(images.features, law).item(),)

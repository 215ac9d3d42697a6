"""The Fréchet distance between normal distributions fitted to features of images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from mmbench.core.game import Game
from mmbench.core.literature import HEUSEL_2017
from mmbench.metrics._features import NetworkOutputs
from mmbench.metrics._frechet import distance_to_gaussian
from mmbench.metrics._image_metric import ReferenceMetric
from mmbench.metrics.base import Column


@final
@dataclass(frozen=True, kw_only=True)
class FrechetDistance(ReferenceMetric):
    """Fréchet distance between features of generated and real images.

        |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁ Σ₂)^½

    μ and Σ are the means and covariances of the features, the input of the network's
    last layer. The column is `fd_<network>_<count>`, or `fid_<count>` for the canonical
    Inception only. The value is 0 or above, and lower is better. It is biased upwards
    by about c / N for N images, so values compare only at the same number of images.

    Args:
        features: network that extracts the features.
        count: number of generated images of each run at each record.
        real: largest number of real images; 0 for all.
        split: split of the real images.

    Source: Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter 2017, GANs Trained by
        a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium.
    """

    sources = (HEUSEL_2017,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        name = self.column_name("fd", "fid", self.split)
        return (Column(name, self.column_title("Fréchet distance"), "lower", "log"),)

    @property
    def own_protocol(self) -> Mapping[str, str | int]:
        """Part of the protocol that is specific to this metric."""
        return {"covariance": "divisor n - 1", "precision": "float64"}

    def score(self, outputs: NetworkOutputs, game: Game) -> tuple[float, ...]:
        """Return one value for each column, for one set of images."""
        reference = self.reference(outputs, game).gaussian
        return (distance_to_gaussian(outputs.features, reference).item(),)

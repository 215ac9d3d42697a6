"""Fréchet distance at infinity: what infinitely many generated images would have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, final

from mmbench.core.domains import Domain
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.streams import generator
from mmbench.metrics._features import Extracted
from mmbench.metrics._frechet import frechet_at_infinity
from mmbench.metrics._image_metric import Comparison
from mmbench.metrics.base import Column

LEAST = 20  # generated images, whose tenth is then two


@final
@dataclass(frozen=True, kw_only=True)
class FrechetInfinity(Comparison):
    """Fréchet distance extrapolated to infinitely many generated images.

        FD(N) ≈ FD(∞) + c / N

    fitted by least squares on subsets of several sizes N, evenly spaced from a tenth of
    the images to all. It removes the bias that the generated images bring, not that of
    the real ones, and may be negative where the laws agree. The line is straight only
    where N exceeds the number of features.

    Args:
        features: the network.
        count: generated images of each run at each record.
        real: real images, at most; 0 for all.
        split: which real images.
        sizes: number of subsets.

    Source: Chong and Forsyth 2020, Effectively Unbiased FID and Inception Score and
        Where to Find Them.
    """

    sizes: Annotated[int, Domain(low=2)] = 15  # of Chong and Forsyth

    def check(self) -> None:
        """Raise when subsets of different sizes cannot be had."""
        super().check()
        if self.count < LEAST:
            raise DescriptionError(
                f"FrechetInfinity.count must be at least {LEAST}; got {self.count}."
            )

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        name = self.named("fdinf", "fidinf", self.split)
        return (Column(name, self.titled("Fréchet distance at infinity"), "lower"),)

    @property
    def rule(self) -> Mapping[str, str | int]:
        """The part of the protocol that is this metric's own."""
        return {"sizes": self.sizes, "smallest": "a tenth", "subsets": "one fixed draw"}

    def score(self, images: Extracted, game: Game) -> tuple[float, ...]:
        """One number for each column, of one set of images."""
        law = self.reference(images, game).gaussian
        random = generator(0, "metrics/frechet_infinity")
        found = frechet_at_infinity(images.features, law, self.sizes, random)
        return (found.item(),)

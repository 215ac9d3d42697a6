"""The Fréchet distance, extrapolated to infinitely many generated images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, final

from mmbench.core.domains import Domain
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.literature import CHONG_2020
from mmbench.core.streams import generator
from mmbench.metrics._features import NetworkOutputs
from mmbench.metrics._frechet import frechet_at_infinity
from mmbench.metrics._image_metric import ReferenceMetric
from mmbench.metrics.base import Column

MIN_IMAGES = 20  # the smallest subset, a tenth of them, then has two


@final
@dataclass(frozen=True, kw_only=True)
class FrechetInfinity(ReferenceMetric):
    """Fréchet distance extrapolated to infinitely many generated images.

        FD(N) ≈ FD(∞) + c / N

    The line is fitted by least squares on subsets of several sizes N, evenly spaced
    from a tenth of the images to all. The column is `fdinf_<network>_<count>`, or
    `fidinf_<count>` for the canonical Inception only. Lower is better. The fit removes
    the bias from the number of generated images, not that from the number of real ones,
    and the value may be negative if the distributions agree. The relation is linear
    only if N exceeds the number of features.

    Args:
        features: network that extracts the features.
        count: number of generated images of each run at each record.
        real: largest number of real images; 0 for all.
        split: split of the real images.
        sizes: number of subsets, each of another size.

    Source: Chong and Forsyth 2020, Effectively Unbiased FID and Inception Score and
        Where to Find Them.
    """

    sources = (CHONG_2020,)

    sizes: Annotated[int, Domain(low=2)] = 15  # the value of Chong and Forsyth

    @property
    def fewest(self) -> int:
        """Least number of images, generated or real, from which a value is computed."""
        return MIN_IMAGES

    def check(self) -> None:
        """Raise a `DescriptionError` if the images are too few for the subsets."""
        super().check()
        if self.count < MIN_IMAGES:
            raise DescriptionError(
                f"FrechetInfinity.count must be at least {MIN_IMAGES}; "
                f"got {self.count}."
            )

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        name = self.column_name("fdinf", "fidinf", self.split)
        title = self.column_title("Fréchet distance at infinity")
        return (Column(name, title, "lower"),)

    @property
    def own_protocol(self) -> Mapping[str, str | int]:
        """Part of the protocol that is specific to this metric."""
        return {"sizes": self.sizes, "smallest": "a tenth", "subsets": "one fixed draw"}

    def score(self, outputs: NetworkOutputs, game: Game) -> tuple[float, ...]:
        """Return one value for each column, for one set of images."""
        distance = frechet_at_infinity(
            outputs.features,
            self.reference(outputs, game).gaussian,
            self.sizes,
            generator(0, "metrics/frechet_infinity"),
        )
        return (distance.item(),)

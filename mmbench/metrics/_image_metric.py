"""What the metrics of images share: features, counts, names, protocol and ideal."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Domain, Natural
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.metrics._features import (
    EXTRACTORS,
    FEATURES,
    Extracted,
    of_generated,
    of_real,
)
from mmbench.metrics.base import IterateMetric, Point

Several = Annotated[int, Domain(low=2)]  # a covariance and a pair need two
SPLIT = Literal["train", "test"]

CANONICAL = "inception"  # whose numbers alone may be called FID, KID and IS


@dataclass(frozen=True, kw_only=True)
class ImageMetric(IterateMetric):
    """A metric of what a frozen network sees in generated images, run by run.

    Args:
        features: the network.
        count: generated images of each run at each record.
    """

    features: FEATURES = "cifar10cnn"
    count: Several = 10_000  # as many of each method, and the least that is advised

    @abstractmethod
    def score(self, images: Extracted, game: Game) -> tuple[float, ...]:
        """One number for each column, of one set of images."""

    @property
    def needs(self) -> frozenset[Capability]:
        """What it asks of a game: images, of the shape that the network takes."""
        needs = EXTRACTORS[self.features].needs
        return frozenset({Capability.IMAGES} | ({needs} if needs else set()))

    @property
    def sight(self) -> Mapping[str, str | int]:
        """The part of the protocol that says who looks at how many images."""
        extractor = EXTRACTORS[self.features]
        return {
            "features": extractor.name,
            "sha256": extractor.sha256,
            "resize": extractor.resize,
            "pixels": "bytes, rounded as an image file would be",
            "generated": self.count,
            "naming": "FID, KID and IS only with the canonical weights of Inception",
        }

    def named(self, word: str, canonical: str = "", split: SPLIT = "train") -> str:
        """A column's name: word, network, number of images, and an unusual split.

        Args:
            word: which quantity.
            canonical: what stands for word and network where the weights are the
                canonical ones and the quantity has a name of its own there.
            split: of the real images.
        """
        thousands, rest = divmod(self.count, 1000)
        count = str(self.count) if rest else f"{thousands}k"
        proper = canonical and self.features == CANONICAL
        words = [canonical] if proper else [word, self.features]
        return "_".join([*words, count, *([] if split == "train" else [split])])

    def titled(self, word: str) -> str:
        """A column's title: the quantity, the network and the number of images."""
        return f"{word} ({self.features}, {self.count} images)"

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """One number for each column and run."""
        seen = of_generated(at, self.features, self.count)
        rows = [self.score(images, at.game) for images in seen]
        table = torch.tensor(rows, dtype=torch.float64, device=at.z.device)
        return dict(zip(self._names(), table.unbind(1), strict=True))

    def real_score(self, game: Game, split: str) -> Mapping[str, float]:
        """What as many real images get in the place of generated ones."""
        images = of_real(game, self.features, split, self.count, game.device)
        return dict(zip(self._names(), self.score(images, game), strict=True))

    def _names(self) -> list[str]:
        return [column.name for column in self.columns]


@dataclass(frozen=True, kw_only=True)
class Comparison(ImageMetric):
    """A metric that compares generated images with real ones.

    Args:
        real: real images, at most; 0 for all.
        split: which real images.
    """

    real: Natural = 0
    split: SPLIT = "train"

    def check(self) -> None:
        """Raise when there is no pair of real images."""
        if self.real == 1:
            raise DescriptionError(
                f"{type(self).__name__}.real must be 0, for all, or at least 2; got 1."
            )

    @property
    @abstractmethod
    def rule(self) -> Mapping[str, str | int]:
        """The part of the protocol that is this metric's own."""

    @property
    def protocol(self) -> Mapping[str, str | int]:
        """How it is measured, for whoever wants to compare."""
        real = f"at most {self.real}" if self.real else "all"
        return {**self.sight, "real": real, "split": self.split, **self.rule}

    def real_score(self, game: Game) -> Mapping[str, float]:
        """What the real images of the other split get: the floor or the ceiling.

        With as many images as are generated, or all where the split has fewer.
        """
        return self.real_score(game, "test" if self.split == "train" else "train")

    def reference(self, images: Extracted, game: Game) -> Extracted:
        """The real images to compare with, on the same device."""
        device = images.features.device
        return of_real(game, self.features, self.split, self.real, device)

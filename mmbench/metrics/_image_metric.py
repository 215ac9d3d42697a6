"""The base classes of image metrics."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Domain, Natural
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.game import Game
from mmbench.metrics._features import (
    EXTRACTORS,
    FeatureName,
    NetworkOutputs,
    outputs_for_generated,
    outputs_for_real,
)
from mmbench.metrics.base import IterateMetric, Point

AtLeastTwo = Annotated[int, Domain(low=2)]  # a covariance and a pair need two images
Split = Literal["train", "test"]

CANONICAL = "inception"  # only its values may be called FID, KID and IS


@dataclass(frozen=True, kw_only=True)
class ImageMetric(IterateMetric):
    """Base of metrics of what a frozen network computes from generated images.

    Each run is scored separately.

    Args:
        features: network.
        count: number of generated images of each run at each record.
    """

    features: FeatureName = "cifar10cnn"
    count: AtLeastTwo = 10_000  # the least that is recommended, equal for all methods

    @abstractmethod
    def score(self, outputs: NetworkOutputs, game: Game) -> tuple[float, ...]:
        """Return one value for each column, for one set of images.

        Args:
            outputs: what the network computes from the images.
            game: game with the real images.
        """

    @property
    def needs(self) -> frozenset[Capability]:
        """Capabilities that the game must have: images of a shape the network takes."""
        needs = EXTRACTORS[self.features].needs
        return frozenset({Capability.IMAGES} | ({needs} if needs else set()))

    @property
    def network_protocol(self) -> Mapping[str, str | int]:
        """Part of the protocol about the network and the generated images."""
        extractor = EXTRACTORS[self.features]
        return {
            "features": extractor.name,
            "sha256": extractor.sha256,
            "resize": extractor.resize,
            "pixels": "bytes, rounded as an image file would be",
            "generated": self.count,
            "scored real images": f"at most {self.count} of “{self.real_split}”",
            "naming": "FID, KID and IS only with the canonical weights of Inception",
        }

    @property
    def real_split(self) -> Split:
        """Split of the real images that `real_score` scores."""
        return "test"

    @property
    def fewest(self) -> int:
        """Least number of images, generated or real, from which a value is computed."""
        return 1

    def column_name(
        self, quantity: str, canonical: str = "", split: Split = "train"
    ) -> str:
        """Return a column's name, such as "fd_cifar10cnn_10k" or "fid_10k_test".

        Args:
            quantity: short name of the quantity.
            canonical: name that replaces quantity and network where the network is the
                canonical Inception; "" where the quantity has no such name.
            split: split of the real images; named only if it is "test".
        """
        thousands, rest = divmod(self.count, 1000)
        count = str(self.count) if rest else f"{thousands}k"
        is_canonical = canonical and self.features == CANONICAL
        words = [canonical] if is_canonical else [quantity, self.features]
        return "_".join([*words, count, *([] if split == "train" else [split])])

    def column_title(self, quantity: str) -> str:
        """Return a column's title: quantity, network and number of images."""
        return f"{quantity} ({self.features}, {self.count} images)"

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run.

        A run has NaN if a pixel of its images is not finite, which bytes cannot show.
        """
        runs = outputs_for_generated(at, self.features, self.count)
        rows = [self.score(outputs, at.game) for outputs in runs]
        table = torch.tensor(rows, dtype=torch.float64, device=at.z.device)
        table[~at.has_finite_images(self.count)] = torch.nan
        return dict(zip(self._names(), table.unbind(1), strict=True))

    def real_score(self, game: Game) -> Mapping[str, float]:
        """Return the score of real images of `real_split`, by column name.

        There are as many as generated ones, or all if the split has fewer; no score if
        it has fewer than `fewest`.
        """
        outputs = outputs_for_real(
            game, self.features, self.real_split, self.count, game.device
        )
        if len(outputs.features) < self.fewest:
            return {}
        return dict(zip(self._names(), self.score(outputs, game), strict=True))

    def _names(self) -> list[str]:
        return [column.name for column in self.columns]


@dataclass(frozen=True, kw_only=True)
class ReferenceMetric(ImageMetric):
    """Base of metrics that compare generated images with real ones.

    Args:
        real: largest number of real images; 0 for all.
        split: split of the real images. Those of "train" are the images that the game
            draws from, and that the networks which come with mmbench were trained on.
    """

    real: Natural = 0
    split: Split = "train"

    @property
    def fewest(self) -> int:
        """Least number of images, generated or real, from which a value is computed."""
        return 2

    def check_images(self, task: str, real_images: Mapping[str, int]) -> None:
        """Raise a `MisfitError` if the reference would have fewer than `fewest`."""
        available = real_images.get(self.split, self.fewest)
        if available < self.fewest:
            raise MisfitError(
                f"{self} needs at least {self.fewest} real images of the split "
                f"{self.split!r}; {task} has {available}."
            )

    def check(self) -> None:
        """Raise a `DescriptionError` if the reference would have too few images."""
        if 0 < self.real < self.fewest:
            raise DescriptionError(
                f"{type(self).__name__}.real must be 0, for all, or at least "
                f"{self.fewest}; got {self.real}."
            )

    @property
    @abstractmethod
    def own_protocol(self) -> Mapping[str, str | int]:
        """Part of the protocol that is specific to this metric."""

    @property
    def protocol(self) -> Mapping[str, str | int]:
        """Settings that a comparison of values needs; stored with the values."""
        real = f"at most {self.real}" if self.real else "all"
        return {
            **self.network_protocol,
            "real": real,
            "split": self.split,
            **self.own_protocol,
        }

    @property
    def real_split(self) -> Split:
        """Split of the real images that `real_score` scores: not the reference's."""
        return "test" if self.split == "train" else "train"

    def reference(self, outputs: NetworkOutputs, game: Game) -> NetworkOutputs:
        """Return the network's outputs for the real images, on the same device."""
        device = outputs.features.device
        return outputs_for_real(game, self.features, self.split, self.real, device)

"""Classifier score: sure of each image, and of many classes over all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.domains import Count
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.metrics._features import Extracted
from mmbench.metrics._image_metric import ImageMetric
from mmbench.metrics.base import Column


@final
@dataclass(frozen=True, kw_only=True)
class ClassifierScore(ImageMetric):
    """How sure a classifier is of each generated image, and of how many classes.

        exp E KL(p(class | image) | p(class)),   averaged over parts of the images

    from 1 to the number of classes. It is called IS where the classifier is the
    canonical Inception, and there alone. It never looks at real images: one image of
    each class, repeated, has the highest score.

    Args:
        features: the classifier.
        count: generated images of each run at each record.
        splits: number of parts, each with its own p(class).

    Source: Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen 2016, Improved
        Techniques for Training GANs.
    """

    splits: Count = 10  # of Salimans et al.

    def check(self) -> None:
        """Every part must hold an image."""
        if self.splits > self.count:
            raise DescriptionError(
                f"ClassifierScore.splits must be at most its count of {self.count}; "
                f"got {self.splits}."
            )

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        name = self.named("cs", "is")
        return (Column(name, self.titled("classifier score"), "higher"),)

    @property
    def protocol(self) -> Mapping[str, str | int]:
        """How it is measured, for whoever wants to compare."""
        return {**self.sight, "splits": self.splits, "over splits": "mean"}

    def score(self, images: Extracted, game: Game) -> tuple[float, ...]:
        """One number for each column, of one set of images."""
        splits = min(self.splits, len(images.logits))  # real images may be fewer
        parts = images.logits.tensor_split(splits)
        return (torch.stack([sureness(part) for part in parts]).mean().item(),)

    def real_score(self, game: Game) -> Mapping[str, float]:
        """What as many real images of the test split get: the ceiling in practice."""
        return self.real_score(game, "test")


def sureness(logits: Float[Tensor, "count classes"]) -> Float64[Tensor, ""]:
    """exp of the mean divergence of an image's classes from those of all.

    The mean divergence is the entropy of the mean minus the mean entropy.
    """
    shares = logits.double().softmax(1)
    each = torch.special.entr(shares).sum(1).mean()
    return (torch.special.entr(shares.mean(0)).sum() - each).exp()

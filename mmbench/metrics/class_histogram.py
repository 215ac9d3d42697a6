"""Class histogram: which classes are generated, and in which shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.domains import Fraction
from mmbench.core.game import Game
from mmbench.metrics._features import Extracted
from mmbench.metrics._image_metric import Comparison
from mmbench.metrics.base import Column


@final
@dataclass(frozen=True, kw_only=True)
class ClassHistogram(Comparison):
    """Which classes a classifier finds among generated images, beside real ones.

    The class of an image is the classifier's first choice, however unsure, for
    generated and for real images alike; so the classifier's own errors are on both
    sides.

        classes:  classes with at least 1 % of the generated and of the real images
        class_tv: total variation between the shares of generated and of real images

    Args:
        features: the classifier.
        count: generated images of each run at each record.
        real: real images, at most; 0 for all.
        split: which real images.
        least: share from which a class counts.

    Differs from the source: there, one image is enough for a class to count, and
        Kullback and Leibler's divergence, infinite for a lost class, is the distance.
    Source: Srivastava, Valkov, Russell, Gutmann and Sutton 2017, VEEGAN, who count the
        classes of generated digits.
    """

    least: Fraction = 0.01  # a tenth of the share of one class among ten

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        classes, variation = (
            self.named(word, split=self.split) for word in ("classes", "class_tv")
        )
        return (
            Column(classes, self.titled("classes generated"), "higher"),
            Column(variation, self.titled("total variation of class shares"), "lower"),
        )

    @property
    def rule(self) -> Mapping[str, str | int]:
        """The part of the protocol that is this metric's own."""
        return {"class": "first choice", "least share": f"{self.least:g}"}

    def score(self, images: Extracted, game: Game) -> tuple[float, ...]:
        """One number for each column, of one set of images."""
        ours, theirs = (
            shares(one.logits) for one in (images, self.reference(images, game))
        )
        found = ((ours >= self.least) & (theirs >= self.least)).sum()
        return (found.item(), (ours - theirs).abs().sum().item() / 2)


def shares(logits: Float[Tensor, "count classes"]) -> Float64[Tensor, "classes"]:
    """Share of the images for which each class is the first choice."""
    counts = torch.bincount(logits.argmax(1), minlength=logits.shape[1])
    # Divided last and in float64, so that 100 of 10 000 is 1 % and not below it.
    return counts.double() / len(logits)

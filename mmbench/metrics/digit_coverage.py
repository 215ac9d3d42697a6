"""The digits that a generator makes, and the share of images that are no digit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count
from mmbench.core.game import with_digits
from mmbench.core.literature import MANGOUBI_2020
from mmbench.metrics._classifier import CONFIDENT, load
from mmbench.metrics.base import Column, IterateMetric, Point

MIN_SHARE = 0.10  # of the images; the other two show the effect of the threshold
LENIENT_MIN_SHARE, STRICT_MIN_SHARE = 0.05, 0.20
MAX_JUNK_SHARE = 0.30  # for `both_digits`


@final
@dataclass(frozen=True, kw_only=True)
class DigitCoverage(IterateMetric):
    """Whether the generator makes the digits 0 and 1, by a frozen classifier.

    The classifier is trained on ten digits and on images of no digit. An image is
    accepted as a 0 or 1 if the classifier's confidence is 0.9 or more; otherwise it
    counts as junk, as does an image with a pixel that is not finite.

        digits:        number of digits, of 2, with at least 10 % of the images;
                       digits_5 and digits_20 with at least 5 % and 20 %
        digits_any:    number of digits that are the most probable class, at any
                       confidence, of at least 5 % of the images; it tolerates noise,
                       and was added after looking at samples
        junk:          share of images that are not accepted
        digit_share_1: share of 1s among the accepted images; NaN if none is accepted
        digit_tv:      total variation distance between the shares of 0 and 1 among the
                       accepted images and those of the data; 1 if none is accepted
        both_digits:   1 if both are generated and junk is at most 0.3, else 0

    Higher is better for `digits…` and `both_digits`, lower for `junk` and `digit_tv`;
    `digit_share_1` only describes. The classifier confuses no 0 with a 1 among its test
    images, so the shares are not corrected for its errors; the file of its weights
    holds the confusion matrix. Images that the classifier was not trained on have a
    junk of 0.014 and a digit_tv of 0.002 (the 2115 test images of MNIST), and of 0.052
    and 0.012 (the 77 of the small digits); those that it was trained on, from which the
    games draw, 0.019 and 0.003, and 0 and 0.

    Args:
        samples: number of samples of each run at each record.

    Differs from the source: there people looked at the images (2020), or a logistic
        regression labelled every image 0 or 1 (2022).
    Source: Mangoubi, Sachdeva and Vishnoi 2020, the experiment on digits 0 and 1.
    """

    sources = (MANGOUBI_2020,)

    samples: Count = 1000

    needs = frozenset({Capability.SAMPLES, Capability.DIGITS})

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (
            Column("digits", "digits generated (of 2)", "higher"),
            Column("digits_5", "digits generated (5 % rule)", "higher"),
            Column("digits_20", "digits generated (20 % rule)", "higher"),
            Column("digits_any", "digits generated (any confidence)", "higher"),
            Column("junk", "share of images that are no 0 and no 1", "lower"),
            Column("digit_share_1", "share of 1s among accepted images", "neither"),
            Column("digit_tv", "total variation of digit shares", "lower"),
            Column("both_digits", "both digits and at most 30 % junk", "higher"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        sides = at.game.image_shape[1:]
        images = at.samples(self.samples).unflatten(2, sides)
        classifier = load(at.game.dataset, images.device)
        # Run by run, so that the rounding of one does not depend on another's images.
        runs = [classifier.probabilities(run) for run in images]
        counts = torch.stack([count_digits(run) for run in runs]).double()
        any_counts = torch.stack([count_digits(run, 0.0) for run in runs]).double()
        # Divided last and in float64, so that 100 of 1000 is not below a tenth.
        shares, total = counts / self.samples, counts.sum(1) / self.samples
        of_ones = counts[:, 1] / counts.sum(1)
        ones_in_data = with_digits(at.game).share_of_ones
        both = (shares >= MIN_SHARE).all(1) & (total >= 1 - MAX_JUNK_SHARE)
        columns = {
            "digits": (shares >= MIN_SHARE).sum(1),
            "digits_5": (shares >= LENIENT_MIN_SHARE).sum(1),
            "digits_20": (shares >= STRICT_MIN_SHARE).sum(1),
            "digits_any": (any_counts / self.samples >= LENIENT_MIN_SHARE).sum(1),
            "junk": 1 - total,
            "digit_share_1": of_ones,
            # For two shares that add up to one, the distance is either's difference.
            "digit_tv": (of_ones - ones_in_data).abs().nan_to_num(nan=1.0),
            "both_digits": both,
        }
        return {name: column.to(images) for name, column in columns.items()}


def count_digits(
    probabilities: Float[Tensor, "count classes"], confidence: float = CONFIDENT
) -> Int64[Tensor, " 2"]:
    """Return the number of images that are accepted as a 0, and as a 1.

    Args:
        probabilities: probability of each class, shape (count, classes).
        confidence: smallest probability with which a class is accepted.
    """
    best, digit = probabilities.max(1)
    return digit[best >= confidence].bincount(minlength=probabilities.shape[1])[:2]

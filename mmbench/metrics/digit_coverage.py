"""Digit coverage: whether both digits are generated, and how much is junk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count
from mmbench.core.game import with_digits
from mmbench.metrics._classifier import CONFIDENT, load
from mmbench.metrics.base import Column, IterateMetric, Point

GENERATED = 0.10  # share of the images; the other two show what the threshold decides
LENIENT, SEVERE = 0.05, 0.20
JUNK_ALLOWED = 0.30  # in a success


@final
@dataclass(frozen=True, kw_only=True)
class DigitCoverage(IterateMetric):
    """Which of the digits 0 and 1 the generator makes, judged by a frozen classifier.

    The classifier knows ten digits and what is none. An image is accepted as a 0 or 1
    when the classifier says so with a confidence of 0.9 or more, and is junk otherwise.

        digits:        digits with at least 10 % of the images (5 % and 20 % beside it)
        digits_any:    digits with at least 5 % of the images as the classifier's first
                       choice, however unsure: it forgives noise as the eye does, and
                       was added after samples had been seen
        junk:          share of images that are not accepted
        digit_share_1: share of 1s among the accepted; NaN where none is
        digit_tv:      total variation between the shares of 0 and 1 among the accepted
                       and those of the data; 1 where none is accepted
        both_digits:   1 where both are generated and junk is at most 30 %, else 0

    The classifier takes no 0 of its test images for a 1, nor a 1 for a 0, so the shares
    are not corrected for its errors; its confusion matrix is kept with its weights. A
    perfect sampler, one that draws from the data, has a junk of 0.019 and a digit_tv of
    0.003 on MNIST, and 0.011 and 0.003 on the small digits.

    Args:
        samples: drawn from each run's generator at each record.

    Differs from the source: there the images were looked at (2020) or labelled by a
        logistic regression that must say 0 or 1 (2022).
    Source: Mangoubi, Sachdeva and Vishnoi 2020, the experiment on digits 0 and 1.
    """

    samples: Count = 1000

    needs = frozenset({Capability.SAMPLES, Capability.DIGITS})

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
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
        """One number for each column and run."""
        sides = at.game.image_shape[1:]
        images = at.samples(self.samples).unflatten(2, sides)
        classifier = load(at.game.dataset, images.device)
        # per run, so that no run's rounding depends on another's images
        said = [classifier.probabilities(one) for one in images]
        counts = torch.stack([accepted(one) for one in said]).double()
        unsure = torch.stack([accepted(one, 0.0) for one in said]).double()
        # Divided last and in float64, so that 100 of 1000 is a tenth and not below it.
        shares, total = counts / self.samples, counts.sum(1) / self.samples
        of_ones = counts[:, 1] / counts.sum(1)
        ones_in_data = with_digits(at.game).share_of_ones
        both = (shares >= GENERATED).all(1) & (total >= 1 - JUNK_ALLOWED)
        columns = {
            "digits": (shares >= GENERATED).sum(1),
            "digits_5": (shares >= LENIENT).sum(1),
            "digits_20": (shares >= SEVERE).sum(1),
            "digits_any": (unsure / self.samples >= LENIENT).sum(1),
            "junk": 1 - total,
            "digit_share_1": of_ones,
            # Of two shares that add up to one, either's difference is the distance.
            "digit_tv": (of_ones - ones_in_data).abs().nan_to_num(nan=1.0),
            "both_digits": both,
        }
        return {name: column.to(images) for name, column in columns.items()}


def accepted(
    probabilities: Float[Tensor, "count classes"], confidence: float = CONFIDENT
) -> Int64[Tensor, "2"]:
    """How many images are accepted as a 0, and how many as a 1.

    Args:
        probabilities: of each image and digit.
        confidence: least probability of the first choice.
    """
    best, said = probabilities.max(1)
    return said[best >= confidence].bincount(minlength=probabilities.shape[1])[:2]

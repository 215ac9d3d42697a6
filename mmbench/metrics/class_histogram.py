"""The histogram of generated classes, compared with that of real images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.domains import Fraction
from mmbench.core.game import Game
from mmbench.core.literature import SRIVASTAVA_2017
from mmbench.metrics._features import NetworkOutputs
from mmbench.metrics._image_metric import ReferenceMetric
from mmbench.metrics.base import Column


@final
@dataclass(frozen=True, kw_only=True)
class ClassHistogram(ReferenceMetric):
    """Classes among the generated images and their shares, compared with real images.

    The class of an image is the classifier's most probable one, at any confidence, for
    generated and for real images. So errors of the classifier affect both.

        classes:  number of classes with at least 1 % of the generated images and of
                  the real ones; higher is better
        class_tv: total variation distance between the class shares of generated and of
                  real images, from 0 to 1; lower is better

    The columns are `classes_<network>_<count>` and `class_tv_<network>_<count>`. The
    total variation is biased upwards at a small number of images.

    Args:
        features: network that classifies the images.
        count: number of generated images of each run at each record.
        real: largest number of real images; 0 for all.
        split: split of the real images.
        least: smallest share with which a class counts.

    Differs from the source: there, one image is enough for a class to count, and the
        distance is the Kullback-Leibler divergence, which is infinite if a class is
        missing.
    Source: Srivastava, Valkov, Russell, Gutmann and Sutton 2017, VEEGAN: Reducing Mode
        Collapse in GANs Using Implicit Variational Learning, who count the classes of
        generated digits.
    """

    sources = (SRIVASTAVA_2017,)

    least: Fraction = 0.01  # a tenth of a class's share among ten equal classes

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        classes, variation = (
            self.column_name(quantity, split=self.split)
            for quantity in ("classes", "class_tv")
        )
        variation_title = self.column_title("total variation of class shares")
        return (
            Column(classes, self.column_title("classes generated"), "higher"),
            Column(variation, variation_title, "lower"),
        )

    @property
    def own_protocol(self) -> Mapping[str, str | int]:
        """Part of the protocol that is specific to this metric."""
        return {"class": "first choice", "least share": f"{self.least:g}"}

    def score(self, outputs: NetworkOutputs, game: Game) -> tuple[float, ...]:
        """Return one value for each column, for one set of images."""
        generated = class_shares(outputs.logits)
        real = class_shares(self.reference(outputs, game).logits)
        classes = ((generated >= self.least) & (real >= self.least)).sum()
        return (classes.item(), (generated - real).abs().sum().item() / 2)


def class_shares(logits: Float[Tensor, "count classes"]) -> Float64[Tensor, " classes"]:
    """Return the share of the images for which each class is the most probable."""
    counts = torch.bincount(logits.argmax(1), minlength=logits.shape[1])
    # Divided last and in float64, so that 100 of 10,000 is not below 1 %.
    return counts.double() / len(logits)

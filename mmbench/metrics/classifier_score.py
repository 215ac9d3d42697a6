"""The classifier score, which is the inception score for any classifier."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.domains import Count
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.literature import SALIMANS_2016
from mmbench.metrics._features import NetworkOutputs
from mmbench.metrics._image_metric import ImageMetric
from mmbench.metrics.base import Column


@final
@dataclass(frozen=True, kw_only=True)
class ClassifierScore(ImageMetric):
    """Confidence of a classifier in each generated image, and variety of the classes.

        exp E KL(p(class | image) | p(class)),   averaged over splits of the images

    The column is `cs_<network>_<count>`, or `is_<count>` for the canonical Inception
    only. The value lies between 1 and the number of classes, and higher is better. It
    ignores the real images: one image of each class, repeated, has the highest score.
    It is biased by the number of images in a split, so values compare only at the same
    number.

    Args:
        features: network that classifies the images.
        count: number of generated images of each run at each record.
        splits: number of splits, each with its own p(class).

    Source: Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen 2016, Improved
        Techniques for Training GANs.
    """

    sources = (SALIMANS_2016,)

    splits: Count = 10  # the value of Salimans et al.

    version = 2

    @property
    def fewest(self) -> int:
        """Least number of images from which a value is computed: one in each split."""
        return self.splits

    def check(self) -> None:
        """Raise a `DescriptionError` if there are more splits than images."""
        if self.splits > self.count:
            raise DescriptionError(
                f"ClassifierScore.splits must be at most its count of {self.count}; "
                f"got {self.splits}."
            )

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        name = self.column_name("cs", "is")
        return (Column(name, self.column_title("classifier score"), "higher"),)

    @property
    def protocol(self) -> Mapping[str, str | int]:
        """Settings that a comparison of values needs; stored with the values."""
        return {**self.network_protocol, "splits": self.splits, "over splits": "mean"}

    def score(self, outputs: NetworkOutputs, game: Game) -> tuple[float, ...]:
        """Return one value for each column, for one set of images."""
        logits = outputs.logits
        # The cuts of Salimans et al.; equal parts of torch have the longer ones first.
        cuts = [part * len(logits) // self.splits for part in range(1, self.splits)]
        scores = [split_score(split) for split in logits.tensor_split(cuts)]
        return (torch.stack(scores).mean().item(),)


def split_score(logits: Float[Tensor, "count classes"]) -> Float64[Tensor, ""]:
    """Return exp of the mean KL divergence of p(class | image) from p(class).

    The mean divergence is the entropy of the mean minus the mean entropy.

    Args:
        logits: logits of one split of the images, shape (count, classes).
    """
    probabilities = logits.double().softmax(1)
    mean_entropy = torch.special.entr(probabilities).sum(1).mean()
    entropy_of_mean = torch.special.entr(probabilities.mean(0)).sum()
    return (entropy_of_mean - mean_entropy).exp()

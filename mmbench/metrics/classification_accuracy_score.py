"""The accuracy, on real images, of a classifier that learnt from generated ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.game import Game, with_classes
from mmbench.core.literature import RAVURI_2019
from mmbench.core.streams import generator
from mmbench.metrics._image_metric import AtLeastTwo
from mmbench.metrics.base import Column, IterateMetric, Point

Labelled = tuple[UInt8[Tensor, "_ _ _ _"], Int64[Tensor, " _"]]


@final
@dataclass(frozen=True, kw_only=True)
class ClassificationAccuracyScore(IterateMetric):
    """Accuracy on real images of a classifier that learnt from generated images alone.

    Each run's generator makes images of every class. A classifier learns from these and
    from the classes that were asked for; the column `cas_<count>` is the share of the
    real test images that it classifies correctly, and higher is better. A generator
    loses by images that are wrong or of another class, and by a lack of variety within
    a class. The score of as many real training images is stored beside the values.

    The classifier is scikit-learn's `SVC` with its default parameters, a support vector
    machine with Gaussian kernel, on pixels as bytes; its training has one result. The
    value depends on the number of images, so values compare at the same count alone. A
    run has NaN if a pixel of its images is not finite.

    Args:
        count: number of generated images of each run at each record.

    Differs from the source: there the classifier is a residual network, and the
        generated images are as many as the real training images.
    Source: Ravuri and Vinyals 2019, Classification Accuracy Score for Conditional
        Generative Models.
    """

    sources = (RAVURI_2019,)

    count: AtLeastTwo = 1000

    needs = frozenset({Capability.IMAGES, Capability.CLASSES})

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        title = f"classification accuracy score ({self.count} images)"
        return (Column(f"cas_{self.count}", title, "higher"),)

    @property
    def protocol(self) -> Mapping[str, str | int]:
        """Settings that a comparison of values needs; stored with the values."""
        return {
            "classifier": "SVC of scikit-learn with its default parameters",
            "pixels": "bytes, rounded as an image file would be",
            "generated": self.count,
            "tested on": "all of “test”",
            "scored real images": f"at most {self.count} of “train”",
        }

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        test = at.game.real("test")
        labels = with_classes(at.game).generated_classes(self.count)
        scores = [accuracy((images, labels), test) for images in at.images(self.count)]
        values = at.z.new_tensor(scores)
        values[~at.has_finite_images(self.count)] = torch.nan
        return {self.columns[0].name: values}

    def real_score(self, game: Game) -> Mapping[str, float]:
        """Return the score of real training images, by column name."""
        images, labels = game.real("train")
        order = torch.randperm(len(images), generator=generator(0, "metrics/real"))
        chosen = order[: self.count]
        score = accuracy((images[chosen], labels[chosen]), game.real("test"))
        return {self.columns[0].name: score}


def accuracy(learnt: Labelled, tested: Labelled) -> float:
    """Return the accuracy on some images of a classifier that learnt from others.

    Args:
        learnt: images to learn from, and the class of each.
        tested: images to classify, and the class of each.
    """
    # scikit-learn takes a second to import, which other metrics do not need.
    from sklearn.svm import SVC

    (images, labels), (others, truth) = (
        (pixels.cpu().flatten(1).numpy(), classes.cpu().numpy())
        for pixels, classes in (learnt, tested)
    )
    return float(SVC().fit(images, labels).score(others, truth))

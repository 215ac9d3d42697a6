"""Adversarial training: a classifier plays against perturbations of its images."""

from dataclasses import dataclass
from typing import Annotated, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmbench.core.capability import Capability
from mmbench.core.domains import Count, Domain, Fraction
from mmbench.core.game import Game, LabelledImages
from mmbench.core.literature import ALPAYDIN_1998, MADRY_2018
from mmbench.core.placement import Placement
from mmbench.tasks._digit_data import DIGITS_TOP, DIGITS_TRAIN, Images, digits_split
from mmbench.tasks._layers import Initialisation
from mmbench.tasks._networks import mlp
from mmbench.tasks.base import Task

CLASSES = 10


@final
@dataclass(frozen=True, kw_only=True)
class AdversarialTraining(Task):
    """Adversarial training: x classifies digits, y moves their pixels against it.

        f(x, y) = (1/n) Σᵢ ℓ(x; aᵢ + yᵢ, cᵢ),   |yᵢ| ≤ ε,   0 ≤ aᵢ + yᵢ ≤ 1

    ℓ is the cross-entropy of the class cᵢ under a perceptron with weights x and one
    hidden layer of ordinary rectifiers. The aᵢ are the first n of scikit-learn's
    digits, 8 x 8 pixels from 0, paper, to 1, ink; each has its own perturbation, which
    lasts for the whole run and which `Game.project` keeps within the bounds. The 382
    digits of other writers are held out for metrics. Initial weights are Glorot's
    uniform ones, initial biases zero, and initial perturbations uniform within their
    bounds.

    As f is a mean over images, the gradient in y is small: step sizes of y for which an
    image's perturbation follows are about n times as large as those of x.

    Args:
        hidden: width of the hidden layer.
        images: n, number of training images, at most 1415.
        radius: ε, largest change of a pixel, as a share of the range from paper to ink.

    Differs from the source: data and network are smaller; there the perturbations of a
        minibatch are made anew at each step, by projected steps along the gradient's
        signs from a random point.
    Source: Madry, Makelov, Schmidt, Tsipras and Vladu 2018; the pixels' range is kept
        by the authors' program for MNIST. Alpaydin and Kaynak 1998 (UCI), for the data.
    """

    hidden: Count = 32
    images: Annotated[int, Domain(low=1, high=DIGITS_TRAIN)] = 200
    radius: Fraction = 0.1

    source = MADRY_2018
    data_sources = (ALPAYDIN_1998,)

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        return frozenset({Capability.ZERO_SUM, Capability.CLASSIFIER})

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of the metrics measured when none are chosen."""
        return ("robust_accuracy", "losses", "field_norm")

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU."""
        return 8

    def build(self, placement: Placement) -> "AdversarialTrainingGame":
        """Build the game."""
        return AdversarialTrainingGame(self, placement)

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, " dim"]:
        """Draw the network's weights, and perturbations uniform within their bounds."""
        assert isinstance(game, AdversarialTrainingGame)
        initialisation = Initialisation(linear="xavier", bias="zero")
        x = game.network.start(initialisation, generator)
        # In float64, whose rounding keeps within the rounded bounds.
        low, high = game.box(game.training.images.flatten().cpu().double())
        share = torch.rand(game.dim_y, generator=generator, dtype=torch.float64)
        return torch.cat((x, low + share * (high - low))).to(game.dtype)


class AdversarialTrainingGame(Game):
    """The game of a classifier and of perturbations of its training images.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: AdversarialTraining, placement: Placement) -> None:
        self.device, self.dtype = placement.device, placement.dtype
        split = digits_split().first(task.images)
        self.training, self._held_out = map(self._scale, (split.train, split.test))
        images = self.training.images
        self.radius, size = task.radius, images.shape[1]
        self.network = mlp((size, task.hidden, CLASSES))
        self.dim_x, self.dim_y = self.network.layout.size, images.numel()
        self._bounds = self.box(images.flatten())

    def _scale(self, images: Images) -> LabelledImages:
        """Return flattened images with pixels from 0 to 1."""
        pixels = images.pixels.flatten(1).to(self.device, self.dtype) / DIGITS_TOP
        return LabelledImages(pixels, images.labels.to(self.device))

    def box(
        self, pixels: Float[Tensor, "*shape"]
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """Return the smallest and the largest allowed change of each pixel.

        Args:
            pixels: values from 0, paper, to 1, ink.
        """
        return -pixels.clamp(max=self.radius), (1 - pixels).clamp(max=self.radius)

    def losses(
        self,
        x: Float[Tensor, "runs dim_x"],
        y: Float[Tensor, "runs dim_y"],
        sample: None,
        *,
        train: bool = True,
    ) -> tuple[Float[Tensor, " runs"], Float[Tensor, " runs"]]:
        """Return the mean cross-entropy of the perturbed images, and its negative.

        Args:
            x: weights of the classifier.
            y: perturbations of the training images, one after the other.
            sample: no minibatch.
            train: no effect.
        """
        images, labels = self.training
        logits = self.classify(x, images + y.unflatten(1, images.shape))
        classes = labels.expand(len(x), -1)
        f = cross_entropy(logits.movedim(2, 1), classes, reduction="none").mean(1)
        return f, -f

    def project(self, z: Float[Tensor, "runs dim"]) -> Float[Tensor, "runs dim"]:
        """Return the nearest point whose perturbations are within their bounds."""
        x, y = z[:, : self.dim_x], z[:, self.dim_x :]
        return torch.cat((x, y.clamp(*self._bounds)), dim=1)

    def classify(
        self, x: Float[Tensor, "runs dim_x"], images: Float[Tensor, "runs count size"]
    ) -> Float[Tensor, "runs count classes"]:
        """Return the logit of each class.

        Args:
            x: weights of the classifier.
            images: flattened images, one batch for each run.
        """
        return self.network(x, images)

    def held_out(self) -> LabelledImages:
        """Return the images that are held out for metrics."""
        return self._held_out

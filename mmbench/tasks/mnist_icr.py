"""MNIST ICR: the GAN whose discriminator overtrains when it is left alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count, Natural, Positive
from mmbench.core.game import Game
from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.placement import Placement
from mmbench.tasks import _image_networks
from mmbench.tasks._digit_data import MNIST_TOP, mnist_split
from mmbench.tasks._gan import Loss, Regulariser
from mmbench.tasks._image_gan import ImageGame, image_capabilities
from mmbench.tasks._layers import Initialisation
from mmbench.tasks.base import Task


@final
@dataclass(frozen=True, kw_only=True)
class MNISTICR(Task):
    """MNIST ICR: all ten digits, with the networks of the experiments on overtraining.

    A convolutional generator with batch normalisation and a convolutional discriminator
    without. From a checkpoint of this game the paper trains the discriminator alone,
    then both together, and compares how far each moves.

        discriminator  two 5 x 5 convolutions, each halved by a maximum, two linear
        generator      two linear, two transposed convolutions of 4 x 4, tanh

    Args:
        loss: "nonsaturating" (the authors' for gradient descent) or "saturating" (zero
            sum, theirs for competitive gradient descent), or "wasserstein".
        noise: length of the generator's input.
        batch: real images in a minibatch, and as many generated ones.
        channels: of the discriminator's first convolution; all others follow.
        deviation: of the normal first weights of convolutions; 0.005 in the script of
            the checkpoint, 0.01 in the authors' other one. The rest starts as torch's.
        images: of the training set, from the first on; 0 means all 60 000.

    Differs from the source: minibatches are drawn with replacement.
    Source: Schäfer, Zheng and Anandkumar 2020, Appendix A.2, and their code.
    """

    loss: Loss = "nonsaturating"
    noise: Count = 96
    batch: Count = 128
    channels: Count = 32
    deviation: Positive = 0.005
    images: Natural = 0

    source = SCHAEFER_2020.at("Appendix A.2")

    @property
    def gives(self) -> frozenset[Capability]:
        """What the game gives beyond its losses."""
        return image_capabilities(self.loss, Regulariser(), Capability.GREY_28)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Words of the metrics measured when none are chosen."""
        return ("losses", "drift", "classifier_score[features=mnistcnn,count=1000]")

    @property
    def width(self) -> int:
        """Runs computed side by side on a CPU."""
        return 1  # convolutions fill a core

    @property
    def gpu_width(self) -> int:
        """Runs computed side by side on a GPU."""
        return 8  # convolutions of 64 images fill more of it than small games do

    def prepare(self, data_dir: Path | None) -> None:
        """Fetch and check MNIST; called before any work starts."""
        mnist_split(data_dir)

    def build(self, placement: Placement) -> ImageGame:
        """The game, on a device."""
        generator, discriminator = _image_networks.mnist_icr(self.noise, self.channels)
        return ImageGame(
            generator,
            discriminator,
            self.loss,
            self.batch,
            Regulariser(),
            mnist_split(placement.data_dir).first(self.images),
            MNIST_TOP,
            "mnist",
            placement,
        )

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, "dim"]:
        """Where one run starts: normal convolutions, the rest as torch's."""
        assert isinstance(game, ImageGame)
        return game.start(Initialisation("torch", self.deviation, "torch"), generator)

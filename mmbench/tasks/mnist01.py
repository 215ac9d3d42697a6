"""MNIST01: a GAN on the zeros and ones of MNIST."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count, Decay, NonNegative
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.tasks import _digit_gan
from mmbench.tasks._digit_data import MNIST_TOP, mnist_split
from mmbench.tasks._digit_gan import DigitGame
from mmbench.tasks._gan import Loss
from mmbench.tasks._networks import MLP
from mmbench.tasks.base import Target, Task


@final
@dataclass(frozen=True, kw_only=True)
class MNIST01(Task):
    """MNIST01: a GAN on MNIST's zeros and ones, of which many runs lose one.

    The data are the 5923 zeros and 6742 ones of the training set, 28 x 28 pixels from
    −1 to 1, flattened. The players are perceptrons with leaky rectifiers of slope 0.2:

        generator      noise → 256 → 512 → 1024 → 784, tanh
        discriminator  784 → 1024 → 512 → 256 → 1, dropout after the first two

    Weights start as Glorot's uniform, biases at zero. All are the authors'.

    Args:
        loss: "nonsaturating" (the authors'), "saturating" or "wasserstein".
        noise: length of the generator's input.
        batch: real images in a minibatch, and as many generated ones.
        dropout: share of units dropped in the discriminator.
        clip: largest absolute weight of the discriminator; 0 leaves it free.

    Differs from the source: the discriminator's loss is the sum of its means over real
        and over generated images, twice the mean over both that the authors take. Adam
        does not see the factor; a plain gradient of y is twice as long.
    Source: Mangoubi, Sachdeva and Vishnoi 2020, and their notebook.
    """

    loss: Loss = "nonsaturating"
    noise: Count = 100
    batch: Count = 128
    dropout: Decay = 0.3
    clip: NonNegative = 0.0

    source = _digit_gan.SOURCE

    @property
    def gives(self) -> frozenset[Capability]:
        """What the game gives beyond its losses."""
        return _digit_gan.gives(self.loss, Capability.GREY_28)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Words of the metrics measured when none are chosen."""
        return _digit_gan.METRICS

    @property
    def target(self) -> Target:
        """What counts as reached."""
        return _digit_gan.TARGET

    @property
    def width(self) -> int:
        """Runs computed side by side on a CPU."""
        return 1  # one run's 3 million weights fill a core's cache

    def prepare(self, data_dir: Path | None) -> None:
        """Fetch and check MNIST; called before any work starts."""
        mnist_split(data_dir)

    def build(self, placement: Placement) -> DigitGame:
        """The game, on a device."""
        return DigitGame(
            MLP((self.noise, 256, 512, 1024, 784), slope=0.2, squash=True),
            MLP((784, 1024, 512, 256, 1), slope=0.2, dropout=self.dropout, dropped=2),
            self.loss,
            self.batch,
            self.clip,
            mnist_split(placement.data_dir),
            MNIST_TOP,
            "mnist",
            placement,
        )

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, "dim"]:
        """Where one run starts: Glorot's uniform weights, zero biases."""
        assert isinstance(game, DigitGame)
        return game.glorot_start(generator)

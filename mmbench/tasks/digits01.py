"""Digits01: MNIST01 on the small digits that come with scikit-learn."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count, Decay, NonNegative
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.tasks import _digit_gan
from mmbench.tasks._digit_data import DIGITS_TOP, Split, digits, digits_split
from mmbench.tasks._digit_gan import DigitGame
from mmbench.tasks._gan import Loss
from mmbench.tasks._networks import MLP
from mmbench.tasks.base import Target, Task


@final
@dataclass(frozen=True, kw_only=True)
class Digits01(Task):
    """Digits01: a GAN on the zeros and ones of 8 x 8 pixels, in seconds, offline.

    The data are the 178 zeros and 182 ones among scikit-learn's 1797 digits, pixels
    from −1 to 1, flattened. The players are perceptrons with two hidden layers and
    leaky rectifiers of slope 0.2; the generator ends in tanh, the discriminator drops
    units after both hidden layers. Weights start as Glorot's uniform, biases at zero.

    Args:
        loss: "nonsaturating", "saturating" or "wasserstein".
        hidden: width of each hidden layer.
        noise: length of the generator's input.
        batch: real images in a minibatch, and as many generated ones.
        dropout: share of units dropped in the discriminator.
        clip: largest absolute weight of the discriminator; 0 leaves it free.

    Differs from the source: data and networks are smaller, so that a run takes seconds;
        everything else is as in mnist01.
    Source: Mangoubi, Sachdeva and Vishnoi 2020, whose game on MNIST this shrinks; data
        of Alpaydin and Kaynak 1998 (UCI).
    """

    loss: Loss = "nonsaturating"
    hidden: Count = 64
    noise: Count = 16
    batch: Count = 128
    dropout: Decay = 0.3
    clip: NonNegative = 0.0

    source = _digit_gan.SOURCE

    @property
    def gives(self) -> frozenset[Capability]:
        """What the game gives beyond its losses."""
        return _digit_gan.gives(self.loss, Capability.GREY_8)

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
        return 8

    def build(self, placement: Placement) -> DigitGame:
        """The game, on a device."""
        wide = (self.hidden, self.hidden)
        return DigitGame(
            MLP((self.noise, *wide, 64), slope=0.2, squash=True),
            MLP((64, *wide, 1), slope=0.2, dropout=self.dropout, dropped=2),
            self.loss,
            self.batch,
            self.clip,
            # They are few, so all are drawn from, those to test on included.
            Split(digits(), digits_split().test),
            DIGITS_TOP,
            "digits",
            placement,
        )

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, "dim"]:
        """Where one run starts: Glorot's uniform weights, zero biases."""
        assert isinstance(game, DigitGame)
        return game.glorot_start(generator)

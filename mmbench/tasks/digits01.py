"""A GAN on the zeros and ones of the small digits that come with scikit-learn."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from mmbench.core.capability import Capability
from mmbench.core.description import UNLESS_DEFAULT
from mmbench.core.domains import Bound, Count, Decay
from mmbench.core.literature import ALPAYDIN_1998
from mmbench.tasks._digit_data import DIGITS_TOP, digits_split
from mmbench.tasks._digit_gan import DIGITS, DigitTask
from mmbench.tasks._gan_losses import GANLoss
from mmbench.tasks._image_gan import ImageData
from mmbench.tasks._networks import Network, mlp
from mmbench.tasks._regularisers import Regularisers


@final
@dataclass(frozen=True, kw_only=True)
class Digits01(DigitTask):
    """Digits01: a GAN on zeros and ones of 8 x 8 pixels; takes seconds and no download.

    The data are the 140 zeros and 143 ones among the first 1415 of scikit-learn's 1797
    digits, pixels from −1 to 1, flattened; the 77 among the others, of other writers,
    are the test images of metrics. The players are perceptrons with two hidden layers
    and leaky rectifiers of slope 0.2; the generator ends in tanh, the discriminator has
    dropout after both hidden layers. Initial weights are Glorot's uniform ones, initial
    biases zero.

    Args:
        loss: "nonsaturating", "saturating", "wasserstein" or a description such as
            `fgan[divergence=kl]`.
        hidden: width of each hidden layer.
        noise: length of the generator's input.
        batch: real images in a minibatch, and as many generated ones.
        dropout: share of units dropped in the discriminator.
        clip: largest absolute weight of the discriminator; 0 leaves it free.
        regularisers: penalties and constraints on the discriminator, such as
            `(r1[weight=1],spectral)`.

    Differs from the source: data and networks are smaller, so that a run takes seconds;
        everything else is as in mnist01.
    Source: Mangoubi, Sachdeva and Vishnoi 2020, for the game on MNIST; Alpaydin and
        Kaynak 1998 (UCI), for the data.
    """

    data_sources = (ALPAYDIN_1998,)

    loss: GANLoss = "nonsaturating"
    hidden: Count = 64
    noise: Count = 16
    batch: Count = 128
    dropout: Decay = 0.3
    clip: Bound = 0.0
    regularisers: Regularisers = field(default=(), metadata=UNLESS_DEFAULT)

    version = 2
    image_capability = Capability.GREY_8
    real_images = {"train": 283, "test": 77}

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU."""
        return 8

    @property
    def players(self) -> tuple[Network, Network]:
        """The networks of the generator and of the discriminator."""
        hidden = (self.hidden, self.hidden)
        return (
            mlp((self.noise, *hidden, 64), slope=0.2, squash=True),
            mlp((64, *hidden, 1), slope=0.2, dropout=self.dropout, dropped=2),
        )

    def prepare(self, data_dir: Path | None) -> None:
        """Do nothing, since the images come with scikit-learn."""

    def load(self, data_dir: Path | None) -> ImageData:
        """Return the zeros and ones of the two sets of writers."""
        return ImageData(digits_split().of_classes(DIGITS), DIGITS_TOP, "digits")

"""A GAN on the zeros and ones of MNIST."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from mmbench.core.capability import Capability
from mmbench.core.description import UNLESS_DEFAULT
from mmbench.core.domains import Bound, Count, Decay
from mmbench.core.literature import LECUN_1998
from mmbench.tasks._digit_data import MNIST_TOP, mnist_split
from mmbench.tasks._digit_gan import DIGITS, DigitTask
from mmbench.tasks._gan_losses import GANLoss
from mmbench.tasks._image_gan import ImageData
from mmbench.tasks._networks import Network, mlp
from mmbench.tasks._regularisers import Regularisers


@final
@dataclass(frozen=True, kw_only=True)
class MNIST01(DigitTask):
    """MNIST01: a GAN on MNIST's zeros and ones, of which many runs lose one.

    The data are the 5923 zeros and 6742 ones of the training set, 28 x 28 pixels from
    −1 to 1, flattened. The players are perceptrons with leaky rectifiers of slope 0.2:

        generator      noise → 256 → 512 → 1024 → 784, tanh
        discriminator  784 → 1024 → 512 → 256 → 1, dropout after the first two

    Initial weights are Glorot's uniform ones, initial biases zero. All these choices
    are the authors'.

    Args:
        loss: "nonsaturating" (the authors'), "saturating", "wasserstein" or a
            description such as `fgan[divergence=kl]`.
        noise: length of the generator's input.
        batch: real images in a minibatch, and as many generated ones.
        dropout: share of units dropped in the discriminator.
        clip: largest absolute weight of the discriminator; 0 leaves it free.
        regularisers: penalties and constraints on the discriminator, such as
            `(r1[weight=1],spectral)`.

    Differs from the source: the discriminator's loss is the sum of its means over real
        and over generated images, twice the mean over both that the authors take. Adam
        is invariant to the factor; a plain gradient of y is twice as long.
    Source: Mangoubi, Sachdeva and Vishnoi 2020, and their notebook.
    """

    data_sources = (LECUN_1998,)

    loss: GANLoss = "nonsaturating"
    noise: Count = 100
    batch: Count = 128
    dropout: Decay = 0.3
    clip: Bound = 0.0
    regularisers: Regularisers = field(default=(), metadata=UNLESS_DEFAULT)

    image_capability = Capability.GREY_28
    real_images = {"train": 12_665, "test": 2115}

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU."""
        return 1  # one run's 3 million weights fill a core's cache

    @property
    def players(self) -> tuple[Network, Network]:
        """The networks of the generator and of the discriminator."""
        return (
            mlp((self.noise, 256, 512, 1024, 784), slope=0.2, squash=True),
            mlp((784, 1024, 512, 256, 1), slope=0.2, dropout=self.dropout, dropped=2),
        )

    def load(self, data_dir: Path | None) -> ImageData:
        """Return the zeros and ones of MNIST."""
        images = mnist_split(data_dir).of_classes(DIGITS)
        return ImageData(images, MNIST_TOP, "mnist")

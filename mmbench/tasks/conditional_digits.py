"""A conditional GAN on the ten small digits that come with scikit-learn."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import one_hot

from mmbench.core.capability import Capability
from mmbench.core.description import UNLESS_DEFAULT
from mmbench.core.domains import Count, Decay
from mmbench.core.literature import ALPAYDIN_1998
from mmbench.core.source import Source
from mmbench.tasks._digit_data import DIGITS_TOP, DIGITS_TRAIN, digits_split
from mmbench.tasks._gan import Batch
from mmbench.tasks._gan_losses import GANLoss
from mmbench.tasks._image_gan import ImageData, ImageGame, ImageTask
from mmbench.tasks._layers import Initialisation
from mmbench.tasks._networks import Network, mlp
from mmbench.tasks._regularisers import Regularisers

CLASSES = 10
PIXELS = 64


class ConditionalDigitGame(ImageGame):
    """The GAN whose players are told the class of each image, one-hot.

    The generated images of a minibatch have the classes of its real images.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.noise_size -= CLASSES
        labels = self.real("train")[1].to(self.device)
        self._codes = one_hot(labels, CLASSES).to(self.dtype)

    def conditioned(
        self, inputs: Float[Tensor, "runs batch size"], sample: Batch
    ) -> Float[Tensor, "runs batch size_and_classes"]:
        """Return the inputs, each followed by the one-hot class of the real image."""
        return torch.cat((inputs, self._codes[sample.real]), dim=2)

    def generated_classes(self, count: int) -> Int64[Tensor, " count"]:
        """Return the class asked for in each sample: 0 to 9 in turn."""
        return torch.arange(count, device=self.device) % CLASSES

    def _inputs(
        self, noise: Float[Tensor, "runs count noise"], first: int
    ) -> Float[Tensor, "runs count size_and_classes"]:
        """Return the noise of an evaluation, each followed by the one-hot class."""
        classes = self.generated_classes(first + noise.shape[1])[first:]
        codes = one_hot(classes, CLASSES).to(noise)
        return torch.cat((noise, codes.expand(len(noise), -1, -1)), dim=2)


@final
@dataclass(frozen=True, kw_only=True)
class ConditionalDigits(ImageTask):
    """Conditional digits: both players of a GAN are told the class of each image.

    The data are the first 1415 of scikit-learn's 1797 digits, 8 x 8 pixels from −1 to
    1, flattened; the other 382, of other writers, are the test images of metrics. A
    minibatch has as many generated images as real ones, of the same classes. The
    one-hot class follows the noise in the generator's input and the pixels in the
    discriminator's. The players are otherwise those of digits01: perceptrons with two
    hidden layers and leaky rectifiers of slope 0.2, tanh at the generator's end, and
    dropout in the discriminator. Initial weights are Glorot's uniform ones, initial
    biases zero. Regularisers penalise and disturb the pixels, not the class.

    Args:
        loss: "nonsaturating", "saturating", "wasserstein" or a description such as
            `fgan[divergence=kl]`.
        hidden: width of each hidden layer.
        noise: length of the generator's input without the class.
        batch: real images in a minibatch, and as many generated ones.
        dropout: share of units dropped in the discriminator.
        regularisers: penalties and constraints on the discriminator, such as
            `(r1[weight=1],spectral)`.

    Differs from the source: the class enters with the first layer, and not after a
        layer of its own; data and networks are smaller.
    Source: Mirza and Osindero 2014; Alpaydin and Kaynak 1998 (UCI), for the data.
    """

    loss: GANLoss = "nonsaturating"
    hidden: Count = 64
    noise: Count = 16
    batch: Count = 128
    dropout: Decay = 0.3
    regularisers: Regularisers = field(default=(), metadata=UNLESS_DEFAULT)

    source = Source(
        authors="Mirza and Osindero",
        year=2014,
        title="Conditional Generative Adversarial Nets",
        link="https://arxiv.org/abs/1411.1784",
    )
    data_sources = (ALPAYDIN_1998,)
    image_capability = Capability.GREY_8
    game_class = ConditionalDigitGame
    real_images = {"train": DIGITS_TRAIN, "test": 1797 - DIGITS_TRAIN}

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses.

        A discriminator that needs a class gives no logits of images alone.
        """
        return super().gives - {Capability.LOGITS} | {Capability.CLASSES}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of the metrics measured when none are chosen."""
        return ("classification_accuracy_score", "losses")

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU."""
        return 8

    @property
    def players(self) -> tuple[Network, Network]:
        """The networks of the generator and of the discriminator."""
        hidden = (self.hidden, self.hidden)
        judge = (PIXELS + CLASSES, *hidden, 1)
        return (
            mlp((self.noise + CLASSES, *hidden, PIXELS), slope=0.2, squash=True),
            mlp(judge, slope=0.2, dropout=self.dropout, dropped=2),
        )

    @property
    def initialisation(self) -> Initialisation:
        """Glorot's uniform weights and zero biases."""
        return Initialisation(linear="xavier", bias="zero")

    def prepare(self, data_dir: Path | None) -> None:
        """Do nothing, since the images come with scikit-learn."""

    def load(self, data_dir: Path | None) -> ImageData:
        """Return the digits of the two sets of writers."""
        return ImageData(digits_split(), DIGITS_TOP, "digits")

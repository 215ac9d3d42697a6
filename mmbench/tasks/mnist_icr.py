"""A GAN on MNIST whose discriminator overtrains when it is trained alone."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from mmbench.core.capability import Capability
from mmbench.core.description import UNLESS_DEFAULT
from mmbench.core.domains import Count, Natural, Scale
from mmbench.core.literature import LECUN_1998, SCHAEFER_2020
from mmbench.tasks import _image_networks
from mmbench.tasks._digit_data import MNIST_TOP, mnist_split
from mmbench.tasks._gan_losses import GANLoss
from mmbench.tasks._image_gan import ConvolutionalTask, ImageData
from mmbench.tasks._layers import Initialisation
from mmbench.tasks._networks import Network
from mmbench.tasks._regularisers import Regularisers

DRIFT_IMAGES = 500  # of the paper's Figure 4, and the default of the metric


@final
@dataclass(frozen=True, kw_only=True)
class MNISTICR(ConvolutionalTask):
    """MNIST ICR: all ten digits, with the networks of the experiments on overtraining.

    A convolutional generator with batch normalisation and a convolutional discriminator
    without. From a checkpoint of this game the paper trains the discriminator alone,
    then both together, and compares how far each moves.

        discriminator  two 5 x 5 convolutions with 2 x 2 max pooling, two linear layers
        generator      two linear layers, two 4 x 4 transposed convolutions, tanh

    Args:
        loss: "nonsaturating" (the authors' for gradient descent), "saturating" (zero
            sum, the authors' for competitive gradient descent), "wasserstein" or a
            description such as `fgan[divergence=kl]`.
        noise: length of the generator's input.
        batch: real images in a minibatch, and as many generated ones.
        channels: channels of the discriminator's first convolution; those of the other
            layers are multiples of it.
        deviation: standard deviation of the initial weights of convolutions, which are
            normal; 0.005 in the authors' script of the checkpoint, 0.01 in another. The
            other parameters are torch's.
        images: number of training images, the first ones; 0 means all 60 000.
        regularisers: penalties and constraints on the discriminator, such as
            `(r1[weight=1],spectral)`.

    Differs from the source: minibatches are drawn with replacement.
    Source: Schäfer, Zheng and Anandkumar 2020, Appendix A.2, and their code.
    """

    loss: GANLoss = "nonsaturating"
    noise: Count = 96
    batch: Count = 128
    channels: Count = 32
    deviation: Scale = 0.005
    images: Natural = 0
    regularisers: Regularisers = field(default=(), metadata=UNLESS_DEFAULT)

    source = SCHAEFER_2020.at("Appendix A.2")
    data_sources = (LECUN_1998,)
    image_capability = Capability.GREY_28
    all_images = {"train": 60_000, "test": 10_000}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of the metrics measured when none are chosen."""
        few = self.real_images["train"] < DRIFT_IMAGES
        drift = f"drift[images={self.images}]" if few else "drift"
        drifts = (drift,) if Capability.LOGITS in self.gives else ()
        score = "classifier_score[features=mnistcnn,count=1000]"
        return ("losses", *drifts, score)

    @property
    def players(self) -> tuple[Network, Network]:
        """The networks of the generator and of the discriminator."""
        return _image_networks.mnist_icr(self.noise, self.channels)

    @property
    def initialisation(self) -> Initialisation:
        """Normal weights of convolutions; the other parameters are torch's."""
        return Initialisation(convolution=self.deviation)

    def load(self, data_dir: Path | None) -> ImageData:
        """Return the first images of MNIST's training set, and its test set."""
        images = mnist_split(data_dir).first(self.images)
        return ImageData(images, MNIST_TOP, "mnist")

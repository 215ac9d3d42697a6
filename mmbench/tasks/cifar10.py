"""A GAN on the colour images of CIFAR10, with the networks of three papers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, final

from mmbench.core.capability import Capability
from mmbench.core.description import UNLESS_DEFAULT
from mmbench.core.domains import Bound, Count, Natural, NonNegative, Scale
from mmbench.core.errors import DescriptionError
from mmbench.core.literature import KRIZHEVSKY_2009, SCHAEFER_2020
from mmbench.tasks import _image_networks
from mmbench.tasks._cifar10_data import CIFAR10_TOP, cifar10_split
from mmbench.tasks._gan_losses import GANLoss
from mmbench.tasks._image_gan import ConvolutionalTask, ImageData
from mmbench.tasks._layers import Initialisation
from mmbench.tasks._networks import Network
from mmbench.tasks._regularisers import (
    GP,
    L2,
    Regulariser,
    Regularisers,
    clipping,
)

NETWORKS = {
    "icr": _image_networks.icr,
    "wgan_gp": _image_networks.wgan_gp,
    "mangoubi": _image_networks.mangoubi,
}


@final
@dataclass(frozen=True, kw_only=True)
class CIFAR10(ConvolutionalTask):
    """CIFAR10: a GAN on 50 000 colour images of 32 x 32 pixels, ten classes.

    Pixels are scaled to [−1, 1], without augmentation. Three pairs of networks:

        icr       4 x 4 kernels, slope 0.01, normal first convolutions
        wgan_gp   5 x 5 kernels, slope 0.2, He's uniform first convolutions
        mangoubi  3 x 3 and 4 x 4 kernels, slope 0.2, dropout 0.4, no normalisation

    The first two have batch normalisation in the generator and none in the
    discriminator; their papers name the same architecture for both.

    Args:
        networks: pair of networks.
        loss: "wasserstein", "saturating" (both zero-sum), "nonsaturating" or a
            description such as `fgan[divergence=kl]`.
        l2: λ of λ Σ y² (no ½), subtracted from f.
        penalty: weight of the gradient penalty, subtracted from f.
        shared: whether the penalty is part of the generator's loss too, which keeps the
            game zero-sum; for Adam the authors leave it out.
        between: distribution of the share of the real image in the mixtures where the
            penalty is taken: "uniform" (as in its paper) or "normal" (as in the code
            for "icr").
        spectral: whether the discriminator's weights are divided by their largest
            singular values, from one power iteration at each step.
        clip: largest absolute weight of the discriminator; 0 leaves it free.
        noise: length of the generator's input; 128 for the first two networks, 100 for
            the third.
        batch: real images in a minibatch, and as many generated ones.
        channels: channels of the discriminator's first convolution; those of the other
            layers are multiples of it.
        deviation: standard deviation of the initial weights of convolutions of "icr";
            0.005 in one of its scripts.
        images: number of training images, the first ones; 0 means all.
        regularisers: penalties and constraints on the discriminator, such as
            `(r1[weight=1],spectral)`.

    Differs from the source: minibatches are drawn with replacement. Spectral
        normalisation takes one power iteration at each step, not at each forward pass.
    Source: Schäfer, Zheng and Anandkumar 2020, Appendix A.4; Gulrajani, Ahmed,
        Arjovsky, Dumoulin and Courville 2017; Mangoubi, Sachdeva and Vishnoi 2020;
        spectral normalisation of Miyato, Kataoka, Koyama and Yoshida 2018. Data of
        Krizhevsky 2009.
    """

    networks: Literal["icr", "wgan_gp", "mangoubi"] = "icr"
    loss: GANLoss = "wasserstein"
    l2: NonNegative = 0.0
    penalty: NonNegative = 0.0
    shared: bool = True
    between: Literal["uniform", "normal"] = "uniform"
    spectral: bool = False
    clip: Bound = 0.0
    noise: Count = 128
    batch: Count = 64
    channels: Count = 64
    deviation: Scale = 0.01
    images: Natural = 0
    regularisers: Regularisers = field(default=(), metadata=UNLESS_DEFAULT)

    source = SCHAEFER_2020.at("Appendix A.4")
    data_sources = (KRIZHEVSKY_2009,)
    image_capability = Capability.COLOUR_32
    all_images = {"train": 50_000, "test": 10_000}

    def check(self) -> None:
        """Raise `DescriptionError` when fields do not fit each other."""
        super().check()
        if not self.shared and not self.penalty:
            raise DescriptionError(
                "CIFAR10.shared must be true without a penalty; got false."
            )

    @property
    def has_batch_norm(self) -> bool:
        """Whether the generator has batch normalisation."""
        return self.networks != "mangoubi"

    @property
    def all_regularisers(self) -> Iterator[Regulariser]:
        """The regularisers, and those that other fields stand for."""
        if self.l2:
            yield L2(weight=self.l2)
        if self.penalty:
            yield GP(weight=self.penalty, between=self.between, shared=self.shared)
        yield from clipping(self.clip)
        yield from self.regularisers

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of the metrics measured when none are chosen."""
        return ("frechet_distance", "classifier_score", "losses")

    @property
    def players(self) -> tuple[Network, Network]:
        """The networks of the generator and of the discriminator."""
        return NETWORKS[self.networks](self.noise, self.channels, self.spectral)

    @property
    def initialisation(self) -> Initialisation:
        """The distribution that the authors of the networks use."""
        of_networks = {
            "icr": Initialisation(convolution=self.deviation),
            "wgan_gp": Initialisation("glorot", "he", "zero"),
            "mangoubi": Initialisation("glorot", "glorot", "zero"),
        }
        return of_networks[self.networks]

    def load(self, data_dir: Path | None) -> ImageData:
        """Return the first images of the training set, and the test set."""
        images = cifar10_split(data_dir).first(self.images)
        return ImageData(images, CIFAR10_TOP, "cifar10")

"""The GAN on images, which stay on the device as bytes."""

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.placement import Placement
from mmbench.tasks._digit_data import Split, scaled
from mmbench.tasks._gan import GANGame, Loss, Regulariser, is_zero_sum
from mmbench.tasks._layers import Initialisation
from mmbench.tasks._networks import MLP, Network

SHEET = 100  # images of each run that are looked at, ten by ten


class ImageGame(GANGame):
    """The GAN on images from -1 to 1; a minibatch carries their numbers.

    Args:
        generator: noise to images, flattened or not.
        discriminator: such images to one logit.
        loss: of the players.
        batch_size: real images in a minibatch, and as many generated ones.
        regulariser: of the discriminator.
        images: to draw from, and others for metrics.
        top: pixel value that becomes 1.
        dataset: their name, for classifiers.
        placement: where tensors live.
    """

    def __init__(
        self,
        generator: MLP | Network,
        discriminator: MLP | Network,
        loss: Loss,
        batch_size: int,
        regulariser: Regulariser,
        images: Split,
        top: int,
        dataset: str,
        placement: Placement,
    ) -> None:
        super().__init__(
            generator, discriminator, loss, batch_size, regulariser, placement
        )
        self.top, self.dataset = top, dataset
        self._images = images._asdict()
        pixels = images.train.pixels
        *channels, height, width = pixels.shape[1:]
        self.image_shape = (channels[0] if channels else 1, height, width)
        self.pixels = pixels.reshape(-1, *discriminator.input_shape).to(
            placement.device
        )

    def draw_real(
        self, generator: torch.Generator, count: int
    ) -> Int64[Tensor, "count batch"]:
        """Draw numbers of images, with replacement."""
        shape = (count, self.batch_size)
        return torch.randint(len(self.pixels), shape, generator=generator)

    def unpack(self, real: Tensor) -> Float[Tensor, "runs batch *point"]:
        """Numbered images as the discriminator reads them."""
        return scaled(self.pixels[real], self.top, self.dtype)

    def real(
        self, split: str
    ) -> tuple[UInt8[Tensor, "count channels height width"], Int64[Tensor, "count"]]:
        """Real images, from 0 to 255, and the class of each, on the CPU."""
        pixels, labels = self._images[split]
        pixels = pixels.reshape(len(pixels), *self.image_shape)
        if self.top != 255:
            pixels = (pixels.float() * (255 / self.top)).round().to(torch.uint8)
        return pixels, labels

    def start(
        self, first: Initialisation, generator: torch.Generator
    ) -> Float[Tensor, "dim"]:
        """Where one run of two convolutional networks starts.

        Args:
            first: law of the parameters.
            generator: of the run.
        """
        parts = [
            player.start(first, generator)
            for player in (self.generator, self.discriminator)
            if isinstance(player, Network)
        ]
        return torch.cat(parts).to(self.dtype)

    def sheet(self, z: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """Some images of each run, (runs, count, height, width), colours last."""
        images = self.generate(z, SHEET, seeds).half()  # pixels need no more
        images = images.reshape(len(z), SHEET, *self.image_shape)
        if self.image_shape[0] == 1:
            return images[:, :, 0]
        return images.movedim(2, -1)


def image_capabilities(
    loss: Loss, regulariser: Regulariser, shape: Capability
) -> frozenset[Capability]:
    """What the game on images of that shape gives beyond its losses."""
    given = {Capability.SAMPLES, Capability.IMAGES, Capability.LOGITS, shape}
    zero_sum = {Capability.ZERO_SUM} if is_zero_sum(loss, regulariser) else set()
    return frozenset(given | zero_sum)

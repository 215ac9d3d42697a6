"""The GAN on images of the digits 0 and 1, whichever data set they come from."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.literature import MANGOUBI_2020
from mmbench.core.place import Place
from mmbench.tasks._datasets import Images, scaled
from mmbench.tasks._gan import GANGame, Loss
from mmbench.tasks._networks import MLP
from mmbench.tasks.base import Target

DIGITS = (0, 1)

SOURCE = MANGOUBI_2020.at("the experiment on digits 0 and 1")
METRICS = ("digit_coverage", "forgetting[of=digits]")
ZERO_SUM = {Capability.ZERO_SUM}
TARGET = Target("digit_coverage", at_least=(("both_digits", 1),))


def gives(loss: Loss) -> frozenset[Capability]:
    """What the game with that loss gives beyond its losses."""
    given = {Capability.SAMPLES, Capability.DIGITS}
    return frozenset(given | (set() if loss == "nonsaturating" else ZERO_SUM))


class DigitGame(GANGame):
    """The GAN on flattened images from -1 to 1.

    The images stay on the device as bytes; a minibatch carries their numbers.

    Args:
        generator: noise to flattened images.
        discriminator: flattened images to one logit.
        loss: of the players.
        batch_size: real images in a minibatch, and as many generated ones.
        clip: largest absolute entry of y; 0 leaves y free.
        images: of the digits 0 and 1.
        top: pixel value that becomes 1.
        dataset: which classifier judges its images.
        place: where tensors live.
    """

    def __init__(
        self,
        generator: MLP,
        discriminator: MLP,
        loss: Loss,
        batch_size: int,
        clip: float,
        images: Images,
        top: int,
        dataset: str,
        place: Place,
    ) -> None:
        super().__init__(generator, discriminator, loss, batch_size, clip, place)
        self.top, self.dataset = top, dataset
        self.side = images.pixels.shape[-1]
        self.share_of_ones = (images.labels == 1).double().mean().item()
        self.pixels = images.pixels.flatten(1).to(place.device)

    def draw_real(
        self, generator: torch.Generator, count: int
    ) -> Int64[Tensor, "count batch"]:
        """Draw numbers of images, with replacement as the authors do."""
        shape = (count, self.batch_size)
        return torch.randint(len(self.pixels), shape, generator=generator)

    def unpack(self, real: Tensor) -> Float[Tensor, "runs batch pixels"]:
        """Numbered images as the discriminator reads them."""
        return scaled(self.pixels[real], self.top, self.dtype)

    def sheet(self, z: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """The authors' sheet: 100 images of each run."""
        images = self.generate(z, 100, seeds).half()  # pixels need no more
        return images.unflatten(2, (self.side, self.side))

    def glorot_start(self, generator: torch.Generator) -> Float[Tensor, "dim"]:
        """Where one run starts: Glorot's uniform weights, zero biases."""
        players = (self.generator, self.discriminator)
        parts = [one.start(generator, "glorot") for one in players]
        return torch.cat(parts).to(self.dtype)

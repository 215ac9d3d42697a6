"""The GAN on images of the digits 0 and 1, whichever data set they come from."""

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.literature import MANGOUBI_2020
from mmbench.core.placement import Placement
from mmbench.tasks._digit_data import Split
from mmbench.tasks._gan import Loss, Regulariser
from mmbench.tasks._image_gan import ImageGame, image_capabilities
from mmbench.tasks._networks import MLP
from mmbench.tasks.base import Target

DIGITS = (0, 1)

SOURCE = MANGOUBI_2020.at("the experiment on digits 0 and 1")
METRICS = ("digit_coverage", "forgetting[of=digits]")
TARGET = Target("digit_coverage", at_least=(("both_digits", 1),))


def gives(loss: Loss, shape: Capability) -> frozenset[Capability]:
    """What the game with that loss and images of that shape gives."""
    return image_capabilities(loss, Regulariser(), shape) | {Capability.DIGITS}


class DigitGame(ImageGame):
    """The GAN on flattened images of the digits 0 and 1.

    Args:
        generator: noise to flattened images.
        discriminator: flattened images to one logit.
        loss: of the players.
        batch_size: real images in a minibatch, and as many generated ones.
        clip: largest absolute entry of y; 0 leaves y free.
        images: of all digits.
        top: pixel value that becomes 1.
        dataset: which classifier judges its images.
        placement: where tensors live.
    """

    def __init__(
        self,
        generator: MLP,
        discriminator: MLP,
        loss: Loss,
        batch_size: int,
        clip: float,
        images: Split,
        top: int,
        dataset: str,
        placement: Placement,
    ) -> None:
        chosen = Split(*(one.of_classes(DIGITS) for one in images))
        super().__init__(
            generator,
            discriminator,
            loss,
            batch_size,
            Regulariser(clip=clip),
            chosen,
            top,
            dataset,
            placement,
        )
        self.share_of_ones = (chosen.train.labels == 1).double().mean().item()

    def glorot_start(self, generator: torch.Generator) -> Float[Tensor, "dim"]:
        """Where one run starts: Glorot's uniform weights, zero biases."""
        players = (self.generator, self.discriminator)
        parts = [one.start(generator, "glorot") for one in players]
        return torch.cat(parts).to(self.dtype)

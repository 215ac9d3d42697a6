"""The GAN on images of the digits 0 and 1 of any data set."""

from collections.abc import Iterator
from functools import cached_property

from mmbench.core.capability import Capability
from mmbench.core.literature import MANGOUBI_2020
from mmbench.tasks._image_gan import ImageGame, ImageTask
from mmbench.tasks._layers import Initialisation
from mmbench.tasks._regularisers import Regulariser, clipping
from mmbench.tasks.base import Target

DIGITS = (0, 1)


class DigitGame(ImageGame):
    """The GAN on flattened images of the digits 0 and 1."""

    @cached_property
    def share_of_ones(self) -> float:
        """The share of the digit 1 among the images that the game draws from."""
        return (self.real("train")[1] == 1).double().mean().item()


class DigitTask(ImageTask):
    """A task of a GAN of perceptrons on the digits 0 and 1.

    It adds no fields to the description; subclasses declare the field named here.

    Attributes:
        clip: largest absolute weight of the discriminator; 0 leaves it free.
    """

    clip: float

    source = MANGOUBI_2020.at("the experiment on digits 0 and 1")
    game_class = DigitGame

    @property
    def all_regularisers(self) -> Iterator[Regulariser]:
        """The regularisers, and the bound on the discriminator's weights."""
        yield from clipping(self.clip)
        yield from self.regularisers

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        return super().gives | {Capability.DIGITS}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of the metrics measured when none are chosen."""
        return ("digit_coverage", "forgetting[of=digits]")

    @property
    def target(self) -> Target:
        """The bounds that a run must reach."""
        return Target("digit_coverage", at_least=(("both_digits", 1),))

    @property
    def initialisation(self) -> Initialisation:
        """Glorot's uniform weights and zero biases."""
        return Initialisation(linear="xavier", bias="zero")

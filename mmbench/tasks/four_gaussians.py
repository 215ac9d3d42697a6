"""Four Gaussians: a ring of four modes, which simultaneous training cycles between."""

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count, NonNegative, Positive
from mmbench.core.game import Game
from mmbench.core.literature import MANGOUBI_2020
from mmbench.core.placement import Placement
from mmbench.tasks._gan import GANGame, Loss, Regulariser
from mmbench.tasks._networks import MLP
from mmbench.tasks.base import Target, Task


@final
@dataclass(frozen=True, kw_only=True)
class FourGaussians(Task):
    """Four Gaussians: a GAN on a mixture of four narrow modes on the unit circle.

        modes (0, 1), (1, 0), (0, −1), (−1, 0), each with standard deviation 0.01

    Both players are perceptrons with two hidden layers; the defaults are the authors'.

    Args:
        weights: of the modes: "released" is 2/5, 1/5, 1/5, 1/5, which the authors' code
            draws (its five angles hold the first mode twice); "uniform" is 1/4 each,
            which their text describes.
        loss: "saturating" (the authors' and zero-sum), "nonsaturating" or
            "wasserstein".
        hidden: width of each hidden layer.
        noise: length of the generator's input.
        batch: real points in a minibatch, and as many generated ones.
        clip: largest absolute weight of the discriminator; 0 leaves it free.
        gain: of the orthogonal first weights.

    Source: Mangoubi, Sachdeva and Vishnoi 2020, and their notebook.
    """

    weights: Literal["released", "uniform"] = "released"
    loss: Loss = "saturating"
    hidden: Count = 128
    noise: Count = 256
    batch: Count = 512
    clip: NonNegative = 0.0
    gain: Positive = 0.8

    source = MANGOUBI_2020

    @property
    def gives(self) -> frozenset[Capability]:
        """What the game gives beyond its losses."""
        zero_sum = self.loss != "nonsaturating"
        given = {Capability.SAMPLES, Capability.MODES}
        return frozenset(given | ({Capability.ZERO_SUM} if zero_sum else set()))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Words of the metrics measured when none are chosen."""
        return ("mode_coverage", "sliced_wasserstein", "forgetting[of=modes]")

    @property
    def target(self) -> Target:
        """What counts as reached."""
        # All four modes, and not in passing: a diffuse cloud also touches four.
        return Target("mode_coverage", at_least=(("modes", 4), ("near_mode", 0.7)))

    @property
    def width(self) -> int:
        """Runs computed side by side on a CPU."""
        return 8 if self.hidden >= 128 else 16

    def build(self, placement: Placement) -> "FourGaussiansGame":
        """The game, on a device."""
        return FourGaussiansGame(self, placement)

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, "dim"]:
        """Where one run starts: orthogonal weights, zero biases."""
        assert isinstance(game, FourGaussiansGame)
        players = (game.generator, game.discriminator)
        parts = [one.start(generator, "orthogonal", self.gain) for one in players]
        return torch.cat(parts).to(game.dtype)


class FourGaussiansGame(GANGame):
    """The GAN on points of the plane."""

    deviation = 0.01

    def __init__(self, task: FourGaussians, placement: Placement) -> None:
        super().__init__(
            MLP((task.noise, task.hidden, task.hidden, 2)),
            MLP((2, task.hidden, task.hidden, 1)),
            task.loss,
            task.batch,
            Regulariser(clip=task.clip),
            placement,
        )
        shares = (2, 1, 1, 1) if task.weights == "released" else (1, 1, 1, 1)
        self.mode_weights = torch.tensor(shares) / sum(shares)
        angles = torch.arange(4) * (math.pi / 2)
        self.modes = torch.stack((angles.sin(), angles.cos()), dim=1)

    def draw_real(self, generator: torch.Generator, count: int) -> Tensor:
        """Draw minibatches of points of the plane."""
        total = count * self.batch_size
        which = torch.multinomial(
            self.mode_weights, total, replacement=True, generator=generator
        )
        noise = torch.randn(total, 2, generator=generator)
        points = self.modes[which] + self.deviation * noise
        return points.view(count, self.batch_size, 2).to(self.dtype)

    def sheet(self, z: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """The authors' scatter plot: 512 points of each run."""
        return self.generate(z, 512, seeds)

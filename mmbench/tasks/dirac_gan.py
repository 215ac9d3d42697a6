"""DiracGAN: one parameter against one parameter."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from mmbench.core.capability import Capability
from mmbench.core.domains import Finite, NonNegative
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.source import Source
from mmbench.tasks.base import (
    SOLVED_METRICS,
    SOLVED_TARGET,
    Target,
    Task,
    plane_start,
)


@final
@dataclass(frozen=True, kw_only=True)
class DiracGAN(Task):
    """DiracGAN: the smallest GAN, a point mass at x judged by D(s) = y s.

        f(x, y) = φ(xy) + φ(0) − (γ/2) y²,   φ(t) = −log(1 + e^(−t))

    The data are a point mass at 0. Without regularisation neither simultaneous nor
    alternating gradient steps converge to the equilibrium.

    Args:
        loss: "saturating" is f above; "nonsaturating" lets x minimise log(1 + e^(xy));
            "wasserstein" has φ(t) = t.
        r1: γ, weight of the gradient penalty at the data (R1); 1 is critical for the
            first two losses.
        clip: largest |y|, by projection; 0 leaves y free. The authors clip at 1 for
            wasserstein.
        start_at: first point (x, y); none draws one for each run, standard normal. The
            authors start at (1, 1).

    Solutions: (0, 0), a Nash equilibrium.
    Source: Mescheder, Geiger and Nowozin 2018.
    """

    loss: Literal["saturating", "nonsaturating", "wasserstein"] = "saturating"
    r1: NonNegative = 0.0
    clip: NonNegative = 0.0
    start_at: tuple[Finite, Finite] | None = None

    source = Source(
        authors="Mescheder, Geiger and Nowozin",
        year=2018,
        title="Which Training Methods for GANs do actually Converge?",
        link="https://arxiv.org/abs/1801.04406",
    )

    @property
    def gives(self) -> frozenset[Capability]:
        """What the game gives beyond its losses."""
        given = {Capability.SOLUTION, Capability.NASH, Capability.PLANE}
        zero_sum = self.loss != "nonsaturating"
        return frozenset(given | ({Capability.ZERO_SUM} if zero_sum else set()))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Words of the metrics measured when none are chosen."""
        return SOLVED_METRICS

    @property
    def target(self) -> Target:
        """What counts as reached."""
        return SOLVED_TARGET

    @property
    def width(self) -> int:
        """Runs computed side by side on a CPU."""
        return 512  # two numbers a run cost nothing

    def build(self, placement: Placement) -> "DiracGame":
        """The game, on a device."""
        return DiracGame(self, placement)

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, "dim"]:
        """Where one run starts."""
        return plane_start(self.start_at or (), 2, game, generator)


class DiracGame(Game):
    """A generator's point x against a discriminator's slope y."""

    dim_x = dim_y = 1

    def __init__(self, task: DiracGAN, placement: Placement) -> None:
        self.device, self.dtype = placement.device, placement.dtype
        self.zero_sum = task.loss != "nonsaturating"
        self._loss, self._r1, self._clip = task.loss, task.r1, task.clip

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Generator's and discriminator's loss."""
        t = (x * y)[:, 0]
        if self._loss == "wasserstein":
            f = t
        else:
            f = -softplus(-t) - softplus(torch.zeros_like(t))
        if self._r1:
            f = f - self._r1 / 2 * (y * y)[:, 0]
        return (softplus(t) if self._loss == "nonsaturating" else f), -f

    def project(self, z: Tensor) -> Tensor:
        """y within the clip."""
        if not self._clip:
            return z
        return torch.cat((z[:, :1], z[:, 1:].clamp(-self._clip, self._clip)), dim=1)

    def distance(self, z: Tensor, concept: str) -> Tensor:
        """Distance to (0, 0)."""
        return z.norm(dim=1)

"""The DiracGAN, in which each player has one parameter."""

from dataclasses import dataclass, field
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from mmbench.core.capability import Capability
from mmbench.core.description import UNLESS_DEFAULT
from mmbench.core.domains import Bound, Coordinate, NonNegative
from mmbench.core.placement import Placement
from mmbench.core.source import Source
from mmbench.tasks._plane import PlaneGame, PlaneTask
from mmbench.tasks.base import Target, clip_y


@final
@dataclass(frozen=True, kw_only=True)
class DiracGAN(PlaneTask):
    """DiracGAN: the smallest GAN, a point mass at x against D(s) = y s.

        f(x, y) = φ(xy) + φ(0) − (γ/2) y² − (λ/2) (|y| − 1)²,   φ(t) = −log(1 + e^(−t))

    The data are a point mass at 0. Without regularisation neither simultaneous nor
    alternating gradient steps converge to the equilibrium. The Jensen-Shannon
    divergence between the two point masses is log 2 for every x ≠ 0, so that its
    gradient tells nothing; the discriminator's does.

    Args:
        loss: "saturating" is f above; "nonsaturating" lets x minimise log(1 + e^(xy));
            "wasserstein" has φ(t) = t.
        r1: γ, weight of the gradient penalty at the data (R1). Under simultaneous
            gradient flow with step sizes (ηₓ, ηᵧ) its critical value, from which on
            the players no longer rotate near the solution, is 2 φ'(0) √(ηₓ / ηᵧ); for
            equal step sizes 1 with the first two losses and 2 with wasserstein.
        penalty: λ, weight of the gradient penalty of WGAN-GP, whose target 1 keeps y
            from 0. With wasserstein, simultaneous steps come to rest at x = ∓λ, where
            y = 0 is on the kink of |y|.
        clip: largest |y|, by projection; 0 leaves y free. The authors clip at 1 for
            wasserstein.
        start_at: first point (x, y); none draws a standard normal one. The authors
            start at (1, 1).

    Solutions: (0, 0), a Nash equilibrium; with a penalty λ no longer, for y gains by
        leaving 0, and x then by leaving the data: there is no equilibrium.
    Source: Mescheder, Geiger and Nowozin 2018; the penalty: Gulrajani, Ahmed, Arjovsky,
        Dumoulin and Courville 2017; the divergence: Fedus, Rosca, Lakshminarayanan,
        Dai, Mohamed and Goodfellow 2018.
    """

    loss: Literal["saturating", "nonsaturating", "wasserstein"] = "saturating"
    r1: NonNegative = 0.0
    clip: Bound = 0.0
    start_at: tuple[Coordinate, Coordinate] | None = None
    penalty: NonNegative = field(default=0.0, metadata=UNLESS_DEFAULT)

    source = Source(
        authors="Mescheder, Geiger and Nowozin",
        year=2018,
        title="Which Training Methods for GANs do actually Converge?",
        link="https://arxiv.org/abs/1801.04406",
    )

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        given = {Capability.PLANE}
        given |= set() if self.penalty else {Capability.SOLUTION, Capability.NASH}
        zero_sum = self.loss != "nonsaturating"
        return frozenset(given | ({Capability.ZERO_SUM} if zero_sum else set()))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Specs of the metrics measured when none are chosen."""
        return ("field_norm", "losses") if self.penalty else super().metrics

    @property
    def target(self) -> Target | None:
        """The bounds that a run must reach; none where there is no equilibrium."""
        return None if self.penalty else super().target

    def build(self, placement: Placement) -> "DiracGame":
        """Build the game."""
        return DiracGame(self, placement)


class DiracGame(PlaneGame):
    """The game of a generator's point x against a discriminator's slope y.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: DiracGAN, placement: Placement) -> None:
        super().__init__(placement)
        self.zero_sum = task.loss != "nonsaturating"
        self._loss, self._r1, self._clip = task.loss, task.r1, task.clip
        self._penalty = task.penalty

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of generator and discriminator, each of shape (runs,).

        Args:
            x: the generator's point, shape (runs, 1).
            y: the discriminator's slope, shape (runs, 1).
            sample: no minibatch.
            train: no effect.
        """
        t = (x * y)[:, 0]
        if self._loss == "wasserstein":
            f = t
        else:
            f = -softplus(-t) - softplus(torch.zeros_like(t))
        if self._r1:
            f = f - self._r1 / 2 * (y * y)[:, 0]
        if self._penalty:
            f = f - self._penalty / 2 * (y.abs() - 1)[:, 0] ** 2
        return (softplus(t) if self._loss == "nonsaturating" else f), -f

    def project(self, z: Float[Tensor, "runs 2"]) -> Float[Tensor, "runs 2"]:
        """Clip y to the largest absolute value allowed."""
        return clip_y(z, 1, self._clip)

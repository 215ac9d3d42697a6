"""The stochastic bilinear game of variance-reduced methods, a finite sum."""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count, Scale, Seed
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.source import Source
from mmbench.tasks._solved import SolvedGame, SolvedTask


@final
@dataclass(frozen=True, kw_only=True)
class FiniteSumBilinear(SolvedTask):
    """Finite-sum bilinear game: each minibatch shows some coordinates of a rotation.

        f(x, y) = (1/n) Σᵢ (xᵢ yᵢ + aᵢ' x + bᵢ' y)

    A minibatch has terms drawn uniformly with replacement. With single terms and
    without the linear parts, extragradient with two independent minibatches diverges
    at every step size, while variance reduction converges.

    Args:
        terms: n, the number of terms and the length of each player.
        batch: terms in a minibatch.
        linear: standard deviation of the entries of aᵢ and bᵢ, times √n; none
            leaves them out.
        instance: seed of aᵢ and bᵢ; the same for all runs of a cell.

    Solutions: x = −Σᵢ bᵢ, y = −Σᵢ aᵢ is the Nash equilibrium.
    Source: Chavdarova, Gidel, Fleuret and Lacoste-Julien 2019, section 5.1, where n is
        100, and theorem 1 without the linear parts.
    """

    terms: Count = 100
    batch: Count = 1
    linear: Scale | None = 1.0
    instance: Seed = 0

    source = Source(
        authors="Chavdarova, Gidel, Fleuret and Lacoste-Julien",
        year=2019,
        title="Reducing Noise in GAN Training with Variance Reduced Extragradient",
        link="https://arxiv.org/abs/1904.08598",
        place="section 5.1",
    )

    def check(self) -> None:
        """Raise `DescriptionError` when a minibatch has more terms than there are."""
        if self.batch > self.terms:
            raise DescriptionError(
                f"FiniteSumBilinear.batch must be at most terms={self.terms}; got "
                f"{self.batch}."
            )

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        plane = {Capability.PLANE} if self.terms == 1 else set()
        return super().gives | plane | {Capability.FINITE_SUM}

    def build(self, placement: Placement) -> "FiniteSumBilinearGame":
        """Build the game."""
        return FiniteSumBilinearGame(self, placement)

    def starts(
        self, game: Game, numbers: Float64[Tensor, "runs amount"]
    ) -> Float[Tensor, "runs dim"]:
        """Return points whose entries have the standard deviation 1/√n."""
        return (numbers / math.sqrt(self.terms)).to(game.dtype)


class Terms(NamedTuple):
    """A minibatch: the numbers of its terms, shape (..., batch)."""

    which: Int[Tensor, "*runs batch"]


class FiniteSumBilinearGame(SolvedGame):
    """The mean of terms xᵢ yᵢ + aᵢ' x + bᵢ' y.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: FiniteSumBilinear, placement: Placement) -> None:
        self.terms = task.terms
        self.batch_size = self.sample_size = task.batch
        shape = 2, task.terms, task.terms
        random = torch.Generator().manual_seed(task.instance)
        drawn = torch.randn(shape, generator=random, dtype=torch.float64)
        a, b = (task.linear or 0) / math.sqrt(task.terms) * drawn
        super().__init__(placement, -b.sum(0), -a.sum(0))
        self._a, self._b = a.to(self.device, self.dtype), b.to(self.device, self.dtype)
        self._is_linear = task.linear is not None

    def losses(
        self, x: Tensor, y: Tensor, sample: Terms, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return the mean of the minibatch's terms and its negative, shape (runs,).

        Args:
            x: first player, shape (runs, terms).
            y: second player, shape (runs, terms).
            sample: the terms of each run.
            train: no effect.
        """
        which = sample.which
        f = (x.gather(1, which) * y.gather(1, which)).mean(1)
        if self._is_linear:
            f = f + (self._a[which].mean(1) * x + self._b[which].mean(1) * y).sum(1)
        return f, -f

    def draw(self, generator: torch.Generator, count: int) -> Terms:
        """Draw `count` minibatches of terms, uniformly with replacement."""
        shape = count, self.batch_size
        return Terms(torch.randint(self.terms, shape, generator=generator))

    def all_terms(self) -> Terms:
        """Return all terms as one minibatch."""
        return Terms(torch.arange(self.terms, device=self.device))

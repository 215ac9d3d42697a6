"""The bilinear game x'Ay with a chosen spectrum, in d dimensions or on a box."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.description import UNLESS_DEFAULT
from mmbench.core.domains import Bound, Coordinate, Count, NonNegative, Positive, Seed
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.literature import DASKALAKIS_2018
from mmbench.core.placement import Placement
from mmbench.tasks._noise import Noise, NoisyGame
from mmbench.tasks._plane import plane_starts
from mmbench.tasks._products import Matrix
from mmbench.tasks._random_matrices import random_rotation
from mmbench.tasks.base import (
    SOLVED_METRICS,
    SOLVED_TARGET,
    DrawnStartTask,
    Numbers,
    Target,
)


@final
@dataclass(frozen=True, kw_only=True)
class Bilinear(DrawnStartTask):
    """Bilinear game: the simplest in which simultaneous steps fail.

        f(x, y) = x' A y,   A = U diag(σ) V'

    Pure rotation: the field has no component towards the solution. The singular values
    σ run from `smallest` to `largest`; U and V are random rotations of the instance.

    Args:
        dim: length of each player.
        smallest: least singular value.
        largest: greatest singular value.
        spacing: spacing of the singular values between them.
        instance: seed of the rotations; the same for all runs of a cell.
        box: half-width of the square [-box, box] that holds every entry, by projection;
            0 leaves the players free.
        start_at: first point (x, y) in the plane; none draws a point for each run,
            standard normal, or uniform on the box.
        noise: standard deviation of the normal noise in every entry of a minibatch's
            gradients. Extragradient with a fresh minibatch then stays at a mean square
            distance of S (1 + η²)/(1 − η²) on xy, where S is the variance of the whole
            noise; it does not shrink with η, unless the second step is smaller.

    Solutions: (0, 0) is the Nash equilibrium; on a box in the plane x = 0 with any y is
        minimax.
    Source: Daskalakis, Ilyas, Syrgkanis and Zeng 2018; the box: Mangoubi, Sachdeva and
        Vishnoi 2020, Figure 3 of their blog; the noise: Hsieh, Iutzeler, Malick and
        Mertikopoulos 2020.
    """

    dim: Count = 1
    smallest: Positive = 1.0
    largest: Positive = 1.0
    spacing: Literal["linear", "log"] = "linear"
    instance: Seed = 0
    box: Bound = 0.0
    start_at: tuple[Coordinate, Coordinate] | None = None
    noise: NonNegative = field(default=0.0, metadata=UNLESS_DEFAULT)

    version = 3
    source = DASKALAKIS_2018

    def check(self) -> None:
        """Raise `DescriptionError` when fields do not fit each other."""
        if self.smallest > self.largest:
            raise DescriptionError(
                f"Bilinear.smallest must be at most largest={self.largest:g}; got "
                f"{self.smallest!r}."
            )
        if self.start_at and self.dim > 1:
            raise DescriptionError(
                f"Bilinear.start_at must be left out when dim is above 1; got "
                f"{self.start_at!r} with dim={self.dim}."
            )
        if self.box and self.dim > 1:
            raise DescriptionError(
                f"Bilinear.box must be 0 when dim is above 1; got {self.box!r} with "
                f"dim={self.dim}."
            )

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        given = {Capability.ZERO_SUM, Capability.SADDLE_GAP}
        given |= {Capability.SOLUTION, Capability.NASH}
        return frozenset(given | ({Capability.PLANE} if self.dim == 1 else set()))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of the metrics measured when none are chosen."""
        metrics = (*SOLVED_METRICS[:2], "gap", *SOLVED_METRICS[2:])
        return (*metrics, "distance[concept=nash]") if self.box else metrics

    @property
    def target(self) -> Target:
        """The bounds that a run must reach."""
        if not self.box:
            return SOLVED_TARGET
        # A fortieth of the side: random search stops so near to the minimax line, while
        # a cycling method only passes it.
        return Target("distance", at_most=(("distance", self.box / 20),))

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU."""
        # In the plane the cost of a step hardly depends on the number of runs.
        return 512 if self.dim == 1 else 128

    def build(self, placement: Placement) -> "BilinearGame":
        """Build the game."""
        return BilinearGame(self, placement)

    def drawn(self, game: Game) -> Numbers:
        """Return what a run draws: a point, unless one is declared."""
        return Numbers(0 if self.start_at else game.dim, is_normal=not self.box)

    def starts(
        self, game: Game, numbers: Float64[Tensor, "runs amount"]
    ) -> Float[Tensor, "runs dim"]:
        """Return the declared first point, or those drawn, inside the box if any."""
        if self.box:
            numbers = self.box * (2 * numbers - 1)
        return plane_starts(self.start_at, game, numbers)


class BilinearGame(NoisyGame):
    """The game x'Ay, where A is a number in the plane.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: Bilinear, placement: Placement) -> None:
        self.dim_x = self.dim_y = task.dim
        self.device, self.dtype = placement.device, placement.dtype
        self._box, self._scale = task.box, task.largest
        self._a = Matrix(spectral_matrix(task), placement)
        self._add_noise(task.noise)

    def losses(
        self, x: Tensor, y: Tensor, sample: Noise | None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return x'Ay and its negative, each of shape (runs,).

        Args:
            x: first player, shape (runs, dim_x).
            y: second player, shape (runs, dim_y).
            sample: the noise of each run, if there is any.
            train: no effect.
        """
        f = self._noisy((x * self._forth(y)).sum(1), x, y, sample)
        return f, -f

    def _forth(self, y: Tensor) -> Tensor:
        """Return Ay."""
        if self.dim_x > 1:
            return self._a.times(y)
        return y if self._scale == 1 else self._scale * y

    def _back(self, x: Tensor) -> Tensor:
        """Return A'x."""
        return self._a.transposed_times(x) if self.dim_x > 1 else self._forth(x)

    def project(self, z: Float[Tensor, "runs dim"]) -> Float[Tensor, "runs dim"]:
        """Return the nearest point of the box."""
        return z.clamp(-self._box, self._box) if self._box else z

    def distance(
        self, z: Float[Tensor, "runs dim"], concept: str
    ) -> Float[Tensor, " runs"]:
        """Return the distance of each run to the solutions.

        Args:
            z: iterates.
            concept: "declared" for the minimax line x = 0 on a box in the plane and
                (0, 0) otherwise; "nash" for (0, 0).
        """
        if concept == "declared" and self._box:
            return z[:, 0].abs()
        return z.norm(dim=1)

    def gap(
        self, z: Float[Tensor, "runs dim"], radius: float
    ) -> Float[Tensor, " runs"]:
        """Return the restricted primal-dual gap of each run.

        It is radius (|A'x| + |Ay|) with Euclidean norms; on a box, the half-width
        (|A'x| + |Ay|) with sums of absolute values.

        Args:
            z: iterates.
            radius: radius of the balls around (0, 0); without effect on a box.
        """
        x, y = z[:, : self.dim_x], z[:, self.dim_x :]
        back, forth = self._back(x), self._forth(y)
        if self._box:
            return self._box * (back.abs().sum(1) + forth.abs().sum(1))
        return radius * (back.norm(dim=1) + forth.norm(dim=1))


@lru_cache(maxsize=1)
def spectral_matrix(task: Bilinear) -> Float[Tensor, "dim dim"]:
    """Return the matrix A of an instance, in float64 on the CPU.

    The last one is kept, for each chunk of a cell builds the game anew; it must not be
    written into.
    """
    if task.dim == 1:
        return torch.full((1, 1), task.largest, dtype=torch.float64)
    values = torch.linspace(task.smallest, task.largest, task.dim, dtype=torch.float64)
    if task.spacing == "log":
        ends = torch.tensor([task.smallest, task.largest], dtype=torch.float64).log()
        low, high = ends.tolist()
        values = torch.linspace(low, high, task.dim, dtype=torch.float64).exp()
    generator = torch.Generator().manual_seed(task.instance)
    left, right = (random_rotation(task.dim, generator) for _ in range(2))
    return left @ torch.diag(values) @ right.T

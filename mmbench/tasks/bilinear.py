"""Bilinear: x'Ay with a chosen spectrum, in the plane, in d dimensions or on a box."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from mmbench.core.capability import Capability
from mmbench.core.domains import Count, Finite, NonNegative, Positive, Seed
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.literature import DASKALAKIS_2018
from mmbench.core.placement import Placement
from mmbench.tasks.base import (
    SOLVED_METRICS,
    SOLVED_TARGET,
    Target,
    Task,
    plane_start,
)

# In products of rows whose length is no multiple of this, a run's bits depend on its
# place among the runs.
ROW = 4


@final
@dataclass(frozen=True, kw_only=True)
class Bilinear(Task):
    """Bilinear game: the simplest in which simultaneous steps fail.

        f(x, y) = x' A y,   A = U diag(σ) V'

    Pure rotation: the field has no component towards the solution. The singular values
    σ run from `smallest` to `largest`; U and V are random rotations of the instance.

    Args:
        dim: length of each player.
        smallest: least singular value.
        largest: greatest singular value.
        spacing: of the singular values between them.
        instance: seed of the rotations; the same for all runs of a cell.
        box: half-width of the square [-box, box] that holds every entry, by projection;
            0 leaves the players free.
        start_at: first point (x, y) in the plane; none draws one for each run, standard
            normal, or uniform on the box.

    Solutions: (0, 0) is the Nash equilibrium; on a box in the plane x = 0 with any y is
        minimax.
    Source: Daskalakis, Ilyas, Syrgkanis and Zeng 2018; the box: Mangoubi, Sachdeva and
        Vishnoi 2020, Figure 3 of their blog.
    """

    dim: Count = 1
    smallest: Positive = 1.0
    largest: Positive = 1.0
    spacing: Literal["linear", "log"] = "linear"
    instance: Seed = 0
    box: NonNegative = 0.0
    start_at: tuple[Finite, Finite] | None = None

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
        """What the game gives beyond its losses."""
        given = {Capability.ZERO_SUM, Capability.SADDLE_GAP}
        given |= {Capability.SOLUTION, Capability.NASH}
        return frozenset(given | ({Capability.PLANE} if self.dim == 1 else set()))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Words of the metrics measured when none are chosen."""
        measured = (*SOLVED_METRICS[:2], "gap", *SOLVED_METRICS[2:])
        return (*measured, "distance[concept=nash]") if self.box else measured

    @property
    def target(self) -> Target:
        """What counts as reached."""
        if not self.box:
            return SOLVED_TARGET
        # A fortieth of the side: random search stops within that of the minimax line, a
        # cycling method only passes it.
        return Target("distance", at_most=(("distance", self.box / 20),))

    @property
    def width(self) -> int:
        """Runs computed side by side on a CPU."""
        return 512 if self.dim == 1 else 128  # two numbers a run cost nothing

    def build(self, placement: Placement) -> "BilinearGame":
        """The game, on a device."""
        return BilinearGame(self, placement)

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, "dim"]:
        """Where one run starts."""
        if self.box and not self.start_at:
            drawn = torch.rand(2, generator=generator, dtype=torch.float64)
            return (self.box * (2 * drawn - 1)).to(game.dtype)
        return plane_start(self.start_at or (), 2 * self.dim, game, generator)


class BilinearGame(Game):
    """x'Ay, with A = 1 in the plane."""

    def __init__(self, task: Bilinear, placement: Placement) -> None:
        self.dim_x = self.dim_y = task.dim
        self.device, self.dtype = placement.device, placement.dtype
        self._box, self._scale = task.box, task.largest
        self._padding = -task.dim % ROW
        a = pad(spectral_matrix(task), (0, self._padding, 0, self._padding))
        self._a = a.to(placement.device, placement.dtype)

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """x'Ay and its negative."""
        f = (x * self._times(y, self._a)).sum(1)
        return f, -f

    def _times(self, v: Tensor, a: Tensor) -> Tensor:
        """A v, run by run."""
        if self.dim_x == 1:
            return v if self._scale == 1 else self._scale * v
        # One product for all runs may round by their number, which is the width of a
        # chunk and so always the same.
        if not self._padding:
            return v @ a.T
        return (pad(v, (0, self._padding)) @ a.T)[:, : self.dim_x]

    def project(self, z: Tensor) -> Tensor:
        """The nearest point of the box."""
        return z.clamp(-self._box, self._box) if self._box else z

    def distance(self, z: Tensor, concept: str) -> Tensor:
        """Distance to (0, 0); on the box, to the minimax line x = 0 unless "nash"."""
        if concept == "declared" and self._box:
            return z[:, 0].abs()
        return z.norm(dim=1)

    def gap(self, z: Tensor, radius: float) -> Tensor:
        """Gap over balls of that radius around (0, 0), or over the box.

        radius (|A'x| + |Ay|); on the box, its half-width times the sum of the entries'
        absolute values.
        """
        x, y = z[:, : self.dim_x], z[:, self.dim_x :]
        back, forth = self._times(x, self._a.T), self._times(y, self._a)
        if self._box:
            return self._box * (back.abs().sum(1) + forth.abs().sum(1))
        return radius * (back.norm(dim=1) + forth.norm(dim=1))


def spectral_matrix(task: Bilinear) -> Float[Tensor, "dim dim"]:
    """The matrix of an instance, in float64 on the CPU."""
    if task.dim == 1:
        return torch.full((1, 1), task.largest, dtype=torch.float64)
    values = torch.linspace(task.smallest, task.largest, task.dim, dtype=torch.float64)
    if task.spacing == "log":
        ends = torch.tensor([task.smallest, task.largest], dtype=torch.float64).log()
        values = torch.linspace(*ends.tolist(), task.dim, dtype=torch.float64).exp()
    generator = torch.Generator().manual_seed(task.instance)
    left, right = (
        torch.linalg.qr(
            torch.randn(task.dim, task.dim, generator=generator, dtype=torch.float64)
        ).Q
        for _ in range(2)
    )
    return left @ torch.diag(values) @ right.T

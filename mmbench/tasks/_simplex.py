"""Games of mixed strategies: each player's variables are points of simplices."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.tasks._products import Matrix
from mmbench.tasks.base import Target, Task

StartAt = Literal["random", "uniform"]


class SimplexTask(Task):
    """A zero-sum game of mixed strategies, whose duality gap has a closed form.

    It adds no fields to the description; subclasses declare the field named here.

    Attributes:
        start_at: "random" draws the first strategies of each run uniformly from the
            simplices, "uniform" gives all actions the same probability.
    """

    start_at: StartAt

    @property
    def is_solved(self) -> bool:
        """Whether the equilibria are known."""
        return True

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        given = {Capability.ZERO_SUM, Capability.SIMPLEX, Capability.SADDLE_GAP}
        solved = {Capability.SOLUTION, Capability.NASH}
        return frozenset(given | (solved if self.is_solved else set()))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of the metrics measured when none are chosen."""
        known = ("distance",) if self.is_solved else ()
        return (*known, "gap", "field_norm", "worst[of=gap]", "rate[of=gap]")

    @property
    def target(self) -> Target:
        """The bounds that a run must reach."""
        return Target("gap", at_most=(("gap", 1e-3),))

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, " dim"]:
        """Draw mixed strategies from the simplices, or return the uniform ones."""
        assert isinstance(game, SimplexGame)
        weights = torch.ones(game.dim, dtype=torch.float64)
        if self.start_at == "random":
            # Independent exponential numbers over their sum are uniform on a simplex.
            weights.exponential_(generator=generator)
        return game.normalise(weights[None])[0].to(game.dtype)


class SimplexGame(Game):
    """A game in which each player chooses points of simplices of equal size.

    Args:
        placement: device and dtype of the tensors.
        x: number of simplices of x and number of entries of each.
        y: the same of y.
        solutions: the only equilibrium, or the ends of the segment of all equilibria,
            shape (1 or 2, dim); none where they are not known.
    """

    def __init__(
        self,
        placement: Placement,
        x: tuple[int, int],
        y: tuple[int, int],
        solutions: Float[Tensor, "ends dim"] | None = None,
    ) -> None:
        self.device, self.dtype = placement.device, placement.dtype
        self._simplices = x, y
        self.dim_x, self.dim_y = x[0] * x[1], y[0] * y[1]
        if solutions is not None:
            solutions = solutions.to(self.device, self.dtype)
        self._solutions = solutions

    def blocks(
        self, z: Float[Tensor, "runs dim"]
    ) -> tuple[
        Float[Tensor, "runs count_x size_x"], Float[Tensor, "runs count_y size_y"]
    ]:
        """Return the simplices of x and of y, one along each row."""
        x, y = self._simplices
        return z[:, : self.dim_x].unflatten(1, x), z[:, self.dim_x :].unflatten(1, y)

    def join(self, x: Tensor, y: Tensor) -> Float[Tensor, "runs dim"]:
        """Return z of the simplices of x and of y."""
        return torch.cat((x.flatten(1), y.flatten(1)), dim=1)

    def normalise(self, z: Float[Tensor, "runs dim"]) -> Float[Tensor, "runs dim"]:
        """Divide weights by their sums."""
        x, y = self.blocks(z)
        return self.join(x / x.sum(2, keepdim=True), y / y.sum(2, keepdim=True))

    def distance(
        self, z: Float[Tensor, "runs dim"], concept: str
    ) -> Float[Tensor, " runs"]:
        """Return the distance of each run to the equilibria, for every concept."""
        if self._solutions is None:
            raise self._lacks("distance")
        first, along = self._solutions[0], self._solutions[-1] - self._solutions[0]
        length = (along * along).sum().clamp_min(torch.finfo(z.dtype).tiny)
        share = (((z - first) * along).sum(1) / length).clamp(0, 1)
        return (z - first - share[:, None] * along).norm(dim=1)

    def project(self, z: Float[Tensor, "runs dim"]) -> Float[Tensor, "runs dim"]:
        """Return the nearest mixed strategies in the Euclidean norm."""
        x, y = self.blocks(z)
        return self.join(project_on_simplex(x), project_on_simplex(y))

    def mirror(
        self, z: Float[Tensor, "runs dim"], step: Float[Tensor, "runs dim"]
    ) -> Float[Tensor, "runs dim"]:
        """Return the mixed strategies zᵢ exp(stepᵢ) / Σⱼ zⱼ exp(stepⱼ).

        A probability that has become zero by rounding counts as the smallest normal
        number, so that no action is lost for ever.

        Args:
            z: mixed strategies.
            step: the change of the dual point.
        """
        dual = z.clamp_min(torch.finfo(z.dtype).tiny).log() + step
        x, y = (part - part.amax(2, keepdim=True) for part in self.blocks(dual))
        return self.normalise(self.join(x, y).exp())


class PayoffGame(SimplexGame):
    """The game x'Ay between mixed strategies.

    Args:
        placement: device and dtype of the tensors.
        a: payoffs to y, in float64 on the CPU.
        simplices_x: how many simplices x is.
        simplices_y: how many simplices y is.
        solutions: the equilibria, as of any game of mixed strategies.
    """

    def __init__(
        self,
        placement: Placement,
        a: Float[Tensor, "dim_x dim_y"],
        simplices_x: int = 1,
        simplices_y: int = 1,
        solutions: Float[Tensor, "ends dim"] | None = None,
    ) -> None:
        x = simplices_x, a.shape[0] // simplices_x
        y = simplices_y, a.shape[1] // simplices_y
        super().__init__(placement, x, y, solutions)
        self._a = Matrix(a, placement)

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return x'Ay and its negative, each of shape (runs,).

        Args:
            x: first player, shape (runs, dim_x).
            y: second player, shape (runs, dim_y).
            sample: no minibatch.
            train: no effect.
        """
        f = (x * self._a.times(y)).sum(1)
        return f, -f

    def gap(
        self, z: Float[Tensor, "runs dim"], radius: float
    ) -> Float[Tensor, " runs"]:
        """Return the duality gap of each run, in units of the payoff.

        The best answer to a mixed strategy is a vertex of each simplex.

        Args:
            z: mixed strategies.
            radius: no effect.
        """
        x, y = z[:, : self.dim_x], z[:, self.dim_x :]
        payoffs = self._a.times(y), self._a.transposed_times(x)
        of_x, of_y = self.blocks(torch.cat(payoffs, dim=1))
        return of_y.amax(2).sum(1) - of_x.amin(2).sum(1)


def project_on_simplex(v: Float[Tensor, "*runs size"]) -> Float[Tensor, "*runs size"]:
    """Return the nearest points of the simplex; points on it up to rounding are kept.

    It is max(vᵢ − τ, 0), where τ is the largest of (Σ_{i≤k} uᵢ − 1)/k over k, with the
    entries u in decreasing order.
    """
    shifted = v - v.amax(-1, keepdim=True)  # which moves no nearest point
    ordered = shifted.sort(dim=-1, descending=True).values
    counts = torch.arange(1, v.shape[-1] + 1, dtype=v.dtype, device=v.device)
    threshold = ((ordered.cumsum(-1) - 1) / counts).amax(-1, keepdim=True)
    nearest = (shifted - threshold).clamp_min(0)
    nearest = nearest / nearest.sum(-1, keepdim=True)
    rounding = 2 * v.shape[-1] * torch.finfo(v.dtype).eps
    kept = (v.sum(-1, keepdim=True) - 1).abs() <= rounding
    kept = kept & (v.amin(-1, keepdim=True) >= 0)
    return torch.where(kept, v, nearest)

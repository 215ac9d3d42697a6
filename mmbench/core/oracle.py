"""Oracle: the counted access of an algorithm to a game.

Per-run gradients are ordinary autograd of all runs' losses together: the runs share no
variable, so what a loss adds to the gradient belongs to its own run.

An algorithm holds the oracle and nothing else of the game. What it can do by public
names is ask; the charges, the random streams and the game itself lie in the
`OracleState` of the engine.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmbench.core.errors import DescriptionError
from mmbench.core.linearisation import Linearisation
from mmbench.core.oracle_state import OracleState
from mmbench.core.vectors import Joint, Mask, PartX, PartY, Vector, masked

# A step size: a number, or a column where each run has its own.
Size = float | Float[Tensor, "runs 1"]


class Oracle:
    """Counted losses, gradients and second-order products of a game, for all runs.

    Every question is charged to each run that is alive. Where a mask `on` is given,
    only the runs that it holds for are charged; the others receive zeros.

    Args:
        state: the game asked, and what its answers are charged to.
    """

    def __init__(self, state: OracleState) -> None:
        self._state, self._game = state, state.game
        self._rows: dict[tuple[float, float], Tensor] = {}
        # Losses are differentiated together, each with this weight.
        self._ones = torch.ones(self.runs, dtype=self._game.dtype).to(self._game.device)

    # ---- shape of the problem ----

    @property
    def runs(self) -> int:
        """Number of runs computed side by side."""
        return len(self._state.seeds)

    @property
    def dim_x(self) -> int:
        """Length of x."""
        return self._game.dim_x

    @property
    def zero_sum(self) -> bool:
        """Whether loss_y = -loss_x."""
        return self._game.zero_sum

    @property
    def alive(self) -> Mask:
        """A copy of the mask of runs that have not ended, shape (runs,)."""
        return self._state.alive.clone()

    def split(self, z: Joint) -> tuple[PartX, PartY]:
        """Return the parts x and y of z, as views."""
        return z[:, : self._game.dim_x], z[:, self._game.dim_x :]

    def join(self, x: PartX, y: PartY) -> Joint:
        """Return x followed by y."""
        return torch.cat((x, y), dim=1)

    def scale(self, step_size: Size | tuple[Size, Size], v: Vector) -> Vector:
        """Multiply a joint vector by a step size, or its parts by one each."""
        if isinstance(step_size, float):
            return step_size * v
        return self.row(*step_size) * v

    def row(self, at_x: Size, at_y: Size) -> Float[Tensor, "rows dim"]:
        """Return one value for each entry of x and another for each entry of y.

        Args:
            at_x: a number, or a column (runs, 1) where each run has its own.
            at_y: of the same kind as `at_x`.
        """
        if isinstance(at_x, Tensor):
            columns = (at_x, self.dim_x), (at_y, self._game.dim_y)
            return torch.cat([one.expand(-1, size) for one, size in columns], dim=1)
        if (at_x, at_y) not in self._rows:
            game = self._game
            row = torch.full((1, game.dim), at_y, dtype=game.dtype, device=game.device)
            row[:, : game.dim_x] = at_x
            self._rows[at_x, at_y] = row
        return self._rows[at_x, at_y]

    def project(self, z: Vector) -> Vector:
        """Return the nearest allowed point; free of charge."""
        return self._game.project(z)

    def turn(self, count: Int[Tensor, "runs"], of: int) -> int:
        """Return whose turn it is, from 0 to `of` - 1, where steps differ in turn.

        A method asks for its turn and does not compute it, since compiled steps take
        turns without looking at the count.

        Args:
            count: number of the method's step, the same for all runs that are alive;
                it must grow by one with each step.
            of: number of turns.
        """
        return self._state.turn(count, of)

    # ---- randomness ----

    def resample(self) -> None:
        """Draw a fresh minibatch for every run; charges its samples.

        The engine does so once before each step; an algorithm that needs more calls
        this. How often it is called in a step must not depend on the runs.
        """
        self._state.resample()

    def uniform(self) -> Float[Tensor, "runs"]:
        """Return one uniform number in [0, 1) for each run; free of charge.

        It comes from the algorithm's stream of each run.
        """
        return self._state.draw(("uniform", 1))[:, 0]

    def normal(self, size: int) -> Vector:
        """Return `size` standard normal numbers for each run; free of charge.

        They come from the algorithm's stream of each run.
        """
        return self._state.draw(("normal", size))

    # ---- first order ----

    def losses(
        self, z: Vector, *, on: Mask | None = None, train: bool = True
    ) -> tuple[Float[Tensor, "runs"], Float[Tensor, "runs"]]:
        """Return the loss of each player; charges one value."""
        x, y = self._parts(z)
        self._state.charge("values", 1, on)
        with torch.no_grad():
            loss_x, loss_y = self._game.losses(x, y, self._state.sample, train=train)
        return masked(loss_x, on), masked(loss_y, on)

    def payoff(
        self, z: Vector, *, on: Mask | None = None, train: bool = True
    ) -> Float[Tensor, "runs"]:
        """Return f, which y maximises; charges one value.

        In a zero-sum game this is loss_x. Where x follows another loss (the
        non-saturating one of a GAN), f is still -loss_y.
        """
        return -self.losses(z, on=on, train=train)[1]

    def field(self, z: Vector) -> Vector:
        """Return F(z), the gradients of loss_x in x and of loss_y in y.

        Charges one player-gradient of each player.
        """
        x, y = (part.detach().requires_grad_() for part in self._parts(z))
        self._state.charge("grad_x", 1)
        self._state.charge("grad_y", 1)
        gradients = self._gradients(x, y, create_graph=False)
        return torch.cat(gradients, dim=1)

    def grad_x(self, z: Joint, *, on: Mask | None = None) -> PartX:
        """Return the gradient of loss_x in x; charges one player-gradient."""
        x, y = self._parts(z)
        self._state.charge("grad_x", 1, on)
        x = x.detach().requires_grad_()
        loss = self._game.losses(x, y, self._state.sample)[0]
        return masked(_gradient(loss, x, self._ones), on)

    def grad_y(self, z: Joint, *, on: Mask | None = None) -> PartY:
        """Return the gradient of loss_y in y; charges one player-gradient."""
        return self.grad_y_and_payoff(z, on=on)[0]

    def grad_y_and_payoff(
        self, z: Joint, *, on: Mask | None = None
    ) -> tuple[PartY, Float[Tensor, "runs"]]:
        """Return the gradient of loss_y in y, and f, which it computes on its way.

        Charges one player-gradient, and nothing for f.
        """
        x, y = self._parts(z)
        self._state.charge("grad_y", 1, on)
        y = y.detach().requires_grad_()
        loss = self._game.losses(x, y, self._state.sample)[1]
        gradient = _gradient(loss, y, self._ones)
        return masked(gradient, on), masked(-loss.detach(), on)

    # ---- second order ----

    def linearise(self, z: Joint) -> Linearisation:
        """Return both gradients, ready for products; charges one of each player."""
        x, y = (part.detach().requires_grad_() for part in self._parts(z))
        self._state.charge("grad_x", 1)
        self._state.charge("grad_y", 1)
        gradients = self._gradients(x, y, create_graph=True)
        return Linearisation(partial(self._state.charge, "hvps", 1), x, y, *gradients)

    def unroll(
        self,
        z: Vector,
        steps: int,
        answer: Callable[[Vector, Vector, Any], tuple[Vector, Any]],
        state: Any,
    ) -> "Unrolled":
        """Let y answer x for some steps and differentiate x's loss through them.

        Charges one gradient of y a step, one of x, and one Hessian product a step: the
        reverse pass through each retained gradient of y. This is the one question
        whose second-order cost is stated and not counted call by call.

        Args:
            z: the point where both players stand.
            steps: number of moves of y; at least 1.
            answer: maps (y, gradient of loss_y, state) to (new y, new state), in
                operations that can be differentiated.
            state: the first state given to `answer`.
        """
        x, y = (part.detach().requires_grad_() for part in self._parts(z))
        self._state.charge("grad_y", steps)
        self._state.charge("grad_x", 1)
        self._state.charge("hvps", steps)
        sample = self._state.sample
        moved, first = y, None
        for _ in range(steps):
            loss = self._game.losses(x, moved, sample)[1]
            (gradient,) = torch.autograd.grad(
                loss, moved, self._ones, create_graph=True
            )
            first = gradient.detach() if first is None else first
            moved, state = answer(moved, gradient, state)
        loss = self._game.losses(x, moved, sample)[0]
        assert first is not None
        return Unrolled(torch.autograd.grad(loss, x, self._ones)[0], first)

    def _parts(self, z: Vector) -> tuple[PartX, PartY]:
        """Return x and y of one point for each run, since one point is charged."""
        if z.shape != (self.runs, self._game.dim):
            raise DescriptionError(
                f"An oracle must be asked for one point of each run, shape "
                f"{(self.runs, self._game.dim)}; got {tuple(z.shape)}."
            )
        return self.split(z)

    def _gradients(
        self, x: PartX, y: PartY, *, create_graph: bool
    ) -> tuple[PartX, PartY]:
        loss_x, loss_y = self._game.losses(x, y, self._state.sample)
        if self._game.zero_sum:  # one reverse pass serves both players
            at_x, at_y = torch.autograd.grad(
                loss_x,
                (x, y),
                self._ones,
                create_graph=create_graph,
                allow_unused=True,
                materialize_grads=True,
            )
            return at_x, -at_y
        at_x = _gradient(
            loss_x, x, self._ones, retain_graph=True, create_graph=create_graph
        )
        return at_x, _gradient(loss_y, y, self._ones, create_graph=create_graph)


def _gradient(
    loss: Tensor,
    player: Tensor,
    weights: Tensor,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> Tensor:
    """Return the gradient of losses in one player; zero where they ignore it."""
    return torch.autograd.grad(
        loss,
        player,
        weights,
        retain_graph=retain_graph,
        create_graph=create_graph,
        allow_unused=True,
        materialize_grads=True,
    )[0]


class Unrolled(NamedTuple):
    """Gradients that come of unrolling.

    Args:
        grad_x: gradient of loss_x through y's answers, shape (runs, dim_x).
        first_grad_y: y's first gradient, at no charge, shape (runs, dim_y).
    """

    grad_x: PartX
    first_grad_y: PartY

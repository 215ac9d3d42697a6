"""Oracles: the counted access of an algorithm to a game.

The losses of all runs are differentiated together: the runs share no variable, so the
gradient of the sum holds the gradient of each run.

An algorithm is given the oracle and nothing else of the game. Its public methods only
answer questions; the charges, the random streams and the game itself belong to the
`OracleState` of the engine.
"""

import functools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn, ParamSpec, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.code_patches import protected
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.linearisation import Linearisation
from mmbench.core.oracle_state import OracleState
from mmbench.core.reverse_pass import reverse_pass
from mmbench.core.user_code import defined_at, describe_value
from mmbench.core.vectors import Joint, Mask, PartX, PartY, Vector, masked

# A step size: a number, or a column where each run has its own.
Size = float | Float[Tensor, "runs 1"]

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


def _with_graph(method: Callable[_Given, _Answer]) -> Callable[_Given, _Answer]:
    """Have a method compute with a graph, also where its caller wants none of its own.

    Where gradients are on, as they are while the engine makes a step, it is called as
    it is: a context of torch takes as long as a small operation.
    """

    @functools.wraps(method)
    def computed(*args: _Given.args, **kwargs: _Given.kwargs) -> _Answer:
        if torch.is_grad_enabled():
            return method(*args, **kwargs)
        with torch.enable_grad():
            return method(*args, **kwargs)

    return computed


@protected
class Oracle:
    """Counted losses, gradients and second-order products of a game, for all runs.

    Every question is charged to each run that has not ended. Where a mask `on` is
    given, only the runs where it is True are charged; the others receive zeros.

    Args:
        state: the game, its random streams and the charges.
    """

    def __init__(self, state: OracleState) -> None:
        self._state, self._game = state, state.game
        self._rows: dict[tuple[float, float], Tensor] = {}
        self._numbers: dict[float, Tensor] = {}
        self._sizes = [self._game.dim_x, self._game.dim - self._game.dim_x]
        # The weight of each run's loss in the sum that is differentiated.
        self._ones = torch.ones(
            self.runs, dtype=self._game.dtype, device=self._game.device
        )

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("An oracle cannot be copied, since a copy has its own charges.")

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
        """A copy of the mask of the runs that have not ended, shape (runs,)."""
        return self._state.alive.clone()

    def split(self, z: Joint) -> tuple[PartX, PartY]:
        """Return the parts x and y of z, as views."""
        return z[:, : self._game.dim_x], z[:, self._game.dim_x :]

    def join(self, x: PartX, y: PartY) -> Joint:
        """Return x followed by y."""
        return torch.cat((x, y), dim=1)

    def scale(self, step_size: Size | tuple[Size, Size], v: Vector) -> Vector:
        """Multiply a joint vector by one step size, or x and y by one each."""
        if isinstance(step_size, float):
            return self._number(step_size) * v
        return self._row(*step_size) * v

    def row(self, at_x: Size, at_y: Size) -> Float[Tensor, "rows dim"]:
        """Return one value for each entry of x and another for each entry of y.

        Args:
            at_x: a number, or a column (runs, 1) where each run has its own.
            at_y: a number or a column, as `at_x` is.
        """
        return self._row(at_x, at_y).clone()

    def _row(self, at_x: Size, at_y: Size) -> Float[Tensor, "rows dim"]:
        game = self._game
        if isinstance(at_x, Tensor):
            column = at_y if isinstance(at_y, Tensor) else torch.full_like(at_x, at_y)
            parts = at_x.expand(-1, game.dim_x), column.expand(-1, game.dim_y)
            return torch.cat(parts, dim=1)
        if isinstance(at_y, Tensor):
            return self._row(torch.full_like(at_y, at_x), at_y)
        values = float(at_x), float(at_y)
        if values not in self._rows:
            of_x, of_y = map(self._number, values)
            parts = of_x.expand(1, game.dim_x), of_y.expand(1, game.dim_y)
            self._rows[values] = torch.cat(parts, dim=1)
        return self._rows[values]

    def _number(self, value: float) -> Float[Tensor, ""]:
        """Return a number as a tensor, by which torch multiplies in half the time."""
        if value not in self._numbers:
            game = self._game
            # torch has an error where a number overflows the dtype.
            is_finite = abs(value) <= torch.finfo(game.dtype).max
            self._numbers[value] = torch.full(
                (),
                value if is_finite else value * math.inf,
                dtype=game.dtype,
                device=game.device,
            )
        return self._numbers[value]

    def project(self, z: Vector) -> Vector:
        """Return the nearest allowed point of each run; free of charge."""
        return self._game.project(z)

    def mirror(self, z: Vector, step: Vector) -> Vector:
        """Return where an entropic mirror step leads; free of charge.

        A method that calls it states `Capability.SIMPLEX` in its needs.

        Args:
            z: one allowed point for each run.
            step: the change of the dual point, shape (runs, dim), such as −η F(z).
        """
        return self._game.mirror(z, step)

    def turn(self, count: Int[Tensor, " runs"], of: int) -> int:
        """Return the count of steps modulo `of`, for methods whose steps alternate.

        A method must use this and not compute the turn itself, since compiled steps
        know the turn without reading the count.

        Args:
            count: number of the method's step, shape (runs,); the same for all runs
                that have not ended, and one more with each step.
            of: number of kinds of steps that take turns.
        """
        return self._state.turn(count, of)

    # ---- randomness ----

    def resample(self) -> None:
        """Draw a fresh minibatch for every run; charges its samples.

        The engine draws one before each step; an algorithm that needs more calls this.
        The number of calls in a step must not depend on the values of the runs.
        """
        self._state.resample()

    def uniform(self) -> Float[Tensor, " runs"]:
        """Return one uniform number in [0, 1) for each run; free of charge.

        It is drawn from a random stream of the run that only algorithms use.
        """
        return self._state.draw(("uniform", 1))[:, 0].clone()

    def normal(self, size: int) -> Vector:
        """Return `size` standard normal numbers for each run; free of charge.

        They are drawn from a random stream of the run that only algorithms use.
        """
        return self._state.draw(("normal", size)).clone()

    def integers(self, high: int) -> Int[Tensor, " runs"]:
        """Return one whole number from 0 to high - 1 for each run; free of charge.

        It is made from a number of `uniform`, so that it is drawn from the same stream.
        """
        # In float32 a number just below 1 may have been rounded to 1.
        return (self.uniform() * high).long().clamp_max(high - 1)

    # ---- first order ----

    def losses(
        self, z: Vector, *, on: Mask | None = None, train: bool = True
    ) -> tuple[Float[Tensor, " runs"], Float[Tensor, " runs"]]:
        """Return the loss of each player, for each run; charges one value.

        Args:
            z: one point for each run.
            on: mask of the runs that ask; None means all.
            train: whether dropout is active.
        """
        x, y = self._leaves(z)
        self._state.charge("values", 1, on)
        with torch.no_grad():
            losses = self._game.losses(x, y, self._state.sample, train=train)
        loss_x, loss_y = self._check_losses(losses, len(z))
        return masked(loss_x, on), masked(loss_y, on)

    def payoff(
        self, z: Vector, *, on: Mask | None = None, train: bool = True
    ) -> Float[Tensor, " runs"]:
        """Return f = -loss_y, which y maximises; charges one value.

        In a zero-sum game this is loss_x. In others x minimises another loss, such as
        the non-saturating one of a GAN.

        Args:
            z: one point for each run.
            on: mask of the runs that ask; None means all.
            train: whether dropout is active.
        """
        return -self.losses(z, on=on, train=train)[1]

    @_with_graph
    def field(self, z: Vector, *, on: Mask | None = None) -> Vector:
        """Return F(z), the gradients of loss_x in x and of loss_y in y.

        Charges one player-gradient of each player.
        """
        x, y = self._leaves(z)
        self._state.charge("grad_x", 1, on)
        self._state.charge("grad_y", 1, on)
        at_x, at_y = self._gradients(x, y, self._state.sample, self._ones)
        return masked(self.join(at_x, at_y), on)

    @_with_graph
    def full_field(self, z: Vector, *, on: Mask | None = None) -> Vector:
        """Return F(z) over all terms of a finite sum.

        It is computed for the runs that are charged alone. Charges all terms as
        samples, and as many player-gradients of each player as there are minibatches in
        a pass over them. A method that calls it states `Capability.FINITE_SUM`.

        Args:
            z: one point for each run.
            on: mask of the runs that ask; None means all.

        Raises:
            MisfitError: when the game is no finite sum.
        """
        x, y = self._leaves(z)
        game, state = self._game, self._state
        if not game.terms or not game.shows_terms:
            raise MisfitError(
                f"Oracle.full_field needs {Capability.FINITE_SUM}; "
                f"{type(game).__name__} is not one."
            )
        minibatches = -(-game.terms // game.batch_size)
        for name in ("grad_x", "grad_y"):
            state.charge(name, minibatches, on)
        state.charge("samples", game.terms, on)
        asking = state.alive if on is None else on & state.alive
        field = torch.zeros_like(z)
        if bool(asking.any()):  # which a trace of the step refuses to decide
            rows = asking.nonzero()[:, 0]
            x, y = (part[rows].detach().requires_grad_() for part in (x, y))
            sample = state.all_terms(rows)
            field[rows] = self.join(
                *self._gradients(x, y, sample, self._ones[: len(rows)])
            )
        return field

    @_with_graph
    def grad_x(self, z: Joint, *, on: Mask | None = None) -> PartX:
        """Return the gradient of loss_x in x; charges one player-gradient."""
        x, y = self._leaves(z)
        self._state.charge("grad_x", 1, on)
        loss = self._game.losses(x, y.detach(), self._state.sample)[0]
        (gradient,) = _gradients(loss, (x,), self._ones)
        return masked(gradient, on)

    def grad_y(self, z: Joint, *, on: Mask | None = None) -> PartY:
        """Return the gradient of loss_y in y; charges one player-gradient."""
        return self.grad_y_and_payoff(z, on=on)[0]

    @_with_graph
    def grad_y_and_payoff(
        self, z: Joint, *, on: Mask | None = None
    ) -> tuple[PartY, Float[Tensor, " runs"]]:
        """Return the gradient of loss_y in y, and f = -loss_y.

        Charges one player-gradient; f is computed on the way and costs nothing.
        """
        x, y = self._leaves(z)
        self._state.charge("grad_y", 1, on)
        loss = self._game.losses(x.detach(), y, self._state.sample)[1]
        (gradient,) = _gradients(loss, (y,), self._ones)
        return masked(gradient, on), masked(-loss.detach(), on)

    # ---- second order ----

    @_with_graph
    def linearise(
        self, z: Joint, *, cross: bool = False, on: Mask | None = None
    ) -> Linearisation:
        """Return both gradients with their graphs, from which products are computed.

        Charges one player-gradient of each player; each product is charged by itself.
        Cross gradients charge another of each loss in games that are not zero-sum.

        Args:
            z: one point for each run.
            cross: whether the gradient of each loss in the other player's variables is
                kept as well; a zero-sum game has them in any case.
            on: mask of the runs that ask; None means all.
        """
        x, y = self._leaves(z)
        zero_sum = self._game.zero_sum
        gradients = 2 if cross and not zero_sum else 1
        self._state.charge("grad_x", gradients, on)
        self._state.charge("grad_y", gradients, on)
        charge = partial(self._state.charge, "hvps", 1)
        sample = self._state.sample
        if gradients == 1 and not zero_sum:
            at_x, at_y = self._gradients(x, y, sample, self._ones, create_graph=True)
            return Linearisation(charge, x, y, at_x, at_y, zero_sum=False, on=on)
        loss_x, loss_y = self._game.losses(x, y, sample)
        at_x, cross_x = _gradients(loss_x, (x, y), self._ones, create_graph=True)
        if zero_sum:
            at_y, cross_y = -cross_x, None
        else:
            cross_y, at_y = _gradients(loss_y, (x, y), self._ones, create_graph=True)
        return Linearisation(
            charge, x, y, at_x, at_y, cross_x, cross_y, zero_sum=zero_sum, on=on
        )

    @_with_graph
    def unroll(
        self,
        z: Vector,
        steps: int,
        answer: Callable[[Vector, Vector, Any], tuple[Vector, Any]],
        state: Any,
    ) -> "Unrolled":
        """Let y make some steps and differentiate x's loss through them.

        Charges one gradient of y for each step, one of x, and one Hessian product for
        each step: the reverse pass through each retained gradient of y. They are
        charged in advance, since one call makes all of them.

        Args:
            z: one point for each run.
            steps: number of steps of y; at least 1.
            answer: maps (y, gradient of loss_y, state) to (new y, new state), in
                operations that can be differentiated.
            state: state for the first call of `answer`.
        """
        if type(steps) is not int or steps < 1:
            raise DescriptionError(
                f"Oracle.unroll must make a whole number of steps, at least 1; got "
                f"{steps!r}."
            )
        x, y = self._leaves(z)
        self._state.charge("grad_y", steps)
        self._state.charge("grad_x", 1)
        self._state.charge("hvps", steps)
        sample = self._state.sample
        moved, first = y, None
        for _ in range(steps):
            loss = self._game.losses(x, moved, sample)[1]
            (gradient,) = _gradients(loss, (moved,), self._ones, create_graph=True)
            first = gradient.detach() if first is None else first
            moved, state = answer(moved, gradient, state)
        loss = self._game.losses(x, moved, sample)[0]
        assert first is not None
        (gradient,) = _gradients(loss, (x,), self._ones)
        return Unrolled(gradient, first)

    def _leaves(self, z: Vector) -> tuple[PartX, PartY]:
        """Return x and y of one point for each run, as leaves of a new graph.

        Leaves carry no graph and no tangent of the caller, and cannot be made within
        the transforms of torch.func: what is charged for one point is one point.
        """
        if z.shape != (self.runs, self._game.dim) or z.dtype != self._game.dtype:
            raise DescriptionError(
                f"An oracle must be asked for one point of each run, shape "
                f"{(self.runs, self._game.dim)}, {self._game.dtype}; got "
                f"{tuple(z.shape)}, {z.dtype}."
            )
        # Half the time of two slices; without a graph its views are as free as theirs.
        x, y = torch.split_with_sizes(z, self._sizes, 1)
        return x.detach().requires_grad_(), y.detach().requires_grad_()

    def _check_losses(self, losses: Any, runs: int) -> tuple[Tensor, Tensor]:
        """Return what a game gave as losses if it is one for each run and player.

        Raises:
            DescriptionError: naming the game and what it gave.
        """
        try:
            fit = [tuple(loss.shape) for loss in losses] == [(runs,)] * 2
        except (AttributeError, TypeError):  # no two tensors
            fit = False
        if not fit:
            cls = type(self._game)
            pair = losses if isinstance(losses, tuple | list) else [losses]
            raise DescriptionError(
                f"{cls.__name__}.losses{defined_at(cls, 'losses')} must return the "
                f"losses of x and y, two tensors of shape ({runs},); got "
                f"{' and '.join(map(describe_value, pair)) or 'none'}."
            )
        return losses[0], losses[1]

    def _gradients(
        self,
        x: PartX,
        y: PartY,
        sample: Any,
        weights: Tensor,
        *,
        create_graph: bool = False,
    ) -> tuple[PartX, PartY]:
        """Return the gradient of each player's loss in its own variables."""
        loss_x, loss_y = self._game.losses(x, y, sample)
        if self._game.zero_sum:  # one reverse pass serves both players
            at_x, at_y = _gradients(loss_x, (x, y), weights, create_graph=create_graph)
            return at_x, -at_y
        (at_x,) = _gradients(
            loss_x, (x,), weights, retain_graph=True, create_graph=create_graph
        )
        (at_y,) = _gradients(loss_y, (y,), weights, create_graph=create_graph)
        return at_x, at_y


def _gradients(
    loss: Tensor,
    players: tuple[Tensor, ...],
    weights: Tensor,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> tuple[Tensor, ...]:
    """Return the gradient of the losses in each player; zeros where they ignore it."""
    if not loss.requires_grad:  # it depends on no player, for which torch has an error
        return tuple(torch.zeros_like(player) for player in players)
    return reverse_pass(
        loss, players, weights, retain_graph=retain_graph, create_graph=create_graph
    )


class Unrolled(NamedTuple):
    """The gradients that `Oracle.unroll` returns.

    Args:
        grad_x: gradient of loss_x through the steps of y, shape (runs, dim_x).
        first_grad_y: gradient of loss_y before the first step, shape (runs, dim_y).
    """

    grad_x: PartX
    first_grad_y: PartY

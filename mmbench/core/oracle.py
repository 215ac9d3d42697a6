"""Oracle: the counted access an algorithm has to a game.

Per-run gradients are ordinary autograd of all runs' losses together: the runs share no
variable, so what a loss adds to the gradient is its run's own.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmbench.core.game import Game
from mmbench.core.linearisation import Linearisation
from mmbench.core.streams import Stream, chunk_length
from mmbench.core.vectors import Joint, Mask, PartX, PartY, Vector, keep

# A loss need not depend on both players; its gradient is then zero.
UNUSED = {"allow_unused": True, "materialize_grads": True}

COUNTED = ("grad_x", "grad_y", "hvps", "values", "samples")

# What is drawn: a minibatch, or so many numbers of a law from the algorithm's stream.
Draw = tuple[str, int]
DATA: Draw = ("data", 0)


# A step size: a number, or a column where each run has its own.
Size = float | Float[Tensor, "runs 1"]


class Oracle:
    """Counted losses, gradients and second-order products of a game, for all runs.

    Every call charges each run that is alive (and, where a mask `on` is given, only
    those it holds for); dead runs never pay.

    Args:
        game: the game asked.
        seeds: one a run.
        purpose: the stream that minibatches come from; metrics ask an oracle of their
            own, on "evaluation", whose charges nobody reads.
        memory: what the game remembers where the runs start.
    """

    def __init__(
        self,
        game: Game,
        seeds: tuple[int, ...],
        purpose: str = "data",
        memory: tuple = (),
    ) -> None:
        self._game = game
        self._memory = memory
        self._seeds = seeds
        self._sample: Any = None
        self._stream = Stream(
            seeds, purpose, game.draw, chunk_length(game.sample_size), game.device
        )
        self._noise: dict[tuple, Stream] = {}
        self._rows: dict[tuple[float, float], Tensor] = {}
        self._alive = torch.ones(self.runs, dtype=torch.bool, device=game.device)
        # Losses are differentiated together, each with this weight.
        self._ones = torch.ones(self.runs, dtype=game.dtype, device=game.device)
        # Charges to all living runs wait as plain numbers and are booked when read.
        self._waiting = dict.fromkeys(COUNTED, 0)
        self._booked = {
            what: torch.zeros(self.runs, dtype=torch.int64, device=game.device)
            for what in COUNTED
        }

    # ---- shape of the problem ----

    @property
    def runs(self) -> int:
        """Number of runs computed side by side."""
        return len(self._seeds)

    @property
    def dim_x(self) -> int:
        """Length of x."""
        return self._game.dim_x

    @property
    def zero_sum(self) -> bool:
        """Whether loss_y = -loss_x."""
        return self._game.zero_sum

    def split(self, z: Joint) -> tuple[PartX, PartY]:
        """z as its parts x and y (views)."""
        return z[:, : self._game.dim_x], z[:, self._game.dim_x :]

    def join(self, x: PartX, y: PartY) -> Joint:
        """x followed by y."""
        return torch.cat((x, y), dim=1)

    def scale(self, step_size: Size | tuple[Size, Size], v: Vector) -> Vector:
        """A joint vector times a step size, or its parts times one each."""
        if isinstance(step_size, float):
            return step_size * v
        return self.row(*step_size) * v

    def row(self, at_x: Size, at_y: Size) -> Float[Tensor, "rows dim"]:
        """One value for each entry of x, another for each of y.

        Args:
            at_x: a number, or a column (runs, 1) where each run has its own.
            at_y: the same.
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
        """The nearest allowed point; free of charge."""
        return self._game.project(z)

    def turn(self, count: Int[Tensor, "runs"], of: int) -> int:
        """Whose turn it is, from 0 to `of` - 1, where a method's steps differ in turn.

        Asked for and not computed, since compiled steps take turns without looking.

        Args:
            count: of a method's steps, the same for all runs that live; it must grow by
                one with each step.
            of: how many take turns.
        """
        return int(count.max()) % of

    # ---- randomness ----

    def resample(self) -> None:
        """Draw a fresh minibatch for every run.

        The engine does so once before each step; an algorithm that wants more calls
        this. How often it is called in a step must not depend on the runs.
        """
        if self._game.batch_size:
            drawn = self._draw(DATA)
            self._sample = self._game.recall(drawn, self._memory)
            self._charge("samples", self._game.batch_size)

    def uniform(self) -> Float[Tensor, "runs"]:
        """One uniform number in [0, 1) for each run, from the algorithm's stream."""
        return self._draw(("uniform", 1))[:, 0]

    def normal(self, size: int) -> Vector:
        """`size` standard normal numbers for each run, from the algorithm's stream."""
        return self._draw(("normal", size))

    def _draw(self, what: Draw) -> Any:
        """The next value of a stream, for every run: all that is random passes here."""
        stream = self._stream if what == DATA else self._noise_stream(*what)
        return stream.next()

    def _noise_stream(self, law: str, size: int) -> Stream:
        dtype = self._game.dtype

        def draw(generator: torch.Generator, count: int) -> Tensor:
            function = torch.rand if law == "uniform" else torch.randn
            # In float64, so that both precisions see the same numbers.
            drawn = function(count, size, generator=generator, dtype=torch.float64)
            return drawn.to(dtype)

        if (law, size) not in self._noise:
            self._noise[law, size] = Stream(
                self._seeds,
                f"algorithm/{law}/{size}",
                draw,
                chunk_length(size),
                self._game.device,
            )
        return self._noise[law, size]

    # ---- first order ----

    def losses(
        self, z: Vector, *, on: Mask | None = None, train: bool = True
    ) -> tuple[Float[Tensor, "runs"], Float[Tensor, "runs"]]:
        """Each player's loss; charges one value."""
        self._charge("values", 1, on)
        with torch.no_grad():
            return self._game.losses(*self.split(z), self._sample, train=train)

    def payoff(
        self, z: Vector, *, on: Mask | None = None, train: bool = True
    ) -> Float[Tensor, "runs"]:
        """f, which y maximises; charges one value.

        In a zero-sum game this is loss_x. Where x follows another loss (the
        non-saturating one of a GAN), f is still -loss_y.
        """
        return -self.losses(z, on=on, train=train)[1]

    def field(self, z: Vector) -> Vector:
        """F(z) = (gradient of loss_x in x, of loss_y in y); charges one of each."""
        self._charge("grad_x", 1)
        self._charge("grad_y", 1)
        x, y = (part.detach().requires_grad_() for part in self.split(z))
        gradients = self._gradients(x, y, create_graph=False)
        return torch.cat(gradients, dim=1)

    def grad_x(self, z: Joint, *, on: Mask | None = None) -> PartX:
        """Gradient of loss_x in x; charges one player-gradient."""
        self._charge("grad_x", 1, on)
        x, y = self.split(z)
        x = x.detach().requires_grad_()
        loss = self._game.losses(x, y, self._sample)[0]
        return torch.autograd.grad(loss, x, self._ones, **UNUSED)[0]

    def grad_y(self, z: Joint, *, on: Mask | None = None) -> PartY:
        """Gradient of loss_y in y; charges one player-gradient."""
        return self.grad_y_and_payoff(z, on=on)[0]

    def grad_y_and_payoff(
        self, z: Joint, *, on: Mask | None = None
    ) -> tuple[PartY, Float[Tensor, "runs"]]:
        """The same, and f, which the gradient has computed on its way (no charge)."""
        self._charge("grad_y", 1, on)
        x, y = self.split(z)
        y = y.detach().requires_grad_()
        loss = self._game.losses(x, y, self._sample)[1]
        return torch.autograd.grad(loss, y, self._ones, **UNUSED)[0], -loss.detach()

    def _gradients(self, x: PartX, y: PartY, *, create_graph: bool) -> Any:
        loss_x, loss_y = self._game.losses(x, y, self._sample)
        if self._game.zero_sum:  # one reverse pass serves both players
            at_x, at_y = torch.autograd.grad(
                loss_x, (x, y), self._ones, create_graph=create_graph, **UNUSED
            )
            return at_x, -at_y
        given = {"grad_outputs": self._ones, "create_graph": create_graph} | UNUSED
        at_x = torch.autograd.grad(loss_x, x, retain_graph=True, **given)[0]
        at_y = torch.autograd.grad(loss_y, y, **given)[0]
        return at_x, at_y

    # ---- second order ----

    def linearise(self, z: Joint) -> Linearisation:
        """Both gradients, ready for products; charges one of each player."""
        self._charge("grad_x", 1)
        self._charge("grad_y", 1)
        x, y = (part.detach().requires_grad_() for part in self.split(z))
        gradients = self._gradients(x, y, create_graph=True)
        return Linearisation(partial(self._charge, "hvps", 1), x, y, *gradients)

    def unroll(
        self,
        z: Vector,
        steps: int,
        answer: Callable[[Vector, Vector, Any], tuple[Vector, Any]],
        state: Any,
    ) -> "Unrolled":
        """Let y answer x for some steps, on tape, and differentiate through them.

        Charges one gradient of y a step, one of x, and one Hessian product a step: the
        reverse pass through each retained gradient of y. This is the one place where
        second-order cost is stated and not counted call by call.

        Args:
            z: where both players stand.
            steps: moves of y; at least 1.
            answer: (y, gradient of loss_y, state) to (new y, new state), in operations
                that can be differentiated.
            state: the first state given to `answer`.
        """
        self._charge("grad_y", steps)
        self._charge("grad_x", 1)
        self._charge("hvps", steps)
        x, y = (part.detach().requires_grad_() for part in self.split(z))
        moved, first = y, None
        for _ in range(steps):
            loss = self._game.losses(x, moved, self._sample)[1]
            gradient = torch.autograd.grad(loss, moved, self._ones, create_graph=True)[
                0
            ]
            first = gradient.detach() if first is None else first
            moved, state = answer(moved, gradient, state)
        loss = self._game.losses(x, moved, self._sample)[0]
        return Unrolled(torch.autograd.grad(loss, x, self._ones)[0], first)

    # ---- counting ----

    @property
    def counts(self) -> dict[str, Int[Tensor, "runs"]]:
        """What each run has been charged so far, by name in `COUNTED`."""
        self._book()
        return self._booked

    @property
    def alive(self) -> Mask:
        """Runs that have not ended: those that pay."""
        return self._alive

    def advance(self, z: Vector) -> None:
        """Let the game remember the step to z, where runs live (the engine's call)."""
        if self._memory:
            ahead = self._game.advance(z, self._memory)
            self._memory = keep(self._alive, ahead, self._memory)

    @property
    def memory(self) -> tuple:
        """What the game remembers."""
        return self._memory

    def charge(self, charges: Mapping[str, int]) -> None:
        """Charge every living run what a compiled step takes (the engine's call)."""
        for what, amount in charges.items():
            self._charge(what, amount)

    def book(self, charges: Mapping[str, Int[Tensor, "runs"]]) -> None:
        """Charge what a compiled step has counted (the engine's call)."""
        for what, amount in charges.items():
            self._booked[what] += amount

    def draw(self, what: Draw) -> Any:
        """The next value of a stream, for a compiled step (the engine's call)."""
        return self._draw(what)

    def go_on(self, alive: Mask | None, memory: tuple) -> None:
        """Take over who lives and what the game remembers (the engine's call).

        Args:
            alive: runs that have not ended; None where all live that did.
            memory: of the game.
        """
        if alive is not None:
            self.bury(alive)
        self._memory = memory

    def bury(self, alive: Mask) -> None:
        """Let only these runs pay from now on (the engine's call)."""
        self._book()
        self._alive = alive

    # ---- going on later ----

    def snapshot(self) -> dict[str, Any]:
        """Everything that the next calls depend on, but for the current minibatch."""
        return {
            "counts": self.counts,
            "alive": self._alive,
            "memory": self._memory,
            "data": self._stream.snapshot(),
            "noise": [
                [law, size, stream.snapshot()]
                for (law, size), stream in self._noise.items()
            ],
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go to where a snapshot of an oracle of the same game and seeds stood."""
        device = self._game.device
        self._waiting = dict.fromkeys(COUNTED, 0)
        self._booked = {what: saved["counts"][what].to(device) for what in COUNTED}
        self._alive = saved["alive"].to(device)
        self._memory = tuple(one.to(device) for one in saved["memory"])
        self._stream.restore(saved["data"])
        for law, size, stream in saved["noise"]:
            self._noise_stream(law, size).restore(stream)

    def _charge(self, what: str, amount: int, on: Mask | None = None) -> None:
        if on is None:
            self._waiting[what] += amount
        else:
            self._booked[what] += amount * (on & self._alive)

    def _book(self) -> None:
        for what, amount in self._waiting.items():
            if amount:
                self._booked[what] += amount * self._alive
                self._waiting[what] = 0


class Unrolled(NamedTuple):
    """Gradient of loss_x through y's answers, and y's first gradient, at no charge."""

    grad_x: PartX
    first_grad_y: PartY

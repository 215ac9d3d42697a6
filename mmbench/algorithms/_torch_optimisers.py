"""Algorithms made of optimisers that were written for a training loop in torch."""

import contextlib
import functools
import inspect
import io
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor
from torch.optim import Optimizer

from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.counted_loss import (
    CountedLoss,
    charge_runs,
    distinct_runs,
    loss_of_run,
)
from mmbench.core.errors import DescriptionError, check_keywords
from mmbench.core.made import Made, calling_module, make
from mmbench.core.oracle import Oracle
from mmbench.core.printable import shorten
from mmbench.core.user_code import describe_error

# Optimisers that act entry by entry: to them, the points of all runs are one tensor.
_ENTRYWISE = (
    *(torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adamax),
    *(torch.optim.NAdam, torch.optim.RAdam, torch.optim.RMSprop, torch.optim.Rprop),
    *(torch.optim.Adagrad, torch.optim.Adadelta, torch.optim.ASGD),
)
_NUMBERS = (bool, int, float)
_TRIAL_DIMS = (3, 2)
_TRIAL_STEPS = 4  # two of each kind, where two kinds of steps take turns

Factory = Callable[[list[Tensor], list[Tensor]], Any]
Player = Literal["x", "y"]
Updates = Literal["simultaneous", "x_first", "y_first"]


class Carried(NamedTuple):
    """The state of all runs' optimisers between two steps.

    Args:
        started: whether a run has made a step; before it, the optimisers have their
            first state, which is not held here.
        numbers: Python's numbers in the state.
        tensors: tensors in the state, with a leading `runs` axis.
    """

    started: Bool[Tensor, " runs"]
    numbers: Float64[Tensor, "runs numbers"]
    tensors: tuple[Tensor, ...]


class Counted(NamedTuple):
    """The state of optimisers that differentiate a loss themselves.

    Args:
        iterations: number of Hessian products.
        carried: their own state.
    """

    iterations: Int[Tensor, " runs"]
    carried: Carried


@dataclass(frozen=True, kw_only=True)
class TorchOptimisers(Made, Algorithm):
    """Optimisers of a training loop in torch, as `mmbench.torch_algorithm` makes them.

    Each player's optimiser gets the gradient of the player's own loss. An object that
    differentiates a loss itself gets that of x, which y maximises in a zero-sum game.

    State: that of the optimisers, as tensors.
    Cost: 1 gradient of each player for each step; of an object that differentiates a
        loss itself, what it was seen to use, where an inner iteration is a Hessian
        product.
    """

    factory: ClassVar[Factory]
    updates: ClassVar[Updates]
    takes_loss: ClassVar[bool]
    gradients: ClassVar[tuple[int, int]]  # of each player, in a step on a loss
    has_products: ClassVar[bool]

    @property
    def needs(self) -> frozenset[Capability]:
        """Capabilities that a game must have: one loss, where that is asked for."""
        return frozenset({Capability.ZERO_SUM} if self.takes_loss else ())

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        if self.takes_loss:
            at_x, at_y = self.gradients
            each = int(self.has_products)
            return Cost(grad_x=at_x, grad_y=at_y, hvps_per_iteration=each)
        minibatches = 1 if self.updates == "simultaneous" else 2
        return Cost(grad_x=1, grad_y=1, minibatches=minibatches)

    def init(self, oracle: Oracle, z: Iterate) -> Carried | Counted:
        """Return the state before the first step, in the form of later ones."""
        carried = self._form(oracle, z).empty(len(z), z.device)
        if not self.takes_loss:
            return carried
        none = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        return Counted(none, carried)

    @torch.enable_grad()
    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Make one step of every run that has not ended."""
        form, alive = self._form(oracle, z), oracle.alive.tolist()
        count = distinct_runs(oracle, z)
        # What is computed of a run is that of its repetitions as well.
        rows = [(run, slice(run, run + 1)) for run in range(count - 1) if alive[run]]
        if alive[count - 1]:
            rows.append((count - 1, slice(count - 1, None)))
        if self.takes_loss:
            return self._step_on_losses(oracle, z, state, form, rows)
        # Runs that have not ended have made as many steps, so that the numbers of one
        # of them are those of all.
        groups = (
            [form.players(z, state, rows[0][0], slice(None))]
            if form.is_entrywise
            else [form.players(z, state, *each) for each in rows]
        )
        if self.updates == "simultaneous":
            gradients = oracle.split(oracle.field(z))
            for players in groups:
                players.move("x", gradients[0])
                players.move("y", gradients[1])
            return _points(oracle, z, groups), form.carry(state, groups)
        order: tuple[Player, Player] = ("x", "y")
        if self.updates == "y_first":
            order = ("y", "x")
        for number, player in enumerate(order):
            if number:
                oracle.resample()
            gradient = oracle.grad_x(z) if player == "x" else oracle.grad_y(z)
            for players in groups:
                players.move(player, gradient)
            z = _points(oracle, z, groups)
            for players in groups:
                players.place(*oracle.split(z))  # where it is allowed
        return z, form.carry(state, groups)

    def _step_on_losses(
        self,
        oracle: Oracle,
        z: Iterate,
        state: Counted,
        form: "_Form",
        rows: list[tuple[int, slice]],
    ) -> tuple[Iterate, Counted]:
        """Make one step of objects that differentiate a loss themselves."""
        groups = []
        iterations, is_broken = state.iterations.clone(), torch.zeros_like(oracle.alive)
        for run, same in rows:
            players = form.players(z, state.carried, run, same)
            loss = loss_of_run(oracle, players.x, players.y, run)
            try:
                players.move_on(loss)
            except Exception:
                if not loss.met_nonfinite:
                    raise
                is_broken[same] = True  # the object refuses what the run has come to
            else:
                groups.append(players)
            charge_runs(oracle, loss, same)
            iterations[same] += loss.counts["hvps"]
        moved = _points(oracle, z, groups)
        moved = torch.where(is_broken[:, None], torch.nan, moved)
        return moved, Counted(iterations, form.carry(state.carried, groups))

    def _form(self, oracle: Oracle, z: Iterate) -> "_Form":
        """Return the form that the optimisers' state has after the first step."""
        x, y = oracle.split(z)
        dims = x.shape[1], y.shape[1]
        return _form_of(type(self).factory, dims, z.dtype, z.device)


@check_keywords
def torch_algorithm(
    factory: Any,
    *,
    updates: Any = "simultaneous",
    name: Any = None,
) -> TorchOptimisers:
    """Return an algorithm that steps by optimisers written for torch.

        def adam(x, y):
            return torch.optim.Adam(x, lr=1e-3), torch.optim.Adam(y, lr=1e-3)

        adam_pair = mmbench.torch_algorithm(adam)
        mmbench.run(["bilinear"], ["gda", adam_pair])

    Optimisers of `torch.optim` that act entry by entry, such as Adam, move all runs
    together; any others move one run after the other. What they remember must be in
    their `state_dict`, so that runs can be interrupted and replayed.

    Its key covers the code. For other processes, such as workers and `mmbench replay`,
    a variable at the top level of a file must hold the algorithm, as in
    `mmbench run -t bilinear -a mine.py:adam_pair`.

    Args:
        factory: function of the parameters of x and of y, each a list of one vector. It
            returns two optimisers of `torch.optim`, for x and for y, or one object with
            `step(loss)`, which differentiates the loss that x minimises and y
            maximises, such as BCGD and ACGD of the package CGDs.
        updates: "simultaneous", or "x_first" or "y_first" where the second player's
            gradient is taken after the first player's move, on a fresh minibatch.
        name: name of the algorithm; None takes that of the factory or, where it is a
            lambda, of its optimisers.

    Raises:
        DescriptionError: when the factory makes something else, or optimisers that need
            a closure, draw random numbers or remember what `state_dict` does not have.
    """
    if not callable(factory):
        raise DescriptionError(
            "The factory of torch_algorithm must be a function of the parameters of x "
            f"and of y; got {shorten(factory)}."
        )
    if updates not in typing.get_args(Updates):
        raise DescriptionError(
            "updates must be 'simultaneous', 'x_first' or 'y_first'; got "
            f"{shorten(updates)}."
        )
    trial = _try(factory)
    if trial.players.takes_loss and updates != "simultaneous":
        raise DescriptionError(
            "updates must be 'simultaneous' where one object moves both players; got "
            f"{updates!r}."
        )
    kinds = list(dict.fromkeys(type(one).__name__ for one in trial.players.members))
    own = getattr(factory, "__name__", "<lambda>")
    if own == "<lambda>":
        own = "_".join(kinds).lower()
    # Not the docstring of a class, whose arguments are not those of the algorithm.
    doc = inspect.getdoc(factory) if inspect.isfunction(factory) else None
    return make(
        TorchOptimisers,
        own if name is None else name,
        calling_module(),
        doc or f"Steps of {' and '.join(kinds)}, written for torch.",
        factory=staticmethod(factory),
        updates=updates,
        takes_loss=trial.players.takes_loss,
        gradients=trial.gradients,
        has_products=trial.has_products,
    )


# ---- optimisers, and their state as tensors ----


class _Players:
    """The optimisers that a factory makes for two parameters.

    Args:
        factory: factory of the user.
        x: first player's point, shape (dim_x,), or with a leading `runs` axis.
        y: second player's point, of the same kind.
        run: the run that they are of, where they are of one.
        rows: the runs that move as they do.

    Raises:
        DescriptionError: when the factory makes something else.
    """

    def __init__(
        self,
        factory: Factory,
        x: Tensor,
        y: Tensor,
        run: int = 0,
        rows: slice = slice(None),
    ) -> None:
        self.rows, self._source = rows, run if x.ndim == 1 else slice(None)
        self.x = x.detach().clone().requires_grad_()
        self.y = y.detach().clone().requires_grad_()
        made = factory([self.x], [self.y])
        several = tuple(made) if isinstance(made, tuple | list) else (made,)
        is_each = [isinstance(one, Optimizer) for one in several]
        self.members, self.takes_loss = several, len(several) == 1
        if is_each == [True, True] or (
            is_each == [False] and callable(getattr(made, "step", None))
        ):
            return
        raise DescriptionError(
            "The factory of torch_algorithm must return two optimisers of torch.optim, "
            "for x and for y, or one object with step(loss); got "
            f"{' and '.join(type(one).__name__ for one in several)}."
        )

    def move(self, player: Player, gradient: Tensor) -> None:
        """Make a step of one player.

        Args:
            player: the player.
            gradient: gradients of the player's loss, of all runs.
        """
        parameter, optimiser = self.x, self.members[0]
        if player == "y":
            parameter, optimiser = self.y, self.members[1]
        parameter.grad = gradient[self._source].contiguous()
        optimiser.step()

    def move_on(self, loss: CountedLoss) -> None:
        """Make a step of both players."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.x.dtype)  # of tensors that the object makes
        try:
            with loss:
                self.members[0].step(loss.loss)
        finally:
            torch.set_default_dtype(before)

    def place(self, x: Tensor, y: Tensor) -> None:
        """Put both players at their point among those of all runs."""
        self.x.data.copy_(x[self._source])
        self.y.data.copy_(y[self._source])

    @property
    def contents(self) -> list[Any]:
        """What the optimisers remember, in nested dicts, lists and tuples."""
        return list(map(_contents_of, self.members))

    def restore(self, contents: list[Any]) -> None:
        """Have the optimisers remember what others did."""
        for member, remembered in zip(self.members, contents, strict=True):
            _restore(member, remembered)

    @property
    def is_entrywise(self) -> bool:
        """Whether the optimisers are known to act on each entry by itself."""
        return not self.takes_loss and all(
            type(one) in _ENTRYWISE
            and len(one.param_groups) == 1
            and not one.param_groups[0].get("fused")
            for one in self.members
        )


def _points(oracle: Oracle, z: Iterate, groups: list[_Players]) -> Iterate:
    """Return the allowed points at, or nearest to, which the players are."""
    moved = z.clone()
    for players in groups:
        point = torch.cat((players.x.detach(), players.y.detach()), -1)
        moved[players.rows] = point
    return oracle.project(moved)


def _contents_of(member: Any) -> Any:
    """Return what an optimiser remembers."""
    if not _has_torch_state(member):
        return member.state_dict() if hasattr(member, "state_dict") else {}
    return {
        "state": [dict(member.state.get(one, {})) for one in _parameters(member)],
        "groups": [
            {key: value for key, value in group.items() if key != "params"}
            for group in member.param_groups
        ],
    }


def _restore(member: Any, contents: Any) -> None:
    """Have an optimiser remember what another did."""
    if not _has_torch_state(member):
        if hasattr(member, "load_state_dict"):
            with contextlib.redirect_stdout(io.StringIO()):  # some print what they load
                member.load_state_dict(contents)
        return
    # Not by load_state_dict, which gives some tensors another dtype.
    for parameter, state in zip(_parameters(member), contents["state"], strict=True):
        member.state[parameter] = state
    for group, values in zip(member.param_groups, contents["groups"], strict=True):
        group.update(values)


def _has_torch_state(member: Any) -> bool:
    """Return whether an optimiser's state is where torch's base class has it."""
    own = getattr(type(member), "state_dict", None)
    return isinstance(member, Optimizer) and own is Optimizer.state_dict


def _parameters(member: Optimizer) -> list[Tensor]:
    return [one for group in member.param_groups for one in group["params"]]


class _Form:
    """The form of the state of a factory's optimisers, once they have made a step.

    Args:
        factory: factory of the user.
        trial: optimisers that have made a step with a run's dimensions.

    Attributes:
        is_entrywise: whether the optimisers act on each entry by itself.
    """

    def __init__(self, factory: Factory, trial: _Players) -> None:
        self._factory, self._contents = factory, trial.contents
        self._leaves = list(_leaves(self._contents))
        self._dims = [len(trial.x), len(trial.y)]
        known = {(), trial.x.shape, trial.y.shape}
        self.is_entrywise = trial.is_entrywise and all(
            leaf.shape in known for leaf in self._leaves if isinstance(leaf, Tensor)
        )

    def empty(self, runs: int, device: torch.device) -> Carried:
        """Return the state of runs that have made no step."""
        zeros = functools.partial(torch.zeros, device=device)
        tensors = [leaf for leaf in self._leaves if isinstance(leaf, Tensor)]
        numbers = [leaf for leaf in self._leaves if type(leaf) in _NUMBERS]
        return Carried(
            zeros(runs, dtype=torch.bool),
            zeros(runs, len(numbers), dtype=torch.float64),
            tuple(zeros(runs, *leaf.shape, dtype=leaf.dtype) for leaf in tensors),
        )

    def players(self, z: Iterate, carried: Carried, run: int, rows: slice) -> _Players:
        """Return the optimisers of one run or, where they act entrywise, of all.

        Args:
            z: iterates.
            carried: state of all runs.
            run: the run, or one that has the numbers of all.
            rows: the runs that move as it does.
        """
        source: int | slice = rows if self.is_entrywise else run
        x, y = z[source].split(self._dims, -1)
        players = _Players(self._factory, x, y, run, rows)
        if not carried.started[run]:
            return players
        numbers = iter(carried.numbers[run].tolist())
        tensors = iter(carried.tensors)

        def value(leaf: Any) -> Any:
            if isinstance(leaf, Tensor):
                return next(tensors)[source if leaf.ndim else run].clone()
            return type(leaf)(next(numbers)) if type(leaf) in _NUMBERS else leaf

        leaves = map(value, self._leaves)
        players.restore(_with_leaves(self._contents, leaves))
        return players

    def carry(self, before: Carried, groups: list[_Players]) -> Carried:
        """Return the state after a step of some runs.

        Raises:
            DescriptionError: when it has not the form of the first step.
        """
        started, numbers = before.started.clone(), before.numbers.clone()
        tensors = [tensor.clone() for tensor in before.tensors]
        for players in groups:
            self.check(players.contents)
            leaves = list(_leaves(players.contents))
            found = [leaf for leaf in leaves if type(leaf) in _NUMBERS]
            numbers[players.rows] = numbers.new_tensor(found)
            kept = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
            for tensor, leaf in zip(tensors, kept, strict=True):
                tensor[players.rows] = leaf.detach()
            started[players.rows] = True
        return Carried(started, numbers, tuple(tensors))

    def check(self, contents: Any) -> None:
        """Check that a state has this form.

        Raises:
            DescriptionError: when it has another.
        """
        kinds = [_with_leaves(one, _kinds(one)) for one in (contents, self._contents)]
        if kinds[0] != kinds[1]:
            raise DescriptionError(
                "The optimisers of torch_algorithm must keep entries, dtypes, shapes "
                "and texts in their state as they are after the first step; they "
                "changed some."
            )


@functools.lru_cache(maxsize=64)
def _form_of(
    factory: Factory, dims: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> _Form:
    """Return the form of the state of a factory's optimisers for one game."""
    x, y = (torch.ones(dim, dtype=dtype, device=device) for dim in dims)
    trial = _Players(factory, x, y)
    _move_on_trial(trial)
    return _Form(factory, trial)


def _leaves(contents: Any) -> Iterator[Any]:
    """Yield the values in nested dicts, lists and tuples."""
    if isinstance(contents, dict | list | tuple):
        for value in contents.values() if isinstance(contents, dict) else contents:
            yield from _leaves(value)
    else:
        yield contents


def _with_leaves(contents: Any, leaves: Iterator[Any]) -> Any:
    """Return nested dicts, lists and tuples with other values."""
    if isinstance(contents, dict):
        return {key: _with_leaves(value, leaves) for key, value in contents.items()}
    if isinstance(contents, list | tuple):
        return type(contents)([_with_leaves(value, leaves) for value in contents])
    return next(leaves)


def _kinds(contents: Any) -> Iterator[Any]:
    """Yield what must stay of each value in a state."""
    for leaf in _leaves(contents):
        if isinstance(leaf, Tensor):
            yield (leaf.dtype, leaf.shape[-1:])  # of one run, or of all together
        else:
            yield type(leaf) if type(leaf) in _NUMBERS else leaf


# ---- the trial of a factory ----


class _Trial(NamedTuple):
    """What a trial of a factory found.

    Args:
        players: its optimisers, after some steps.
        gradients: gradients of each player in a step on a loss.
        has_products: whether such a step makes Hessian products.
    """

    players: _Players
    gradients: tuple[int, int]
    has_products: bool


def _try(factory: Factory) -> _Trial:
    """Return what some steps of a factory's optimisers on a small game find.

    Raises:
        DescriptionError: when they cannot be the optimisers of an algorithm.
    """
    before = torch.get_rng_state()
    try:
        with torch.enable_grad():
            found: _Trial | Exception = _try_steps(factory)
    except Exception as error:
        found = error
    if not torch.equal(torch.get_rng_state(), before):
        torch.set_rng_state(before)
        raise DescriptionError(
            "The optimisers of torch_algorithm must draw no random numbers, which no "
            "seed of a run would give; they drew from torch's generator."
        )
    if isinstance(found, DescriptionError):
        raise found
    if isinstance(found, Exception):
        raise DescriptionError(
            "The factory of torch_algorithm must make optimisers that step without a "
            "closure, each on one vector of parameters and its gradient, or one object "
            f"with step(loss); got {describe_error(found)}."
        ) from found
    return found


def _try_steps(factory: Factory) -> _Trial:
    """Return what some steps find, and compare them with those of a copy.

    The copy is made anew before each step, from the state that the last one left.
    """
    x, y = (torch.linspace(1, 2, dim) for dim in _TRIAL_DIMS)
    kept = _Players(factory, x, y)
    z = torch.cat((x, y))[None]
    form: _Form | None = None
    counts: dict[str, int] = {}
    for number in range(_TRIAL_STEPS):
        counts = _move_on_trial(kept, number)
        if form is None:
            form = _Form(factory, kept)
            carried = form.empty(1, z.device)
        copy = form.players(z, carried, 0, slice(None))
        _move_on_trial(copy, number)
        carried = form.carry(carried, [copy])
        z = torch.cat((copy.x, copy.y), -1).detach().view(1, -1)
        if not torch.equal(z[0], torch.cat((kept.x, kept.y))):
            raise DescriptionError(
                "The optimisers of torch_algorithm must have all that they remember in "
                "their state_dict, and take it over by load_state_dict; a copy made "
                f"from it went another way in step {number + 1}."
            )
    gradients = counts.get("grad_x", 0), counts.get("grad_y", 0)
    return _Trial(kept, gradients, bool(counts.get("hvps")))


def _move_on_trial(players: _Players, number: int = 0) -> dict[str, int]:
    """Make a step of both players on a small game, and return what was counted."""
    x, y = players.x, players.y
    if not players.takes_loss:
        players.move("x", torch.cos(x.detach() + number).view(1, -1))
        players.move("y", torch.sin(y.detach() + number).view(1, -1))
        return {}
    loss = CountedLoss(x.sum() * y.sum() + (x * x).sum() / 2 - (y * y).sum() / 2, x, y)
    players.move_on(loss)
    return loss.counts

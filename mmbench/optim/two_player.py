"""The optimiser of two players, which makes the steps of any algorithm."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm, needs_of
from mmbench.core.capability import Capability
from mmbench.core.checkpoint import restore_structure
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.oracle import Oracle
from mmbench.core.user_code import describe_value
from mmbench.optim.closure_game import (
    Closure,
    ClosureGame,
    ClosureState,
    flatten,
    write,
)

# A player: a module, or its parameters.
Player = nn.Module | Iterable[Tensor]

_METHOD = "method"  # the entry of a state dict that is not torch's


class TwoPlayer(Optimizer):
    """An optimiser that makes the steps of an algorithm on two players' parameters.

    The closure that `step` is given returns what x minimises and y maximises, or the
    losses of x and of y. It may be evaluated several times in a step. All evaluations
    of a step see the same random numbers of torch, so that noise, dropout and
    minibatches that are drawn in it are the same; where a method asks for a fresh
    minibatch they are drawn anew, and what the closure does not draw stays. Buffers of
    modules, such as statistics of batch normalisation, are restored before each
    evaluation, so that they move once in a step. Where a method asks for values without
    dropout, the dropout modules are switched off. The first step evaluates the closure
    twice more, to find its modules and to check it.

    A learning-rate scheduler of torch changes the step sizes, which are the "lr" of the
    two parameter groups.

    Args:
        algorithm: a description or a spec, such as "extragradient[step_size=0.1]".
        x: the player that minimises, as a module or as its parameters.
        y: the player that maximises.
        seed: seed of the random numbers that the method itself draws.

    Attributes:
        algorithm: the description of the method.

    Raises:
        MisfitError: when the method needs what a closure cannot give.
        DescriptionError: when the parameters are not fit.
    """

    def __init__(
        self, algorithm: str | Algorithm, x: Player, y: Player, *, seed: int = 0
    ) -> None:
        self.algorithm: Algorithm = ALGORITHMS.coerce(algorithm)
        if lacking := needs_of(self.algorithm) - {Capability.ZERO_SUM}:
            raise MisfitError(
                f"{self.algorithm} needs {', '.join(sorted(lacking))}; a closure is "
                "not one."
            )
        self._players = _parameters("x", x), _parameters("y", y)
        _check_alike(self._players)
        if type(seed) is not int:
            raise DescriptionError(f"seed must be a whole number; got {seed!r}.")
        self._game = ClosureGame(*self._players)
        self._oracle_state = ClosureState(self._game, seed)
        self._oracle: Oracle | None = None
        self._state: Any = None
        self._loaded: dict[str, Any] | None = None
        self._rates = _rates(self.algorithm)
        super().__init__(
            [
                {"params": list(player), "lr": rate}
                for player, rate in zip(self._players, self._rates, strict=True)
            ],
            {},
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add one of the two groups; torch calls it when the optimiser is made."""
        if len(self.param_groups) == 2:
            raise DescriptionError(
                "An optimiser of two players must have the parameter groups of x and "
                "y; a third one was added. Make a new optimiser."
            )
        super().add_param_group(param_group)

    # torch's own type is of optimisers that need no closure.
    def step(self, closure: Closure) -> Any:  # type: ignore[override]
        """Make one step of the method.

        Args:
            closure: returns what x minimises and y maximises, one number, or the losses
                of x and of y; without a call of `backward`.

        Returns:
            What the closure returned at its first evaluation, without gradients.
        """
        if not callable(closure):
            raise DescriptionError(
                "step must be given a function that returns the losses; got "
                f"{describe_value(closure)}. Write step(lambda: loss)."
            )
        if self.is_done:
            return None
        try:
            with torch.no_grad():
                self._make_step(closure)
            self._game.go_on()
            return self._game.first
        finally:
            self._game.end()

    def _make_step(self, closure: Closure) -> None:
        method, z = self._sized(), flatten(*self._players)
        if self._oracle is None:
            self._begin(closure, method, z)
        assert self._oracle is not None
        self._game.begin(closure)
        z, self._state = method.step(self._oracle, z, self._state)
        write(z, *self._players)

    def _begin(self, closure: Closure, method: Algorithm, z: Tensor) -> None:
        """Make the oracle and the first state, or what was loaded of them."""
        self._game.examine(closure, z)
        if not self._game.zero_sum and Capability.ZERO_SUM in needs_of(self.algorithm):
            raise MisfitError(
                f"{self.algorithm} needs {Capability.ZERO_SUM}; the closure returns "
                "two losses."
            )
        oracle = Oracle(self._oracle_state)
        self._state, self._oracle = method.init(oracle, z), oracle
        if self._loaded:
            self._state = restore_structure(self._state, self._loaded["state"])
            self._oracle_state.restore(self._loaded["oracle"])
            self._loaded = None

    def _sized(self) -> Algorithm:
        """Return the method with the step sizes of the parameter groups."""
        rates = tuple(group["lr"] for group in self.param_groups)
        if rates == self._rates:
            return self.algorithm
        size = getattr(self.algorithm, "step_size", None)
        if size is None:
            raise MisfitError(
                f"{self.algorithm} must have a step_size for its learning rate to "
                "change; it has none."
            )
        try:
            return self.algorithm.with_step_sizes(*rates)
        except MisfitError:  # it has one step size for both players
            if rates[0] != rates[1]:
                raise
            return self.algorithm.with_scaled_steps(rates[0] / size)

    @property
    def counts(self) -> dict[str, int]:
        """The gradients, Hessian products and values of the steps so far."""
        return {name: int(each[0]) for name, each in self._oracle_state.counts.items()}

    @property
    def is_done(self) -> bool:
        """Whether the method has stopped by itself; further steps change nothing."""
        if self._oracle is None:
            return False
        done = self.algorithm.done(self._state)
        return done is not None and bool(done[0])

    def answer(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return what the method gives as its result, such as an average of iterates.

        Returns:
            Tensors like the parameters of x, and like those of y.
        """
        z = flatten(*self._players)
        if self._oracle is not None:
            z = self.algorithm.answer(z, self._state)
        found = tuple([part.detach().clone() for part in p] for p in self._players)
        write(z, *found)
        return found[0], found[1]

    def state_dict(self) -> dict[str, Any]:
        """Return the state, which torch can save and `load_state_dict` restores.

        It holds the state of the method and of its own random numbers; the random
        numbers of torch are saved by `torch.get_rng_state`.
        """
        method = self._loaded or {
            "algorithm": str(self.algorithm),
            "dims": [self._game.dim_x, self._game.dim_y],
            "state": None if self._oracle is None else self._state,
            "oracle": self._oracle_state.snapshot(),
        }
        return super().state_dict() | {_METHOD: _plain(method)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the state of an optimiser of the same method and parameters.

        Raises:
            DescriptionError: when it is of others.
        """
        method = state_dict.get(_METHOD)
        if not method or method["algorithm"] != str(self.algorithm):
            raise DescriptionError(
                f"The state of an optimiser must be of {self.algorithm}; got "
                f"{method['algorithm'] if method else 'none of two players'}."
            )
        dims = [self._game.dim_x, self._game.dim_y]
        if method["dims"] != dims:
            raise DescriptionError(
                f"The state of an optimiser must be of players of {dims[0]} and "
                f"{dims[1]} numbers; got {method['dims'][0]} and {method['dims'][1]}."
            )
        super().load_state_dict(
            {name: value for name, value in state_dict.items() if name != _METHOD}
        )
        self._oracle, self._state = None, None
        self._loaded = None if method["state"] is None else _plain(method)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            "An optimiser of two players cannot be copied or pickled; save its "
            "state_dict()."
        )


def _plain(value: Any) -> Any:
    """Return nested values with tuples of any type as plain tuples, tensors copied."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return list(map(_plain, value)) if isinstance(value, list) else value


def _parameters(name: str, player: Any) -> list[Tensor]:
    """Return the parameters of a player.

    Raises:
        DescriptionError: when there are none, or one cannot be optimised.
    """
    found: list[Tensor]
    if isinstance(player, nn.Module):
        found = [one for one in player.parameters() if one.requires_grad]
    elif isinstance(player, Iterable):
        found = [player] if isinstance(player, Tensor) else list(player)
    else:
        raise _player_error(name, describe_value(player))
    for one in found:
        if not isinstance(one, Tensor):
            raise _player_error(name, describe_value(one))
        if is_lazy(one):
            raise _player_error(
                name, "one without a shape. Call its module once before"
            )
        if not one.is_leaf or not one.requires_grad:
            kind = "which needs none" if one.is_leaf else "computed from others"
            raise _player_error(name, f"{describe_value(one)}, {kind}")
    if not found:
        raise DescriptionError(f"{name} must have parameters; it has none.")
    return found


def _player_error(name: str, got: str) -> DescriptionError:
    return DescriptionError(
        f"{name} must be a module or parameters that require gradients; got {got}."
    )


def _check_alike(players: tuple[list[Tensor], ...]) -> None:
    """Check that all parameters are different, of one dtype and on one device.

    Raises:
        DescriptionError: when they are not, or the dtype is no real one.
    """
    every = [one for player in players for one in player]
    if len(set(map(id, every))) < len(every):
        raise DescriptionError(
            "x and y must have different parameters; one is given twice."
        )
    kinds = {f"{one.dtype} on {one.device}" for one in every}
    if len(kinds) > 1:
        raise DescriptionError(
            "The parameters of x and y must have one dtype and be on one device; got "
            f"{', '.join(sorted(kinds))}."
        )
    if every[0].dtype not in (torch.float32, torch.float64):
        raise DescriptionError(
            "The parameters of x and y must be float32, which torch.autocast leaves "
            f"them, or float64; got {every[0].dtype}."
        )


def _rates(algorithm: Algorithm) -> tuple[float, float]:
    """Return the step sizes of x and y; 1 for a method that has none."""
    size = getattr(algorithm, "step_size", None)
    if isinstance(size, tuple):
        return size
    return (1.0, 1.0) if size is None else (size, size)

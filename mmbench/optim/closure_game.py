"""The game of a closure: its parameters are replaced by slices of flat vectors."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.oracle_state import OracleState
from mmbench.core.user_code import describe_value
from mmbench.core.vectors import Vector

# Returns what x minimises and y maximises, or the losses of x and y.
Closure = Callable[[], Any]
Parameters = Sequence[Tensor]


class ClosureGame(Game):
    """A game of one run, whose losses a closure computes from parameters.

    Within a step, every evaluation sees the same random numbers and begins from the
    same buffers, until `redraw` is called.

    Args:
        x: parameters of the first player.
        y: parameters of the second player.
        modules: modules whose buffers are kept and whose dropout can be switched off.

    Attributes:
        closure: what computes the losses.
        first: what it returned at its first evaluation in the step, without a graph.
    """

    def __init__(
        self, x: Parameters, y: Parameters, modules: Iterable[nn.Module]
    ) -> None:
        self._x, self._y = x, y
        self.dim_x, self.dim_y = _size(x), _size(y)
        self.device, self.dtype = x[0].device, x[0].dtype
        self.closure: Closure | None = None
        self.first: Any = None
        self._all = dict.fromkeys(
            part for module in modules for part in module.modules()
        )
        self._random: list[Tensor] = []
        self._random_after: list[Tensor] | None = None
        self._is_checked = False

    def begin(self, closure: Closure) -> None:
        """Begin a step: take the present random numbers and buffers as its own."""
        self.closure, self.first = closure, None
        self._random, self._random_after = self._random_states(), None
        self._buffers = [
            (part, name, buffer)
            for part in self._all
            for name, buffer in part.named_buffers(recurse=False)
        ]
        self._kept = [buffer.clone() for _, _, buffer in self._buffers]

    def end(self) -> None:
        """End a step: random numbers and buffers go on as after one evaluation."""
        if self._random_after is not None:
            self._set_random_states(self._random_after)
        for part, name, buffer in self._buffers:
            found = getattr(part, name)
            if found is not buffer:
                with torch.no_grad():
                    buffer.copy_(found)
                setattr(part, name, buffer)

    def redraw(self) -> None:
        """Have further evaluations see the random numbers that come next."""
        if self._random_after is not None:
            self._random = self._random_after

    def is_zero_sum(self) -> bool:
        """Evaluate the closure once, and return whether it gives one loss for both."""
        with torch.no_grad():
            found = self._evaluate({}, train=True)
        self.first = self._random_after = None
        return isinstance(found, Tensor)

    def losses(
        self, x: Vector, y: Vector, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each player, for one run."""
        slices = {**_slices(self._x, x), **_slices(self._y, y)}
        found = self._evaluate(slices, train=train)
        if isinstance(found, Tensor) == self.zero_sum:
            losses = (found, -found) if self.zero_sum else tuple(found)
            if len(losses) == 2 and all(_is_number(loss) for loss in losses):
                pair = losses[0].reshape(1), losses[1].reshape(1)
                self._check_graph(pair)
                return pair
        raise DescriptionError(
            "A closure must return one number, which x minimises and y maximises, or "
            "the losses of x and of y, and the same kind at each call; got "
            f"{describe_value(found)}."
        )

    def _evaluate(self, slices: dict[int, Tensor], *, train: bool) -> Any:
        assert self.closure is not None
        self._set_random_states(self._random)
        for (part, name, _), kept in zip(self._buffers, self._kept, strict=True):
            setattr(part, name, kept.clone())  # a graph may have kept the one before
        with self._dropout(active=train), _Substitution(slices):
            found = self.closure()
        self._random_after = self._random_states()
        if self.first is None:
            self.first = _detached(found)
        return found

    @contextmanager
    def _dropout(self, *, active: bool) -> Iterator[None]:
        """Switch dropout off within a block, unless it is active."""
        switched = [
            part
            for part in self._all
            if not active
            and part.training
            and isinstance(part, nn.modules.dropout._DropoutNd)  # noqa: SLF001
        ]
        for part in switched:
            part.training = False
        try:
            yield
        finally:
            for part in switched:
                part.training = True

    def _check_graph(self, losses: tuple[Tensor, Tensor]) -> None:
        """Check once that no loss was computed from a parameter itself.

        Raises:
            DescriptionError: when one was, which has no gradient for the player.
        """
        if self._is_checked or not any(loss.requires_grad for loss in losses):
            return
        self._is_checked = True
        own = {id(parameter) for parameter in (*self._x, *self._y)}
        if own & {id(leaf) for loss in losses for leaf in _leaves_of(loss)}:
            raise DescriptionError(
                "A closure must compute with its parameters by functions of torch, so "
                "that they can be replaced; it reached some of them in another way, "
                "such as a compiled module. Use the module as it was before "
                "torch.compile."
            )

    def _random_states(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self.device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self.device))
        return states

    def _set_random_states(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(states[1], self.device)


class ClosureState(OracleState):
    """The oracle state of a closure: a fresh minibatch are fresh random numbers.

    Args:
        game: the game of the closure.
        seed: seed of the random numbers that methods draw.
    """

    def __init__(self, game: ClosureGame, seed: int) -> None:
        super().__init__(game, (seed,))
        self._closure_game = game

    def resample(self) -> None:
        """Have the closure draw anew."""
        self._closure_game.redraw()


class _Substitution(TorchFunctionMode):
    """A mode in which functions of torch get other tensors than those they are given.

    Args:
        slices: id of each tensor to what takes its place.
    """

    def __init__(self, slices: dict[int, Tensor]) -> None:
        super().__init__()
        self._slices = slices

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func in (Tensor.backward, torch.autograd.backward):
            raise DescriptionError(
                "A closure must return losses and leave their gradients to the "
                "optimiser; it called backward."
            )
        options = {
            name: self._replaced(value) for name, value in (kwargs or {}).items()
        }
        return func(*map(self._replaced, args), **options)

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._slices.get(id(value), value)
        if type(value) in (list, tuple):
            return type(value)(map(self._replaced, value))
        return value


def flatten(x: Parameters, y: Parameters) -> Vector:
    """Return the values of all parameters as one point, shape (1, dim)."""
    return torch.cat([part.detach().reshape(-1) for part in (*x, *y)])[None]


def write(z: Vector, x: Parameters, y: Parameters) -> None:
    """Write a point into parameters."""
    sizes = [part.numel() for part in (*x, *y)]
    with torch.no_grad():
        for part, values in zip((*x, *y), z[0].split(sizes), strict=True):
            part.copy_(values.view_as(part))


def _slices(parameters: Parameters, flat: Vector) -> dict[int, Tensor]:
    """Return the slice of a flat vector that stands for each parameter, by its id."""
    pieces = flat[0].split([part.numel() for part in parameters])
    return {
        id(part): piece.view(part.shape)
        for part, piece in zip(parameters, pieces, strict=True)
    }


def _size(parameters: Parameters) -> int:
    return sum(part.numel() for part in parameters)


def _is_number(loss: Any) -> bool:
    return isinstance(loss, Tensor) and loss.numel() == 1


def _detached(found: Any) -> Any:
    if isinstance(found, Tensor):
        return found.detach()
    return tuple(map(_detached, found)) if isinstance(found, tuple | list) else found


def _leaves_of(loss: Tensor) -> Iterator[Tensor]:
    """Yield the leaves that a loss was computed from."""
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node: Any = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting += [before for before, _ in node.next_functions]

"""The game of a closure, which computes losses from the parameters of modules."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.module import register_module_forward_pre_hook

from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.oracle_state import OracleState
from mmbench.core.user_code import describe_value
from mmbench.core.vectors import Vector

# Returns what x minimises and y maximises, or the losses of x and of y.
Closure = Callable[[], Any]
Parameters = Sequence[Tensor]
Buffers = list[tuple[nn.Module, str, Tensor]]

# Two evaluations at one point may differ by this many units of rounding, as they do
# where a GPU adds numbers in any order.
_ROUNDING_UNITS = 100


class ClosureGame(Game):
    """A game of one run, whose losses a closure computes from parameters.

    While the closure is evaluated, each parameter is a slice of the flat vector of its
    player, from which torch's graph leads on. Within a step every evaluation sees the
    same random numbers and begins from the same buffers, until `redraw` is called.

    Args:
        x: parameters of the first player.
        y: parameters of the second player.

    Attributes:
        first: what the closure returned at its first evaluation in the step, without a
            graph.
    """

    def __init__(self, x: Parameters, y: Parameters) -> None:
        self._players = x, y
        self.dim_x, self.dim_y = _size(x), _size(y)
        self.device, self.dtype = x[0].device, x[0].dtype
        self.first: Any = None
        self._closure: Closure | None = None  # of the current step
        # Those that the closure calls, where they have buffers or are dropout.
        self._modules: list[nn.Module] = []
        self._buffers: Buffers = []
        self._kept: list[Tensor] = []  # the buffers' values at the start of the step
        self._moved: list[Tensor] = []  # and after its last evaluation
        self._random: list[Tensor] = []
        self._random_after: list[Tensor] | None = None

    def begin(self, closure: Closure) -> None:
        """Begin a step: take the present random numbers and buffers as its own."""
        self._closure, self.first = closure, None
        self._random, self._random_after = self._random_states(), None
        self._buffers = [
            (module, name, buffer)
            for module in self._modules
            for name, buffer in module.named_buffers(recurse=False)
        ]
        self._kept = self._moved = [buffer.clone() for _, _, buffer in self._buffers]

    def go_on(self) -> None:
        """Have random numbers and buffers go on as after one evaluation."""
        if self._random_after is not None:
            self._set_random_states(self._random_after)
        with torch.no_grad():
            for (_, _, buffer), moved in zip(self._buffers, self._moved, strict=True):
                buffer.copy_(moved)

    def end(self) -> None:
        """Let go of the closure and of all that its evaluations have made."""
        self._closure, self._buffers, self._kept, self._moved = None, [], [], []

    def redraw(self) -> None:
        """Have further evaluations see the random numbers that come next."""
        if self._random_after is not None:
            self._random = self._random_after

    def losses(
        self, x: Vector, y: Vector, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each player, for one run."""
        found = self._evaluate(x, y, train=train)
        if isinstance(found, Tensor) != self.zero_sum:
            raise _no_losses(found)
        return self._pair(found)

    @torch.enable_grad()
    def examine(self, closure: Closure, z: Vector) -> None:
        """Find out what a closure computes, by two evaluations at one point.

        It finds whether the game is zero-sum and which modules have buffers. Buffers
        and random numbers are then as they were.

        Raises:
            DescriptionError: when no game can be made of the closure.
        """
        x, y = (
            part.detach().requires_grad_()
            for part in z.split((self.dim_x, self.dim_y), dim=1)
        )
        self._modules = []
        self.begin(closure)
        with _noted_modules() as modules:
            found = self._evaluate(x, y)
        self._modules = [
            module
            for module in modules
            if isinstance(module, _DropoutNd) or [*module.buffers(recurse=False)]
        ]
        self._set_random_states(self._random)
        if x.grad is not None or y.grad is not None:
            raise DescriptionError(
                "A closure must return losses and leave their gradients to the "
                "optimiser; it called backward."
            )
        self.zero_sum = isinstance(found, Tensor)
        losses = self._pair(found)
        self.begin(closure)
        again = self.losses(x, y, None)
        self._check_equal(torch.cat(losses).detach(), torch.cat(again).detach())
        self._check_graph(again, (x, y))
        self._set_random_states(self._random)
        self.begin(closure)

    def _evaluate(self, x: Vector, y: Vector, *, train: bool = True) -> Any:
        assert self._closure is not None
        self._set_random_states(self._random)
        fresh = [kept.clone() for kept in self._kept]
        originals = [*self._players[0], *self._players[1], *_tensors(self._buffers)]
        slices = [*_slices(self._players[0], x), *_slices(self._players[1], y)]
        with (
            _exchanged(originals, [*slices, *fresh]),
            self._dropout(active=train),
            torch.enable_grad(),  # which gradients within the closure need
        ):
            found = self._closure()
            held = [getattr(module, name) for module, name, _ in self._buffers]
        self._moved = []
        for (module, name, buffer), own, now in zip(
            self._buffers, fresh, held, strict=True
        ):
            self._moved.append(own if now is buffer else now)
            setattr(module, name, buffer)
        self._random_after = self._random_states()
        if self.first is None:
            self.first = _detached(found)
        return found

    def _pair(self, found: Any) -> tuple[Tensor, Tensor]:
        """Return the losses of both players, of one run.

        Raises:
            DescriptionError: when the closure has returned something else.
        """
        losses = (found, -found) if isinstance(found, Tensor) else found
        is_pair = isinstance(losses, tuple | list) and len(losses) == 2
        if not is_pair or not all(map(_is_number, losses)):
            raise _no_losses(found)
        loss_x, loss_y = (loss.reshape(1).to(self.dtype) for loss in losses)
        return loss_x, loss_y

    def _check_equal(self, losses: Tensor, again: Tensor) -> None:
        """Check that two evaluations at one point have given the same.

        Raises:
            DescriptionError: when they have not.
        """
        allowed = _ROUNDING_UNITS * torch.finfo(self.dtype).eps
        if not torch.allclose(losses, again, rtol=allowed, atol=0, equal_nan=True):
            raise DescriptionError(
                "A closure must return the same at each call with the same parameters "
                f"and random numbers of torch; got {losses[0]:.6g}, then "
                f"{again[0]:.6g}. Draw from loaders, NumPy or generators before the "
                "step."
            )

    def _check_graph(
        self, losses: tuple[Tensor, Tensor], players: tuple[Vector, Vector]
    ) -> None:
        """Check that each loss was computed from the slices of its player.

        Raises:
            DescriptionError: when one was not.
        """
        own = [*self._players[0], *self._players[1]]
        for name, loss, player in zip("xy", losses, players, strict=True):
            gradient, *missed = (
                torch.autograd.grad(
                    loss, [player, *own], retain_graph=True, allow_unused=True
                )
                if loss.requires_grad
                else [None]
            )
            if any(one is not None for one in missed):
                raise DescriptionError(
                    "A closure must compute all that depends on the parameters itself; "
                    "it used what had been computed from one before, or a TorchScript "
                    "module, which holds its parameters elsewhere."
                )
            if gradient is None:
                raise DescriptionError(
                    f"The loss of {name} must depend on the parameters of {name}; the "
                    "closure returned one that does not."
                )

    @contextmanager
    def _dropout(self, *, active: bool) -> Iterator[None]:
        """Switch dropout off within a block, unless it is active."""
        switched = [
            module
            for module in self._modules
            if not active and module.training and isinstance(module, _DropoutNd)
        ]
        for module in switched:
            module.training = False
        try:
            yield
        finally:
            for module in switched:
                module.training = True

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


def flatten(x: Parameters, y: Parameters) -> Vector:
    """Return the values of all parameters as one point, shape (1, dim)."""
    return torch.cat([part.detach().reshape(-1) for part in (*x, *y)])[None]


def write(z: Vector, x: Parameters, y: Parameters) -> None:
    """Write a point into parameters."""
    with torch.no_grad():
        for part, values in zip((*x, *y), _slices((*x, *y), z), strict=True):
            part.copy_(values)


@contextmanager
def _exchanged(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> Iterator[None]:
    """Have the first tensors be the others within a block, and the others the first.

    Every holder of such a tensor in Python sees the other one: all that a tensor is but
    its identity, attributes and class is exchanged. `torch.utils.swap_tensors` does the
    same, but refuses tensors that a graph has saved; here the graph of an evaluation
    keeps its own.
    """
    exchange = torch._C._swap_tensor_impl  # noqa: SLF001
    with ExitStack() as stack:
        for pair in zip(tensors, others, strict=True):
            exchange(*pair)
            stack.callback(exchange, *pair)
        yield


@contextmanager
def _noted_modules() -> Iterator[Iterable[nn.Module]]:
    """Yield a collection of the modules called within a block, with their parts.

    Afterwards their buffers are as before.
    """
    noted: dict[nn.Module, list[tuple[str, Tensor, Tensor]]] = {}

    def note(module: nn.Module, _: Any) -> None:
        for part in module.modules():
            if part not in noted:
                noted[part] = [
                    (name, buffer, buffer.clone())
                    for name, buffer in part.named_buffers(recurse=False)
                ]

    hook = register_module_forward_pre_hook(note)
    try:
        # Compiled code skips the hook, and its modules warn of it.
        with torch.compiler.set_stance("force_eager"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using `torch.compile", UserWarning)
            yield noted
    finally:
        hook.remove()
        for module, buffers in noted.items():
            for name, buffer, value in buffers:
                with torch.no_grad():
                    buffer.copy_(value)
                setattr(module, name, buffer)


def _slices(parameters: Iterable[Tensor], flat: Vector) -> list[Tensor]:
    """Return the slice of a flat vector that stands for each parameter."""
    parameters = list(parameters)
    pieces = flat[0].split([part.numel() for part in parameters])
    return [
        piece.view(part.shape) for part, piece in zip(parameters, pieces, strict=True)
    ]


def _tensors(buffers: Buffers) -> list[Tensor]:
    return [buffer for _, _, buffer in buffers]


def _size(parameters: Parameters) -> int:
    return sum(part.numel() for part in parameters)


def _is_number(loss: Any) -> bool:
    return isinstance(loss, Tensor) and loss.numel() == 1


def _no_losses(found: Any) -> DescriptionError:
    """Return the error of a closure that returns no losses."""
    return DescriptionError(
        "A closure must return one number, which x minimises and y maximises, or the "
        "losses of x and of y, as tensors and the same kind at each call; got "
        f"{describe_value(found)}."
    )


def _detached(found: Any) -> Any:
    if isinstance(found, Tensor):
        return found.detach()
    return tuple(map(_detached, found)) if isinstance(found, tuple | list) else found

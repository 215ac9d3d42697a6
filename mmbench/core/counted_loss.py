"""A loss with its graph, which counts how often it is differentiated."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mmbench.core.code_patches import protected
from mmbench.core.oracle import Oracle
from mmbench.core.vectors import take

_PASSES = (torch.autograd.grad, torch.autograd.backward, Tensor.backward)


@protected
class CountedLoss(TorchFunctionMode):
    """The loss of one run with its graph, for an optimiser that differentiates it.

    Within the context, each reverse pass is counted as the oracle counts its own: one
    that starts at the loss is a gradient of each player that it leads to, and one that
    starts at gradients is a product for each of them.

    Args:
        loss: a loss of x and y.
        x: the first player, a leaf of the loss's graph.
        y: the second player, a leaf of the loss's graph.

    Attributes:
        loss: the loss to differentiate.
        counts: passes so far, by the oracle's name for them.
        met_nonfinite: whether the loss or a reverse pass had an infinity or a NaN.
    """

    def __init__(self, loss: Float[Tensor, ""], x: Tensor, y: Tensor) -> None:
        super().__init__()
        # No second derivative passes through a copy, so that a pass through it is one
        # that started at the loss.
        self.loss = loss.clone()
        self.counts = dict.fromkeys(("grad_x", "grad_y", "hvps"), 0)
        self.met_nonfinite = not bool(torch.isfinite(loss))
        self._x, self._y = x, y
        self._starts_at_loss = False
        if self.loss.grad_fn is not None:
            self.loss.grad_fn.register_prehook(self._note_start)

    def _note_start(self, _gradients: Any) -> None:
        self._starts_at_loss = True

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, and count it if it is a reverse pass."""
        kwargs = kwargs or {}
        if func not in _PASSES:
            return func(*args, **kwargs)
        self._starts_at_loss = False
        result = func(*args, **kwargs)
        self._count(inspect.signature(func).bind(*args, **kwargs).arguments)
        found = (self._x.grad, self._y.grad) if result is None else result
        self.met_nonfinite |= any(map(_has_nonfinite, found))
        return result

    def _count(self, given: dict[str, Any]) -> None:
        """Count a reverse pass, given its arguments."""
        if not self._starts_at_loss:
            names = ("outputs", "tensors", "self")
            starts = next(given[name] for name in names if name in given)
            self.counts["hvps"] += len(_listed(starts))
            return
        inputs = [id(one) for one in _listed(given.get("inputs") or ())]
        for name, player in (("grad_x", self._x), ("grad_y", self._y)):
            self.counts[name] += not inputs or id(player) in inputs


def loss_of_run(
    oracle: Oracle, x: Float[Tensor, " dim_x"], y: Float[Tensor, " dim_y"], run: int
) -> CountedLoss:
    """Return x's loss of one run of a game, for what asks no oracle.

    Args:
        oracle: oracle of the game, whose current minibatch is used.
        x: the first player's point, a leaf.
        y: the second player's point, a leaf.
        run: number of the run.
    """
    state = oracle._state  # noqa: SLF001  # the loss is for mmbench's own adapter
    sample = state.sample
    if sample is not None:
        sample = take(torch.tensor([run], device=x.device), sample)
    losses = state.game.losses(x[None], y[None], sample)
    return CountedLoss(losses[0][0], x, y)


def charge_runs(oracle: Oracle, counted: CountedLoss, rows: slice) -> None:
    """Charge runs for what was counted.

    Args:
        oracle: oracle of the game.
        counted: the loss of one of the runs.
        rows: the runs.
    """
    on = torch.zeros_like(oracle.alive)
    on[rows] = True
    for name, count in counted.counts.items():
        oracle._state.charge(name, count, on)  # noqa: SLF001  # as above


def distinct_runs(oracle: Oracle, z: Float[Tensor, "runs dim"]) -> int:
    """Return how many runs come before those that only repeat the last of them.

    The engine repeats the last run of a cell until a batch has its width.

    Args:
        oracle: oracle of the game.
        z: current iterates.
    """
    seeds = oracle._state.seeds  # noqa: SLF001  # as above
    count = seeds.index(seeds[-1]) + 1
    is_repeated = bool((z[count:] == z[count - 1]).all())
    return count if is_repeated else len(seeds)


def _listed(value: Any) -> list[Any]:
    """Return one tensor, or several, as a list."""
    is_several = isinstance(value, Iterable) and not isinstance(value, Tensor)
    return list(value) if is_several else [value]


def _has_nonfinite(value: Tensor | None) -> bool:
    return value is not None and not bool(torch.isfinite(value).all())

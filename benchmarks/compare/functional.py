"""An oracle whose gradients are those of torch.func: vmap of the loss of one run."""

from functools import partial
from typing import Any

from torch import Tensor
from torch.func import grad, jvp, vmap
from torch.utils._pytree import tree_map

from mmbench.core.oracle import Oracle


class FunctionalOracle(Oracle):
    """An oracle whose gradients and products are those of torch.func."""

    def _loss(self, player: int, x: Tensor, y: Tensor, sample: Any) -> Tensor:
        """Return the loss of one run, as if it were the only one."""
        x, y, sample = tree_map(lambda one: one[None], (x, y, sample))
        return self._game.losses(x, y, sample or None)[player][0]

    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient of each player's loss in that player."""
        sample = (
            () if self._state.sample is None else self._state.sample
        )  # vmap takes no None
        if self.zero_sum:
            both = vmap(grad(partial(self._loss, 0), argnums=(0, 1)))
            at_x, at_y = both(x, y, sample)
            return at_x, -at_y
        at_x = vmap(grad(partial(self._loss, 0), argnums=0))(x, y, sample)
        return at_x, vmap(grad(partial(self._loss, 1), argnums=1))(x, y, sample)

    def field(self, z: Tensor) -> Tensor:
        """Return F(z)."""
        return self.join(*self.gradients(*self.split(z)))

    def linearise(
        self, z: Tensor, *, cross: bool = False, on: Tensor | None = None
    ) -> "FunctionalLinearisation":
        """Return gradients, ready for products, each of which computes them again."""
        return FunctionalLinearisation(self, *self.split(z))


class FunctionalLinearisation:
    """Gradients at a point and the mixed products, by forward over reverse."""

    def __init__(self, oracle: FunctionalOracle, x: Tensor, y: Tensor) -> None:
        self._oracle, self._x, self._y = oracle, x, y
        self.grad_x, self.grad_y = oracle.gradients(x, y)

    def mixed_x(self, v: Tensor, *, on: Tensor | None = None) -> Tensor:
        """Return (∂grad_x/∂y) v."""
        at = lambda y: self._oracle.gradients(self._x, y)[0]
        return jvp(at, (self._y,), (v,))[1]

    def mixed_y(self, v: Tensor, *, on: Tensor | None = None) -> Tensor:
        """Return (∂grad_y/∂x) v."""
        at = lambda x: self._oracle.gradients(x, self._y)[1]
        return jvp(at, (self._x,), (v,))[1]

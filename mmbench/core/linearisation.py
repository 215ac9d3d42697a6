"""Linearisation: gradients at a point and second-order products from their graph."""

from collections.abc import Callable

import torch
from torch import Tensor

from mmbench.core.vectors import Mask, PartX, PartY, Vector, masked


class Linearisation:
    """Gradients at a point and, from their retained graph, second-order products.

    One product is one reverse pass through one player's retained gradient, charged to
    the runs that the mask `on` holds for; the others receive zeros. `xy`, `yx`,
    `xx` and `yy` are blocks of the Hessian of f in a zero-sum game.

    Args:
        charge: called for each product, with the runs that it is charged to.
        x: the first player, a leaf of the graph.
        y: the second player, a leaf of the graph.
        grad_x: gradient of loss_x in x, with its graph.
        grad_y: gradient of loss_y in y, with its graph.

    Attributes:
        grad_x: gradient of loss_x in x.
        grad_y: gradient of loss_y in y.
    """

    def __init__(
        self,
        charge: Callable[[Mask | None], None],
        x: PartX,
        y: PartY,
        grad_x: PartX,
        grad_y: PartY,
    ) -> None:
        self._charge, self._x, self._y = charge, x, y
        self._grad_x, self._grad_y = grad_x, grad_y
        self.grad_x, self.grad_y = grad_x.detach(), grad_y.detach()

    def through_x(self, v: PartX, *, on: Mask | None = None) -> tuple[PartX, PartY]:
        """Reverse pass of v through x's gradient: its parts in x and in y."""
        return self._reverse(self._grad_x, v, (self._x, self._y), on)

    def through_y(self, v: PartY, *, on: Mask | None = None) -> tuple[PartX, PartY]:
        """Reverse pass of v through y's gradient: its parts in x and in y."""
        return self._reverse(self._grad_y, v, (self._x, self._y), on)

    def xy(self, v: PartY, *, on: Mask | None = None) -> PartX:
        """f_xy v, of the length of x."""
        return -self._reverse(self._grad_y, v, (self._x,), on)[0]

    def yx(self, v: PartX, *, on: Mask | None = None) -> PartY:
        """f_yx v, of the length of y."""
        return self._reverse(self._grad_x, v, (self._y,), on)[0]

    def xx(self, v: PartX, *, on: Mask | None = None) -> PartX:
        """f_xx v."""
        return self._reverse(self._grad_x, v, (self._x,), on)[0]

    def yy(self, v: PartY, *, on: Mask | None = None) -> PartY:
        """f_yy v."""
        return -self._reverse(self._grad_y, v, (self._y,), on)[0]

    def _reverse(
        self, output: Vector, v: Vector, inputs: tuple[Tensor, ...], on: Mask | None
    ) -> tuple[Tensor, ...]:
        self._charge(on)
        if not output.requires_grad:  # the gradient is constant
            return tuple(torch.zeros_like(one) for one in inputs)
        products = torch.autograd.grad(
            output,
            inputs,
            v,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return tuple(masked(one, on) for one in products)

"""Linearisations: gradients at a point and second-order products from their graph."""

from collections.abc import Callable
from typing import NoReturn

import torch
from torch import Tensor

from mmbench.core.code_patches import protected
from mmbench.core.errors import MisfitError
from mmbench.core.vectors import Mask, PartX, PartY, Vector, masked


@protected
class Linearisation:
    """Gradients at a point and, from their retained graph, second-order products.

    One product is one reverse pass through one player's retained gradient, charged to
    the runs where the mask `on` is True; the others receive zeros. `xy`, `yx`, `xx` and
    `yy` are products with the blocks of the Hessian of f, for zero-sum games only.

    Args:
        charge: called for each product, with the mask of the runs that pay for it.
        x: the first player, a leaf of the graph.
        y: the second player, a leaf of the graph.
        grad_x: gradient of loss_x in x, with its graph.
        grad_y: gradient of loss_y in y, with its graph.
        zero_sum: whether loss_y = -loss_x, so that there is one f.

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
        *,
        zero_sum: bool,
    ) -> None:
        self._charge, self._x, self._y = charge, x, y
        self._grad_x, self._grad_y = grad_x, grad_y
        self._zero_sum = zero_sum
        self.grad_x, self.grad_y = grad_x.detach(), grad_y.detach()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A linearisation cannot be copied, as an oracle cannot.")

    def through_x(self, v: PartX, *, on: Mask | None = None) -> tuple[PartX, PartY]:
        """Return (∂grad_x/∂x)ᵀ v and (∂grad_x/∂y)ᵀ v, from one reverse pass."""
        at_x, at_y = self._reverse(self._grad_x, v, (self._x, self._y), on)
        return at_x, at_y

    def through_y(self, v: PartY, *, on: Mask | None = None) -> tuple[PartX, PartY]:
        """Return (∂grad_y/∂x)ᵀ v and (∂grad_y/∂y)ᵀ v, from one reverse pass."""
        at_x, at_y = self._reverse(self._grad_y, v, (self._x, self._y), on)
        return at_x, at_y

    def xy(self, v: PartY, *, on: Mask | None = None) -> PartX:
        """Return f_xy v, shape (runs, dim_x)."""
        self._check_zero_sum("xy")
        return -self._reverse(self._grad_y, v, (self._x,), on)[0]

    def yx(self, v: PartX, *, on: Mask | None = None) -> PartY:
        """Return f_yx v, shape (runs, dim_y)."""
        self._check_zero_sum("yx")
        return self._reverse(self._grad_x, v, (self._y,), on)[0]

    def xx(self, v: PartX, *, on: Mask | None = None) -> PartX:
        """Return f_xx v, shape (runs, dim_x)."""
        self._check_zero_sum("xx")
        return self._reverse(self._grad_x, v, (self._x,), on)[0]

    def yy(self, v: PartY, *, on: Mask | None = None) -> PartY:
        """Return f_yy v, shape (runs, dim_y)."""
        self._check_zero_sum("yy")
        return -self._reverse(self._grad_y, v, (self._y,), on)[0]

    def _check_zero_sum(self, block: str) -> None:
        """Raise a `MisfitError` in a game that has two losses and no f."""
        if not self._zero_sum:
            raise MisfitError(
                f"Linearisation.{block} must be asked in a zero-sum game, for it is a "
                "product with a block of the Hessian of f; got another game. State "
                "Capability.ZERO_SUM in the algorithm's needs."
            )

    def _reverse(
        self, output: Vector, v: Vector, inputs: tuple[Tensor, ...], on: Mask | None
    ) -> tuple[Tensor, ...]:
        v = v.detach().requires_grad_()  # as in `Oracle._leaves`
        self._charge(on)
        if not output.requires_grad:  # the gradient is constant
            return tuple(torch.zeros_like(player) for player in inputs)
        products = torch.autograd.grad(
            output,
            inputs,
            v,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return tuple(masked(product, on) for product in products)

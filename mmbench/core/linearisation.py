"""Linearisations: gradients at a point and second-order products from their graph."""

from collections.abc import Callable
from typing import NoReturn

import torch
from torch import Tensor

from mmbench.core.code_patches import protected
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.reverse_pass import reverse_pass
from mmbench.core.vectors import Mask, PartX, PartY, Vector, masked


@protected
class Linearisation:
    """Gradients at a point and, from their retained graph, second-order products.

    One product is one reverse pass through the retained gradient of one loss in one
    player, charged to the runs where the mask `on` is True; the others receive zeros.

    `through_x` and `through_y` serve every game. In games that are not zero-sum,
    `through_cross_x`, `through_cross_y`, `mixed_x`, `mixed_y` and `jacobian` need the
    cross gradients, those of a loss in the other player's variables; in zero-sum games
    these are the negatives of the other player's own gradient and cost nothing. `xy`,
    `yx`, `xx` and `yy` are products with the blocks of the Hessian of f, for zero-sum
    games only.

    Args:
        charge: called for each product, with the mask of the runs that pay for it.
        x: the first player, a leaf of the graph.
        y: the second player, a leaf of the graph.
        grad_x: gradient of loss_x in x, with its graph.
        grad_y: gradient of loss_y in y, with its graph.
        cross_x: gradient of loss_x in y, with its graph, where it was asked for; in
            zero-sum games it is always given.
        cross_y: gradient of loss_y in x, with its graph, where it was asked for.
        zero_sum: whether loss_y = -loss_x, so that there is one f.
        on: mask of the runs that it is of; the others receive zeros.

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
        cross_x: PartY | None = None,
        cross_y: PartX | None = None,
        *,
        zero_sum: bool,
        on: Mask | None = None,
    ) -> None:
        self._charge, self._x, self._y = charge, x, y
        self._grad_x, self._grad_y = grad_x, grad_y
        self._cross_x, self._cross_y = cross_x, cross_y
        self._zero_sum, self._on = zero_sum, on
        self.grad_x = masked(grad_x.detach(), on)
        self.grad_y = masked(grad_y.detach(), on)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A linearisation cannot be copied, as an oracle cannot.")

    # ---- any game ----

    def through_x(self, v: PartX, *, on: Mask | None = None) -> tuple[PartX, PartY]:
        """Return (∂grad_x/∂x)ᵀ v and (∂grad_x/∂y)ᵀ v, from one reverse pass."""
        at_x, at_y = self._reverse(self._grad_x, v, (self._x, self._y), on)
        return at_x, at_y

    def through_y(self, v: PartY, *, on: Mask | None = None) -> tuple[PartX, PartY]:
        """Return (∂grad_y/∂x)ᵀ v and (∂grad_y/∂y)ᵀ v, from one reverse pass."""
        at_x, at_y = self._reverse(self._grad_y, v, (self._x, self._y), on)
        return at_x, at_y

    def transposed(
        self, v_x: PartX, v_y: PartY, *, on: Mask | None = None
    ) -> tuple[PartX, PartY]:
        """Return both parts of Jᵀ v, with J the Jacobian of F; two products."""
        of_x, of_y = self.through_x(v_x, on=on), self.through_y(v_y, on=on)
        return of_x[0] + of_y[0], of_x[1] + of_y[1]

    @property
    def cross_x(self) -> PartY:
        """The gradient of loss_x in y, shape (runs, dim_y)."""
        return masked(self._asked(self._cross_x, "cross_x").detach(), self._on)

    @property
    def cross_y(self) -> PartX:
        """The gradient of loss_y in x, shape (runs, dim_x)."""
        if self._zero_sum:
            return -self.grad_x
        return masked(self._asked(self._cross_y, "cross_y").detach(), self._on)

    def through_cross_x(
        self, v: PartY, *, on: Mask | None = None
    ) -> tuple[PartX, PartY]:
        """Return (∂cross_x/∂x)ᵀ v and (∂cross_x/∂y)ᵀ v, from one reverse pass.

        The first is the product of v with the mixed derivative ∂grad_x/∂y.
        """
        cross = self._asked(self._cross_x, "through_cross_x")
        at_x, at_y = self._reverse(cross, v, (self._x, self._y), on)
        return at_x, at_y

    def through_cross_y(
        self, v: PartX, *, on: Mask | None = None
    ) -> tuple[PartX, PartY]:
        """Return (∂cross_y/∂x)ᵀ v and (∂cross_y/∂y)ᵀ v, from one reverse pass.

        The second is the product of v with the mixed derivative ∂grad_y/∂x.
        """
        if self._zero_sum:
            at_x, at_y = self.through_x(v, on=on)
            return -at_x, -at_y
        cross = self._asked(self._cross_y, "through_cross_y")
        at_x, at_y = self._reverse(cross, v, (self._x, self._y), on)
        return at_x, at_y

    def mixed_x(self, v: PartY, *, on: Mask | None = None) -> PartX:
        """Return (∂grad_x/∂y) v, shape (runs, dim_x); one product."""
        cross = self._asked(self._cross_x, "mixed_x")
        return self._reverse(cross, v, (self._x,), on)[0]

    def mixed_y(self, v: PartX, *, on: Mask | None = None) -> PartY:
        """Return (∂grad_y/∂x) v, shape (runs, dim_y); one product."""
        if self._zero_sum:
            return -self.yx(v, on=on)
        cross = self._asked(self._cross_y, "mixed_y")
        return self._reverse(cross, v, (self._y,), on)[0]

    def jacobian(
        self, v_x: PartX, v_y: PartY, *, on: Mask | None = None
    ) -> tuple[PartX, PartY]:
        """Return both parts of J v, with J the Jacobian of F.

        Two products in zero-sum games, four in others.
        """
        of_x, of_y = self.through_x(v_x, on=on), self.through_y(v_y, on=on)
        if self._zero_sum:
            return of_x[0] - of_y[0], of_y[1] - of_x[1]
        cross_x, cross_y = (
            self.through_cross_x(v_y, on=on),
            self.through_cross_y(v_x, on=on),
        )
        return of_x[0] + cross_x[0], cross_y[1] + of_y[1]

    # ---- zero-sum games ----

    def xy(self, v: PartY, *, on: Mask | None = None) -> PartX:
        """Return f_xy v, shape (runs, dim_x)."""
        self._check_zero_sum("xy")
        return self.mixed_x(v, on=on)

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
        return self._reverse(self._asked(self._cross_x, "yy"), v, (self._y,), on)[0]

    def _check_zero_sum(self, block: str) -> None:
        """Raise a `MisfitError` in a game that has two losses and no f."""
        if not self._zero_sum:
            raise MisfitError(
                f"Linearisation.{block} must be asked in a zero-sum game, for it is a "
                "product with a block of the Hessian of f; got another game. State "
                "Capability.ZERO_SUM in the algorithm's needs."
            )

    def _asked(self, gradient: Tensor | None, name: str) -> Tensor:
        """Return a cross gradient of a game that is not zero-sum.

        Raises:
            DescriptionError: when the linearisation was made without it.
        """
        if gradient is None:
            raise DescriptionError(
                f"Linearisation.{name} must have cross gradients in a game that is not "
                "zero-sum; got none. Call linearise(z, cross=True)."
            )
        return gradient

    def _reverse(
        self, output: Vector, v: Vector, inputs: tuple[Tensor, ...], on: Mask | None
    ) -> tuple[Tensor, ...]:
        v = v.detach().requires_grad_()  # as in `Oracle._leaves`
        if self._on is not None:
            on = self._on if on is None else on & self._on
        self._charge(on)
        if not output.requires_grad:  # the gradient is constant
            return tuple(torch.zeros_like(player) for player in inputs)
        products = reverse_pass(output, inputs, v, retain_graph=True)
        return tuple(masked(product, on) for product in products)

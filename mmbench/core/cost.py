"""Costs: what one step of an algorithm uses, in calls and in gradient-equivalents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# A gradient-equivalent counts 1 for a player-gradient, 2 for a Hessian product
# (a reverse pass through a reverse pass) and 1/2 for a value (a forward pass).
HVP_WEIGHT = 2.0
VALUE_WEIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The oracle calls that one step of an algorithm makes.

    Args:
        grad_x: gradients of loss_x in x.
        grad_y: gradients of loss_y in y.
        hvps: products of a block of second derivatives with a vector; one product is
            one reverse pass through one player's retained gradient.
        values: evaluations of the losses.
        minibatches: minibatches drawn; on games without data they cost nothing.
        hvps_per_iteration: further products for each iteration of an inner solver
            that stops by itself.
        grads_x_per_iteration: further gradients of loss_x for each iteration of an
            inner loop that stops by itself.
        grads_y_per_iteration: further gradients of loss_y, as for loss_x.
        values_per_iteration: further evaluations of the losses, as for gradients.
        passes: passes over all terms of a finite sum, the mean over many steps where
            not every step makes one. A pass is charged as the gradients of both
            players on as many minibatches as hold all terms.
        general_sum: the calls of a step in games that are not zero-sum, where they are
            others.
    """

    grad_x: float = 0
    grad_y: float = 0
    hvps: float = 0
    values: float = 0
    minibatches: float = 1
    hvps_per_iteration: float = 0
    grads_x_per_iteration: float = 0
    grads_y_per_iteration: float = 0
    values_per_iteration: float = 0
    passes: float = 0
    general_sum: "Cost | None" = None

    def within(self, *, zero_sum: bool) -> "Cost":
        """Return the cost in games that are zero-sum, or in those that are not."""
        return self if zero_sum or self.general_sum is None else self.general_sum

    @property
    def gradient_equivalents(self) -> float:
        """The price of a step in player-gradients, without inner iterations."""
        return float(
            gradient_equivalents(self.grad_x, self.grad_y, self.hvps, self.values)
        )

    def __str__(self) -> str:
        counts = [
            (self.grad_x, "∇x"),
            (self.grad_y, "∇y"),
            (self.hvps, "HVP"),
            (self.hvps_per_iteration, "HVP per inner iteration"),
            (self.grads_x_per_iteration, "∇x per inner iteration"),
            (self.grads_y_per_iteration, "∇y per inner iteration"),
            (self.values, "value"),
            (self.values_per_iteration, "value per inner iteration"),
            (self.passes, "pass over all terms"),
        ]
        text = " + ".join(f"{count:g} {what}" for count, what in counts if count)
        if self.general_sum is None:
            return text
        return f"{text}; in general-sum games {self.general_sum}"


def gradient_equivalents(grad_x: Any, grad_y: Any, hvps: Any, values: Any) -> Any:
    """Return the price of counted calls in player-gradients.

    Args:
        grad_x: number of gradients of loss_x in x; a number, an array or a column.
        grad_y: number of gradients of loss_y in y, of the same kind.
        hvps: number of second-order products, of the same kind.
        values: number of evaluations of the losses, of the same kind.
    """
    return grad_x + grad_y + HVP_WEIGHT * hvps + VALUE_WEIGHT * values


# What a budget is counted in; the plural stands after a number.
Unit = Literal["gradient-equivalents", "samples"]


def amount(cost: float, unit: str) -> str:
    """Return a cost in words, as in "1 sample" and "2000 gradient-equivalents"."""
    return f"{cost:g} {unit.removesuffix('s') if cost == 1 else unit}"


def spent(counts: Mapping[str, Any], unit: Unit) -> Any:
    """Return what has been spent of a budget.

    Args:
        counts: charges by the names in `COUNTED`; numbers, arrays or tensors.
        unit: what the budget is counted in.
    """
    if unit == "samples":
        return counts["samples"]
    names = "grad_x", "grad_y", "hvps", "values"
    return gradient_equivalents(*(counts[name] for name in names))

"""Cost: what one step of an algorithm uses, declared and counted."""

from dataclasses import dataclass

# A gradient-equivalent counts 1 for a player-gradient, 2 for a Hessian product
# (a reverse pass through a reverse pass) and 1/2 for a value (a forward pass).
HVP_WEIGHT = 2.0
VALUE_WEIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Oracle calls of one step.

    Args:
        grad_x: gradients of the first player's loss in its own variables.
        grad_y: the same for the second player.
        hvps: products of a second-derivative block with a vector; one is a reverse
            pass through one player's retained gradient.
        values: evaluations of the losses.
        minibatches: minibatches drawn; on games without data they cost nothing.
        hvps_per_iteration: further products for each iteration of an inner solver
            whose number of iterations depends on the data.
        grads_y_per_iteration: further gradients of the second player for each iteration
            of an inner ascent of such a kind.
    """

    grad_x: float = 0
    grad_y: float = 0
    hvps: float = 0
    values: float = 0
    minibatches: float = 1
    hvps_per_iteration: float = 0
    grads_y_per_iteration: float = 0

    @property
    def gradient_equivalents(self) -> float:
        """The step's price in player-gradients, inner iterations not included."""
        return gradient_equivalents(self.grad_x, self.grad_y, self.hvps, self.values)

    def __str__(self) -> str:
        parts = [
            (self.grad_x, "∇x"),
            (self.grad_y, "∇y"),
            (self.hvps, "HVP"),
            (self.hvps_per_iteration, "HVP per inner iteration"),
            (self.grads_y_per_iteration, "∇y per inner iteration"),
            (self.values, "value"),
        ]
        return " + ".join(f"{count:g} {what}" for count, what in parts if count)


def gradient_equivalents(grad_x, grad_y, hvps, values):
    """Price in player-gradients of counted calls (numbers, arrays or columns)."""
    return grad_x + grad_y + HVP_WEIGHT * hvps + VALUE_WEIGHT * values

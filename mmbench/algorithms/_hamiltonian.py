"""The gradient of ½‖F‖², on which several methods descend."""

from typing import Literal

from mmbench.core.oracle import Oracle
from mmbench.core.vectors import Joint


def field_and_descent(
    oracle: Oracle, z: Joint, minibatch: Literal["same", "fresh"]
) -> tuple[Joint, Joint]:
    """Return F and Jᵀ F, the gradient of ½‖F‖²; 1 linearisation and 2 products.

    One minibatch in both factors gives a biased estimate of Jᵀ F. Two independent ones,
    i and j, give (Jᵢᵀ Fⱼ + Jⱼᵀ Fᵢ)/2, which is unbiased, and the mean of Fᵢ and Fⱼ, for
    twice the price.

    Args:
        oracle: oracle of the game.
        z: current iterates.
        minibatch: whether both factors are of the "same" minibatch, or the second is of
            a "fresh" one.
    """
    first = oracle.linearise(z)
    field = oracle.join(first.grad_x, first.grad_y)
    if minibatch == "same":
        return field, oracle.join(*first.transposed(first.grad_x, first.grad_y))
    oracle.resample()
    second = oracle.linearise(z)
    descents = (
        oracle.join(*first.transposed(second.grad_x, second.grad_y)),
        oracle.join(*second.transposed(first.grad_x, first.grad_y)),
    )
    other = oracle.join(second.grad_x, second.grad_y)
    return (field + other) / 2, (descents[0] + descents[1]) / 2

"""What the metrics of the field's Jacobian share."""

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

# Up to this number of variables J is computed whole, in dim² numbers for each run.
EXACT_DIM = 500


def finite_runs(
    matrices: Float64[Tensor, "runs n n"],
) -> tuple[Bool[Tensor, " runs"], Float64[Tensor, "runs n n"]]:
    """Return which matrices are finite, and zeros in the place of the others.

    Routines for eigenvalues raise where they are given a number that is not finite.
    """
    finite = matrices.isfinite().all(2).all(1)
    return finite, matrices.where(finite[:, None, None], 0.0)


def pair_of(step_size: float | tuple[float, float]) -> tuple[float, float]:
    """Return the step sizes of x and of y."""
    return step_size if isinstance(step_size, tuple) else (step_size, step_size)


def scaling(
    step_size: float | tuple[float, float], dim_x: int, dim_y: int
) -> Float64[Tensor, " dim"]:
    """Return the diagonal of Λ, the step size of each variable."""
    sizes = torch.tensor(pair_of(step_size), dtype=torch.float64)
    return sizes.repeat_interleave(torch.tensor([dim_x, dim_y]))

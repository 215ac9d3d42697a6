"""Random matrices of instances, in float64 on the CPU."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.domains import Domain

# The largest by the smallest eigenvalue of a symmetric matrix.
Conditioning = Annotated[float, Domain(low=1, high=1e9)]


def random_rotation(dim: int, generator: torch.Generator) -> Float[Tensor, "dim dim"]:
    """Draw an orthogonal matrix."""
    normal = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(normal).Q


def random_positive(
    eigenvalues: Float[Tensor, " dim"], generator: torch.Generator
) -> Float[Tensor, "dim dim"]:
    """Draw a symmetric matrix with these eigenvalues and random eigenvectors."""
    rotation = random_rotation(len(eigenvalues), generator)
    return rotation @ torch.diag(eigenvalues) @ rotation.T


def random_spectrum(
    count: int, conditioning: float, generator: torch.Generator
) -> Float[Tensor, " count"]:
    """Draw numbers from 1 to `conditioning`, uniform on a logarithmic scale.

    The last is `conditioning`, and the first is 1 if there are two.
    """
    drawn = torch.rand(count, generator=generator, dtype=torch.float64)
    drawn[0], drawn[-1] = 0, 1
    return conditioning**drawn

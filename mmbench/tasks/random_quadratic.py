"""Random quadratic games with a chosen conditioning and share of rotation."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count, Domain, NonNegative, Seed
from mmbench.core.placement import Placement
from mmbench.core.source import Source
from mmbench.tasks._noise import Noise, NoisyGame
from mmbench.tasks._products import Matrix
from mmbench.tasks._random_matrices import (
    Conditioning,
    random_positive,
    random_spectrum,
)
from mmbench.tasks._solved import SolvedTask

Share = Annotated[float, Domain(low=0, high=1, open_high=True)]


@final
@dataclass(frozen=True, kw_only=True)
class RandomQuadratic(SolvedTask):
    """Random quadratic: a family of strongly convex, strongly concave games.

        f(x, y) = ½ x'Px + x'Ay − ½ y'Qy

    P and Q have random eigenvectors. Their eigenvalues are uniform on a logarithmic
    scale, and all of them together run from μ to κμ. A has normal entries. Every
    instance is scaled so that its field has the Lipschitz constant 1, which makes step
    sizes comparable; μ follows from that. Instances that nobody tuned on tell whether a
    comparison holds beyond those that it was made on.

    Args:
        dim: length of each player.
        conditioning: κ, largest by smallest eigenvalue of the field's symmetric part.
        rotation: share of the antisymmetric part in the squared Frobenius norm of the
            field's Jacobian: 0 has no coupling, towards 1 the game becomes bilinear.
        noise: standard deviation of the normal noise in every entry of a minibatch's
            gradients.
        zero_sum: whether the second loss is the negative of the first; otherwise
            another random matrix, of the norm of A, couples y to x. The symmetric part
            is then no longer that of P and Q alone, and the game may be unstable.
        instance: seed of the matrices; the same for all runs of a cell.

    Solutions: (0, 0), the only Nash equilibrium.
    Source: the share of rotation: Balduzzi, Racaniere, Martens, Foerster, Tuyls and
        Graepel 2018.
    """

    dim: Count = 10
    conditioning: Conditioning = 10.0
    rotation: Share = 0.5
    noise: NonNegative = 0.0
    zero_sum: bool = True
    instance: Seed = 0

    source = Source(
        authors="Balduzzi, Racaniere, Martens, Foerster, Tuyls and Graepel",
        year=2018,
        title="The Mechanics of n-Player Differentiable Games",
        link="https://arxiv.org/abs/1802.05642",
    )

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        given = {Capability.SOLUTION, Capability.NASH}
        given |= {Capability.ZERO_SUM} if self.zero_sum else set()
        return frozenset(given | ({Capability.PLANE} if self.dim == 1 else set()))

    def build(self, placement: Placement) -> "RandomQuadraticGame":
        """Build the game."""
        return RandomQuadraticGame(self, placement)


class RandomQuadraticGame(NoisyGame):
    """The game ½ x'Px + x'Ay − ½ y'Qy, as quadratic forms of z.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: RandomQuadratic, placement: Placement) -> None:
        self.dim_x = self.dim_y = task.dim
        self.zero_sum = task.zero_sum
        self.device, self.dtype = placement.device, placement.dtype
        p, a, b, q = random_blocks(task)
        if task.zero_sum:
            forms = [blocks(p, a, a.T, -q)]
        else:
            none = torch.zeros_like(a)
            forms = [blocks(p, a, a.T, none), blocks(none, -b, -b.T, q)]
        self._forms = [Matrix(form, placement) for form in forms]
        self._add_noise(task.noise)

    def losses(
        self, x: Tensor, y: Tensor, sample: Noise | None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of x and of y, each of shape (runs,).

        Args:
            x: first player, shape (runs, dim).
            y: second player, shape (runs, dim).
            sample: the noise of each run, if there is any.
            train: no effect.
        """
        z = torch.cat((x, y), dim=1)
        first, *second = ((z * form.times(z)).sum(1) / 2 for form in self._forms)
        if not second:
            f = self._noisy(first, x, y, sample)
            return f, -f
        noise = self._noisy(torch.zeros_like(first), x, y, sample)
        return first + noise, second[0] - noise

    def distance(
        self, z: Float[Tensor, "runs dim"], concept: str
    ) -> Float[Tensor, " runs"]:
        """Return the distance of each run to (0, 0), for every concept."""
        return z.norm(dim=1)


def blocks(xx: Tensor, xy: Tensor, yx: Tensor, yy: Tensor) -> Tensor:
    """Return the matrix of four blocks."""
    return torch.cat((torch.cat((xx, xy), dim=1), torch.cat((yx, yy), dim=1)))


@lru_cache(maxsize=1)
def random_blocks(task: RandomQuadratic) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return P, A, the matrix B that couples y to x, and Q, in float64 on the CPU.

    The Jacobian of the field is ((P, A), (−B', Q)), and B is A in a zero-sum game. The
    last ones are kept, for each chunk of a cell builds the game anew; they must not be
    written into.
    """
    dim, random = task.dim, torch.Generator().manual_seed(task.instance)
    eigenvalues = random_spectrum(2 * dim, task.conditioning, random)
    p, q = (random_positive(part, random) for part in eigenvalues.split(dim))
    a, b = torch.randn(2, dim, dim, generator=random, dtype=torch.float64)
    norm = eigenvalues.norm() * math.sqrt(task.rotation / (1 - task.rotation) / 2)
    a, b = (norm / matrix.norm() * matrix for matrix in (a, b))
    if task.zero_sum:
        b = a
    largest = torch.linalg.matrix_norm(blocks(p, a, -b.T, q), 2)
    return p / largest, a / largest, b / largest, q / largest

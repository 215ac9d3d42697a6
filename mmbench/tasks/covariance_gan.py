"""The linear-quadratic GAN, whose generator learns a covariance matrix."""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.domains import Count, Natural, Seed
from mmbench.core.game import Game
from mmbench.core.literature import DASKALAKIS_2018
from mmbench.core.placement import Placement
from mmbench.tasks._random_matrices import (
    Conditioning,
    random_positive,
    random_spectrum,
)
from mmbench.tasks._solved import SolvedTask


@final
@dataclass(frozen=True, kw_only=True)
class CovarianceGAN(SolvedTask):
    """Covariance game: a linear generator Vε against a quadratic discriminator s'Ws.

        f(V, W) = E[s'Ws] − E[(Vε)'W(Vε)] = ⟨W, Σ − VV'⟩

    with data s ~ N(0, Σ) and noise ε ~ N(0, I). f is bilinear in W and in VV', so that
    simultaneous steps spiral away from the solutions: the linearised flow around them
    rotates with the frequencies √(2(σᵢ + σⱼ)) for the eigenvalues σ of Σ.

    Args:
        dim: length of a data point; V and W are square matrices.
        conditioning: largest by smallest eigenvalue of Σ; the largest is 1.
        batch: data points in a minibatch; 0 takes the expectations.
        instance: seed of Σ; the same for all runs of a cell.

    Solutions: all V with VV' = Σ and all antisymmetric W, which are Nash equilibria.
    Source: Daskalakis, Ilyas, Syrgkanis and Zeng 2018.
    """

    dim: Count = 2
    conditioning: Conditioning = 4.0
    batch: Natural = 0
    instance: Seed = 0

    source = DASKALAKIS_2018

    def build(self, placement: Placement) -> "CovarianceGame":
        """Build the game."""
        return CovarianceGame(self, placement)

    def starts(
        self, game: Game, numbers: Float64[Tensor, "runs amount"]
    ) -> Float[Tensor, "runs dim"]:
        """Return normal entries of the standard deviation 1/√dim."""
        return (numbers / math.sqrt(self.dim)).to(game.dtype)


class Minibatch(NamedTuple):
    """Data and noise, of shape (..., batch, dim) each."""

    real: Float[Tensor, "*runs batch dim"]
    noise: Float[Tensor, "*runs batch dim"]


class CovarianceGame(Game):
    """The game ⟨W, Σ − VV'⟩, with z the entries of V and of W.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: CovarianceGAN, placement: Placement) -> None:
        self.device, self.dtype = placement.device, placement.dtype
        self._size, self.batch_size = task.dim, task.batch
        self.dim_x = self.dim_y = task.dim**2
        self.sample_size = 2 * task.batch * task.dim
        # The expected game counts as a single term, which metrics of the field see.
        self.terms = 1 if task.batch else 0
        random = torch.Generator().manual_seed(task.instance)
        spectrum = random_spectrum(task.dim, task.conditioning, random)
        covariance = random_positive(spectrum / task.conditioning, random)
        values, vectors = torch.linalg.eigh(covariance)
        self._root_on_cpu = vectors @ torch.diag(values.sqrt()) @ vectors.T
        self._covariance, self._root = (
            matrix.to(self.device, self.dtype)
            for matrix in (covariance, self._root_on_cpu)
        )

    def losses(
        self, x: Tensor, y: Tensor, sample: Minibatch | None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return f and its negative, each of shape (runs,).

        Args:
            x: entries of V, shape (runs, dim²).
            y: entries of W, shape (runs, dim²).
            sample: data and noise of each run; none for the expectations.
            train: no effect.
        """
        v, w = (part.unflatten(1, (self._size, self._size)) for part in (x, y))
        if sample is None:
            real, generated = self._covariance, v @ v.mT
        else:
            points = sample.noise @ v.mT
            count = points.shape[1]
            real = sample.real.mT @ sample.real / count
            generated = points.mT @ points / count
        f = (w * (real - generated)).sum((1, 2))
        return f, -f

    def draw(self, generator: torch.Generator, count: int) -> Minibatch:
        """Draw `count` minibatches of data and noise."""
        shape = 2, count, self.batch_size, self._size
        real, noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        return Minibatch(
            (real @ self._root_on_cpu).to(self.dtype), noise.to(self.dtype)
        )

    def all_terms(self) -> Minibatch:
        """Return `dim` points with the moments of the data, and of the noise."""
        unit = torch.eye(self._size, device=self.device, dtype=self.dtype)
        scale = math.sqrt(self._size)
        return Minibatch(scale * self._root, scale * unit)

    def distance(
        self, z: Float[Tensor, "runs dim"], concept: str
    ) -> Float[Tensor, " runs"]:
        """Return the distance of each run to the solutions, for every concept.

        The nearest V is Σ^½ Q, with the orthogonal factor Q of Σ^½ V (Procrustes).
        """
        shape = self._size, self._size
        v, w = (part.unflatten(1, shape) for part in z.split(self.dim_x, dim=1))
        left, _, right = torch.linalg.svd(self._root @ v)
        of_v = v - self._root @ left @ right
        of_w = (w + w.mT) / 2
        return torch.cat((of_v, of_w), dim=1).flatten(1).norm(dim=1)

"""The eigenvalues of the field's Jacobian."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Complex128, Float64
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs
from torch import Tensor

from mmbench.core.domains import StepSize
from mmbench.metrics._jacobian import EXACT_DIM, finite_runs, scaling
from mmbench.metrics.base import Column, IterateMetric, Point

FOUND = 6  # eigenvalues of each kind in a large game
MAX_RESTARTS = 300
ROUNDING = 1e-12  # a real part of smaller size, relative to the imaginary one, is zero
NONE = complex(np.nan, np.nan)
ROUNDING_FACTOR = 1e3  # of Arnoldi's tolerance to the rounding of a product


@final
@dataclass(frozen=True, kw_only=True)
class Spectrum(IterateMetric):
    """Eigenvalues λ of ΛJ, which tell how gradient steps move near the iterate.

        J = DF(z),   Λ = diag(ηₓ, ηᵧ),   flow ż = −ΛF(z),   step z⁺ = z − ΛF(z)

    Four columns, which only describe. At a stationary point they tell:

        spectrum_min_real: min Re λ; the flow is stable where it is above 0
        spectrum_max_real: max Re λ, the fastest attraction
        spectrum_rotation: max |Im λ / Re λ|; 0 without rotation, infinite for a
                           rotation alone
        spectrum_radius:   max |1 − λ|; simultaneous steps are stable where it is
                           below 1, and it is then their rate

    J is exact up to 500 variables. In larger games Arnoldi iterations on products with
    J find six eigenvalues at each end, and `spectrum_rotation` is the largest of these,
    a lower bound; values are NaN where none was found. On games with data J is that of
    one minibatch for each run. Networks always have some λ = 0: those of variables on
    which no loss depends, such as padding.

    Args:
        step_size: Λ, a number or a pair (ηₓ, ηᵧ).
    """

    step_size: StepSize = 1.0

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (
            Column("spectrum_min_real", "smallest real part of λ", "neither"),
            Column("spectrum_max_real", "largest real part of λ", "neither"),
            Column("spectrum_rotation", "largest |Im λ / Re λ|", "neither", "log"),
            Column("spectrum_radius", "spectral radius of a step", "neither"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        scale = scaling(self.step_size, at.game.dim_x, at.game.dim_y)
        if at.game.dim <= EXACT_DIM:
            finite, scaled = finite_runs(scale[:, None] * at.jacobian)
            found = torch.linalg.eigvals(scaled)
            return _summarise(found.where(finite[:, None], NONE))
        by_seed = {}  # runs of one seed are equal, such as those that pad a batch
        for row, seed in enumerate(at.seeds):
            if seed not in by_seed:
                one = Point(at.game, at.z[row : row + 1], (seed,))
                by_seed[seed] = _summarise(arnoldi(one, scale))
        return {
            column.name: torch.cat([by_seed[seed][column.name] for seed in at.seeds])
            for column in self.columns
        }


def _summarise(found: Complex128[Tensor, "runs found"]) -> dict[str, Tensor]:
    """Return the values of each column, given eigenvalues."""
    real, imaginary = found.real.abs(), found.imag.abs()
    rotation = imaginary / real.where(real > ROUNDING * imaginary, 0.0)
    rotation = rotation.where(imaginary != 0, 0.0)
    return {
        "spectrum_min_real": found.real.amin(1),
        "spectrum_max_real": found.real.amax(1),
        "spectrum_rotation": rotation.amax(1),
        "spectrum_radius": (1 - found).abs().amax(1),
    }


def arnoldi(at: Point, scale: Float64[Tensor, " dim"]) -> Complex128[Tensor, "1 found"]:
    """Return the eigenvalues of ΛJ of one run that Arnoldi iterations find.

    They are those with the smallest and the largest real parts, those with the largest
    imaginary ones and those farthest from 1; a NaN where none was found.

    Args:
        at: one run.
        scale: the diagonal of Λ.
    """
    game, lin = at.game, at.linearisation

    def product(v: np.ndarray) -> np.ndarray:
        """Return J'Λv; J'Λ has the eigenvalues of ΛJ."""
        scaled = (scale * torch.from_numpy(v).view(1, -1)).to(at.z)
        parts = scaled.split((game.dim_x, game.dim_y), dim=1)
        made = torch.cat(lin.transposed(*parts), dim=1)
        return np.asarray(made[0].cpu().double().numpy())

    def find(which: str, matvec: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        shape = (game.dim, game.dim)
        try:
            return np.asarray(
                eigs(
                    LinearOperator(shape, matvec=matvec, dtype=np.float64),
                    k=FOUND,
                    which=which,
                    v0=start,
                    tol=ROUNDING_FACTOR * torch.finfo(game.dtype).eps,
                    maxiter=MAX_RESTARTS,
                    return_eigenvectors=False,
                )
            )
        except ArpackNoConvergence as error:
            return np.asarray(error.eigenvalues)

    start = at.oracle().normal(game.dim)[0].cpu().double().numpy()
    ends = [find(which, product) for which in ("SR", "LR", "LI")]
    found = np.concatenate((*ends, 1 - find("LM", lambda v: v - product(v))))
    return torch.from_numpy(found if len(found) else np.array([NONE]))[None]

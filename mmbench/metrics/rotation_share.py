"""The share of rotation in the field's Jacobian."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.domains import Count
from mmbench.core.literature import BALDUZZI_2018
from mmbench.metrics._jacobian import EXACT_DIM
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class RotationShare(IterateMetric):
    """Share of the Jacobian of the field that is antisymmetric, which rotates.

        ‖A‖² / ‖J‖²,   J = DF(z),   A = (J − Jᵀ)/2,   Frobenius norms

    The column `rotation_share` only describes: it is 0 in a potential game, whose field
    is a gradient, and 1 in a bilinear game; NaN where J is zero. It is exact up to 500
    variables. In larger games both squared norms are estimated by ‖Av‖² and ‖Jv‖² with
    random signs v, the same at each record. On games with data J is that of one
    minibatch for each run.

    Args:
        probes: number of vectors v in a large game.

    Source: Balduzzi, Racanière, Martens, Foerster, Tuyls and Graepel 2018, The
        Mechanics of n-Player Differentiable Games, for the parts of J; the estimate is
        that of Hutchinson 1989, A Stochastic Estimator of the Trace of the Influence
        Matrix for Laplacian Smoothing Splines.
    """

    sources = (BALDUZZI_2018,)

    probes: Count = 16

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (Column("rotation_share", "share of rotation in J", "neither"),)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        if at.game.dim > EXACT_DIM:
            return {"rotation_share": estimate_share(at, self.probes)}
        size = torch.linalg.matrix_norm(at.jacobian)
        turning = torch.linalg.matrix_norm(at.jacobian - at.jacobian.mT) / 2
        return {"rotation_share": (turning / size) ** 2}


def estimate_share(at: Point, probes: int) -> Float[Tensor, " runs"]:
    """Return an estimate of the share of each run, from products with random signs.

    It is between 0 and 1, for ‖J‖² is the sum of the squared norms of both parts.

    Args:
        at: iterates of all runs.
        probes: number of vectors.
    """
    oracle, lin = at.oracle(), at.linearisation
    symmetric = antisymmetric = torch.zeros(len(at.z), dtype=torch.float64)
    for _ in range(probes):
        signs = oracle.normal(at.game.dim).sign()
        parts = signs.split((at.game.dim_x, at.game.dim_y), dim=1)
        forth = torch.cat(lin.jacobian(*parts), dim=1).cpu().double()
        back = torch.cat(lin.transposed(*parts), dim=1).cpu().double()
        symmetric = symmetric + (forth + back).square().sum(1)
        antisymmetric = antisymmetric + (forth - back).square().sum(1)
    return antisymmetric / (symmetric + antisymmetric)

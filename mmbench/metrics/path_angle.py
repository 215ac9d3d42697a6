"""The angle between the field and the straight path from the start of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, final

import torch
from torch import Tensor

from mmbench.core.domains import Domain, Positive
from mmbench.core.literature import BERARD_2020
from mmbench.metrics.base import Column, IterateMetric, Point

CLEAR = 0.01  # a cosine of smaller size has no sign


@final
@dataclass(frozen=True, kw_only=True)
class PathAngle(IterateMetric):
    """Whether the iterate attracts along the path from the start, or rotates.

        c(α) = cos ∠(z − z₀, −F(z₀ + α (z − z₀))),   |α − 1| ≤ reach

    z₀ is the start of the run. The columns, which only describe, are `path_switch`, 1
    where c falls from positive to negative values over this range and otherwise 0, and
    `path_bump`, from 0 to 1: the largest |c| less that at the ends of the range. Near
    an attracting point c changes its sign at α = 1; near a centre of rotation |c| has a
    bump there; near a spiral there are both. They are NaN while z is z₀.

    F is without constraints. On games with data it is that of one minibatch for each
    run, the same along the path.

    Differs from the source: there both signs are read off a curve.

    Args:
        reach: largest |α − 1|.
        points: number of values of α; at an odd number 1 is one of them.

    Source: Berard, Gidel, Almahairi, Vincent and Lacoste-Julien 2020, A Closer Look at
        the Optimization Landscapes of Generative Adversarial Networks.
    """

    sources = (BERARD_2020,)

    reach: Positive = 0.2
    points: Annotated[int, Domain(low=3)] = 41

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (
            Column("path_switch", "path angle changes its sign", "neither"),
            Column("path_bump", "bump of the path angle", "neither"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        path = at.z - at.start
        ends = 1 - self.reach, 1 + self.reach
        shares = torch.linspace(*ends, self.points, dtype=torch.float64)
        cosines = []
        for share in shares.tolist():
            on_path = Point(at.game, at.start + share * path, at.seeds)
            product = -(path * on_path.field).sum(1)
            cosines.append(product / (path.norm(dim=1) * on_path.field.norm(dim=1)))
        before, *_, after = cosines
        size = torch.stack(cosines).abs()
        switch = ((before > CLEAR) & (after < -CLEAR)).to(before)
        largest = size.nan_to_num(nan=0.0).amax(0)  # F may be zero at one point
        return {
            "path_switch": switch.where(~(before * after).isnan(), torch.nan),
            "path_bump": largest - torch.maximum(size[0], size[-1]),
        }

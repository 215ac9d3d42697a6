"""The iterations of a method's inner solver."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from mmbench.core.counters import INNER_ITERATIONS, counters
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class InnerIterations(IterateMetric):
    """Number of iterations that a method's inner solver has made since the start.

    They are those of conjugate gradients, for instance, or steps of ascent that answer
    a proposal, in the fields `iterations` and `ascents` of the method's state and of
    those nested in it. The column `inner_iterations` only describes; it is a whole
    number, and 0 for methods that count none. As a count it grows with the steps: its
    growth from record to record, divided by that of the steps, is the number for each
    step.
    """

    reads_state = True

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (Column("inner_iterations", "inner iterations so far", "neither"),)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        total = torch.zeros_like(at.z[:, 0], dtype=torch.int64)
        for counted in counters(at.state, INNER_ITERATIONS):
            total = total + counted
        return {"inner_iterations": total}

"""The share of a method's proposals that it rejected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from mmbench.core.counters import parts_with
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class RejectedShare(IterateMetric):
    """Share of the steps since the start at which a method rejected its proposal.

    Steps that accept without a test count as accepted. The column `rejected_share`,
    from 0 to 1, only describes; it is 0 before the first step and for methods that
    reject nothing. It is read off the fields `rejected` and `time` of the method's
    state, or of a state nested in it.
    """

    reads_state = True

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (Column("rejected_share", "share of rejected proposals", "neither"),)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        rejected = made = torch.zeros_like(at.z[:, 0], dtype=torch.float64)
        for part in parts_with(at.state, "rejected"):
            rejected, made = rejected + part.rejected, made + part.time
        return {"rejected_share": rejected / made.clamp_min(1)}

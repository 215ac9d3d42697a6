"""`check_metric` finds each fault of a metric."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from mmbench.metrics.base import Column, IterateMetric
from mmbench.tasks import TASKS
from mmbench.testing import check_metric

BILINEAR = TASKS.build("bilinear")


@dataclass(frozen=True, kw_only=True)
class Mean(IterateMetric):
    """A metric that depends on the order of runs, or fills an undeclared column."""

    name: str = "mean"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the declared column."""
        return (Column("mean", "mean"),)

    def measure(self, at: Any) -> Any:
        """Return the index of each run."""
        index = torch.arange(len(at.z), dtype=at.z.dtype)
        return {self.name: index}


Mean.__doc__ = """A metric that depends on the order of runs.

Args:
    name: column that it fills.
"""


def test_wrong_metrics_are_caught() -> None:
    """The message names the order of runs, and the undeclared column."""
    with pytest.raises(AssertionError, match="must permute mean"):
        check_metric(Mean(), BILINEAR)
    with pytest.raises(AssertionError, match=r"must fill \['mean'\]"):
        check_metric(Mean(name="other"), BILINEAR)

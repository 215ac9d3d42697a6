"""Contract checks for algorithms, tasks and metrics, ours and external ones.

    from mmbench.testing import check_algorithm

    def test_mine():
        check_algorithm(Mine(k=3))

A check returns nothing if the contract holds. Otherwise it raises an AssertionError
with one sentence about what must hold and what was found.
"""

from mmbench.testing.algorithms import check_algorithm
from mmbench.testing.descriptions import check_description
from mmbench.testing.metrics import check_metric
from mmbench.testing.tasks import check_task

__all__ = [
    "check_algorithm",
    "check_description",
    "check_metric",
    "check_task",
]

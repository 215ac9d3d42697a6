"""Contract checks as functions: for our own tests, and for classes from outside.

    from mmbench.testing import check_algorithm

    check_algorithm(Mine(k=3))

Each raises an AssertionError whose sentence says what must hold and what did not.
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

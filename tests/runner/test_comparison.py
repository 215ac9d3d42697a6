"""The rule by which recomputed numbers agree with stored ones."""

import numpy as np
from edited_stores import small_grid

from mmbench.runner.comparison import TOLERANCE, Comparison
from mmbench.runner.plan import plan
from mmbench.suites.base import Suite


def test_the_rule_of_agreement() -> None:
    """Relative to the number, but for roundings of the largest one before it."""
    (cell,) = plan(Suite(name="x", grids=(small_grid(),)))
    agree = Comparison(cell, exact=False).agree
    t, e = TOLERANCE["float32"], float(np.finfo(np.float32).eps)
    then = np.array([1.0, 1.0, 1e-9, 1e-9, 0.0, np.nan, np.inf, np.inf, 3.0])
    now = np.array(
        [1 + 0.9 * t, 1 + 1.1 * t, 10 * e, 17 * e, 0.0, np.nan, np.inf, 1.0, np.nan]
    )
    expected = [True, False, True, False, True, True, True, False, False]
    assert agree(then, now).tolist() == expected
    assert agree(now, then).tolist() == expected
    # Roundings of a number that comes later are no excuse.
    assert agree([1e-9, 1.0], [10 * e, 1.0]).tolist() == [False, True]

"""Inner iterations against what the oracle has counted."""

import mmbench
from mmbench.algorithms import ALGORITHMS

GAME = "bilinear[dim=2,smallest=0.5]"


def test_iterations_explain_the_products() -> None:
    """Each step and each inner iteration make the products that the cost declares."""
    words = ("cgd[step_size=0.2]", "lookahead[base=cgd[step_size=0.2]]", "gda")
    frame = mmbench.run([GAME], words, ["inner_iterations"], seeds=2, steps=3)
    cost = ALGORITHMS.build(words[0]).cost
    for label, rows in frame.groupby("label"):
        made = rows["inner_iterations"]
        assert (made.max() > 0) == ("cgd" in str(label))
        if "cgd" in str(label):
            products = cost.hvps * rows["step"] + cost.hvps_per_iteration * made
            assert (rows["hvps"] == products).all()

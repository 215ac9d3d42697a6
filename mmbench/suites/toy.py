"""Toy: games with known solutions, for which theory predicts the results.

Methods are compared at equal cost.
"""

from mmbench.suites._nine_methods import nine_methods
from mmbench.suites.base import Grid, Suite

TOY = Suite(
    name="toy",
    title="Games with a known answer",
    grids=(
        Grid(
            tasks=(
                "bilinear",
                "bilinear[dim=10,smallest=0.2,spacing=log]",
                "dirac_gan",
                "dirac_gan[loss=wasserstein,clip=1]",
                "dirac_gan[r1=1]",
            ),
            algorithms=nine_methods("0.3", "plain", 5, "0.1", "0.3"),
            seeds=8,
            budget=2000,
        ),
        Grid(
            # It is not zero-sum, which the competitive methods need.
            tasks=("dirac_gan[loss=nonsaturating]",),
            algorithms=tuple(
                method
                for method in nine_methods("0.3", "plain", 5, "0.1", "0.3")
                if "CGD" not in method
            ),
            seeds=8,
            budget=2000,
        ),
    ),
)

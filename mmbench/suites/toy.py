"""Toy: games with known solutions, for which theory predicts the results.

Methods are compared at equal cost.
"""

from mmbench.suites._nine_methods import nine_methods
from mmbench.suites.base import Grid, Suite

# The step pairs of Schäfer, Zheng and Anandkumar 2020: at the first simultaneous steps
# converge, at the second they diverge slowly, at the third rapidly.
_PAIRS = ("(0.09,0.01)", "(0.03,0.03)", "(0.01,0.09)")

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
            seeds=64,
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
            seeds=64,
            budget=2000,
        ),
        Grid(
            tasks=("quadratic",),
            algorithms=tuple(
                f"{label} {pair} = {method}[step_size={pair}]"
                for pair in _PAIRS
                for label, method in (
                    ("GDA", "gda"),
                    ("alternating GDA", "alternating_gda"),
                    ("OMD", "omd"),
                    ("extragradient", "extragradient"),
                    ("CGD", "cgd"),
                )
            ),
            seeds=64,
            budget=1000,
        ),
        Grid(
            # Figure 3 of Mangoubi, Sachdeva and Vishnoi's blog.
            tasks=("bilinear[box=5]",),
            algorithms=(
                "GDA = gda[step_size=0.1]",
                "extragradient = extragradient[step_size=0.1]",
                "OMD = omd[step_size=0.1]",
                "accept-reject search = accept_reject_search",
            ),
            seeds=64,
            budget=800,
        ),
    ),
)

"""Fixed steps: games at the step sizes at which their sources show them.

Theory predicts what happens at these step sizes, so that nothing is tuned: this is a
suite of the default track, apart from `toy`, whose methods are tuned.
"""

from mmbench.suites.base import Grid, Suite

# The step pairs of Schäfer, Zheng and Anandkumar 2020: at the first simultaneous steps
# converge, at the second they diverge slowly, at the third rapidly.
_PAIRS = ("(0.09,0.01)", "(0.03,0.03)", "(0.01,0.09)")

FIXED_STEPS = Suite(
    name="fixed_steps",
    title="Games at the step sizes of their sources",
    grids=(
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

"""Quick: nine methods on five tasks, real images among them, in about a minute.

They are compared at equal cost, with step sizes that were chosen by hand.
"""

from mmbench.suites._nine_methods import nine_methods
from mmbench.suites.base import Grid, Suite

QUICK = Suite(
    name="quick",
    title="Nine methods on five tasks at equal cost, untuned",
    grids=(
        Grid(
            tasks=("bilinear",),
            algorithms=nine_methods("0.3", "plain", 5, "0.1", "0.3"),
            seeds=32,
            budget=1000,
        ),
        Grid(
            # At its solution, the curvature is half that of the bilinear game.
            tasks=("dirac_gan",),
            algorithms=nine_methods("0.6", "plain", 5, "0.1", "0.6"),
            seeds=32,
            budget=1000,
        ),
        Grid(
            # At this step size, simultaneous steps diverge slowly.
            tasks=("quadratic",),
            algorithms=nine_methods("0.03", "plain", 5, "0.03", "0.03"),
            seeds=32,
            budget=1000,
        ),
        Grid(
            tasks=("four_gaussians[hidden=32,noise=8,batch=64]",),
            algorithms=nine_methods("0.01", "adam[beta1=0.5]", 2, "0.01", "0.5"),
            metrics=(
                "mode_coverage[samples=1000]",
                "sliced_wasserstein[samples=1000]",
                "forgetting[of=modes]",
            ),
            seeds=16,
            budget=1500,
            records=15,
        ),
        Grid(
            # The competitive methods need a zero-sum game.
            tasks=("digits01[hidden=48,noise=8,batch=32,dropout=0.1,loss=saturating]",),
            algorithms=nine_methods("0.01", "adam[beta1=0.5]", 2, "0.01", "0.5"),
            metrics=("digit_coverage[samples=200]", "forgetting[of=digits]"),
            seeds=8,
            budget=1500,
            records=15,
        ),
    ),
)

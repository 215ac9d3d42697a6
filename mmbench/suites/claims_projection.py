"""Claims about the ICR projection: CGD, and cheaper methods that may do as much.

All steps are recorded, since a stay is counted in steps.
"""

from mmbench.suites._claims import FIRST_LOOK, FIRST_SEED
from mmbench.suites.base import Grid, Suite

METHODS = {
    "SimGD": "gda[step_size={}]",
    "CGD": "cgd[step_size={}]",
    "extragradient": "extragradient[step_size={}]",
    "consensus": "consensus[step_size={}]",
}


def _grid(game: str, *step_sizes: str, methods: tuple[str, ...] = ()) -> Grid:
    """Return methods on one game, paired by their starts."""
    return Grid(
        tasks=(f"icr_projection[{game}]",),
        algorithms=tuple(
            f"{name} {step_size} = {METHODS[name].format(step_size)}"
            for step_size in step_sizes
            for name in methods or METHODS
        ),
        metrics=(
            "generated_point",
            "stay[of=theta_1,at=2,within=0.02]",
            "stay[of=theta_1,at=2,within=0.05]",
        ),
        seeds=FIRST_LOOK,
        first_seed=FIRST_SEED,
        steps=6000,
        records=6000,
        dtype="float64",
    )


_TWO = ("SimGD", "CGD")

CLAIMS_PROJECTION = Suite(
    name="claims_projection",
    title="What prolongs the projection state",
    grids=(
        # The factors of the paper; it states neither step sizes nor the start.
        _grid("deviation=0.5", "0.1", "0.2"),
        _grid("deviation=0.5", "0.02", "0.3", methods=_TWO),
        _grid("deviation=1", "0.1", "0.2", methods=_TWO),
        # Equal factors, and those of the authors' blog.
        _grid("scaling=(1,1)", "0.1", "0.2", methods=_TWO),
        _grid("scaling=(100,1)", "0.02", "0.1", "0.2", methods=_TWO),
    ),
)

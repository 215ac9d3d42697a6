"""Claims about MNIST's zeros and ones: two methods, and a control without a test."""

from mmbench.suites._claims import FIRST_LOOK, FIRST_SEED
from mmbench.suites.base import Grid, Suite

# The step sizes and form of Adam in the authors' notebook.
_ADAM = "step_size=0.0002,direction=adam[beta1=0.5,epsilon=1e-7,epsilon_at=raw],k=1"
_TEXT = f"accept_reject[{_ADAM},reference=reestimate"
# Every fifth iteration is untested, and Adam's moments are not restored.
_NOTEBOOK = f"{_TEXT},acceptance=every[r=5],restore=players"


def _grid(*algorithms: str) -> Grid:
    """Return methods, measured at every 100th of 2000 iterations."""
    return Grid(
        tasks=("mnist01",),
        algorithms=algorithms,
        metrics=("digit_coverage", "forgetting[of=digits_any]", "rejected_share"),
        seeds=FIRST_LOOK,
        first_seed=FIRST_SEED,
        steps=2000,
        records=20,
    )


CLAIMS_MNIST01 = Suite(
    name="claims_mnist01",
    title="Whether accept-reject keeps both digits",
    grids=(
        _grid(f"GDA(1) = alternating_gda[{_ADAM}]", f"notebook = {_NOTEBOOK}]"),
        # The notebook accepted 656 of its 1600 tested proposals.
        _grid(f"notebook, at random = {_NOTEBOOK},chance=0.41]"),
        _grid(f"text = {_TEXT},acceptance=constant[p=0.2]]"),
    ),
)

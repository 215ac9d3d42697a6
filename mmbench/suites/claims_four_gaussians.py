"""Claims about four Gaussians: which ingredient of accept-reject keeps the modes.

Each ingredient by which the authors' text and notebook differ is changed alone, in both
directions, beside controls without a test and with a random one. The grids are in the
order of their importance.
"""

from mmbench.suites._claims import FIRST_LOOK, FIRST_SEED
from mmbench.suites.base import Grid, Suite

# The step sizes and form of Adam in the authors' notebook.
_ADAM = "step_size=(0.001,0.0001),direction=adam[beta1=0.5,epsilon_at=raw]"
_TEXT = f"accept_reject[{_ADAM},k=6"
_NOTEBOOK = f"{_TEXT},acceptance=every[r=4],rule=notebook"
_GDA_1 = f"GDA(1) = gda[{_ADAM}]"
_GDA_6 = f"GDA(6) = alternating_gda[{_ADAM},k=6,first=both]"


def _grid(*algorithms: str, game: str = "four_gaussians") -> Grid:
    """Return methods on the game, measured at every 50th of 1500 iterations."""
    return Grid(
        tasks=(game,),
        algorithms=algorithms,
        metrics=(
            "mode_coverage",
            "forgetting[of=modes]",
            "forgetting[of=modes_lenient]",
            "rejected_share",
        ),
        seeds=FIRST_LOOK,
        first_seed=FIRST_SEED,
        steps=1500,
        records=30,
    )


CLAIMS_FOUR_GAUSSIANS = Suite(
    name="claims_four_gaussians",
    title="Which ingredient of accept-reject keeps the modes of four Gaussians",
    grids=(
        _grid(_GDA_1, _GDA_6, f"text = {_TEXT}]", f"notebook = {_NOTEBOOK}]"),
        _grid(
            # The notebook accepted 559 of its 1125 tested proposals.
            f"notebook, at random = {_NOTEBOOK},chance=0.497]",
            f"notebook, accepts lower = {_NOTEBOOK},better=lower]",
            f"notebook, restores all = {_NOTEBOOK},restore=all]",
            f"notebook, keeps the reference = {_NOTEBOOK},overwrite=false]",
        ),
        _grid(
            _GDA_1,
            _GDA_6,
            f"text = {_TEXT}]",
            f"notebook = {_NOTEBOOK}]",
            game="four_gaussians[weights=uniform]",
        ),
        _grid(
            # The text's test rejected 73 % in a program of six runs.
            f"text, at random = {_TEXT},chance=0.27]",
            f"text, accepts higher = {_TEXT},better=higher]",
            f"text, restores x = {_TEXT},restore=x]",
            f"text, overwrites the reference = {_TEXT},overwrite=true]",
        ),
        _grid(f"unrolled(6) = unrolled[{_ADAM},k=6]"),
        # There is no published setting: Adam's ratio of step sizes, and equal ones.
        _grid("ACGD, ratio 10 = acgd[step_size=(0.001,0.0001)]"),
        _grid("ACGD, ratio 1 = acgd[step_size=0.001]"),
    ),
)

"""The settings of a run, declared once.

`Grid` and `Cell` inherit these fields. `plan` copies them from one to the other, a
suite.toml has them as keys, and the command line makes its options of them. A new
setting is a field here, its use in the engine, and an argument of `mmbench.run`.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from mmbench.core.cost import Unit
from mmbench.core.description import Description
from mmbench.core.domains import Budget, Records, Steps

Keep = Literal["none", "last", "all"]
KEEPING: tuple[Keep, ...] = get_args(Keep)  # from the fewest iterates to the most
# The most runs of a cell that a user may have computed side by side. It is no setting,
# since it is no part of a cell's description.
MAX_WIDTH = 4096


def setting(
    default: Any,
    meaning: str,
    *,
    identity: bool | Literal["unless default"] = True,
    option: bool = True,
) -> Any:
    """Return the dataclass field of a setting.

    Args:
        default: value where none is given.
        meaning: sentence that `--help` prints.
        identity: whether the setting is part of a cell's key; "unless default" for one
            that was added later, so that older keys stay valid.
        option: whether the command line has an option of this name.
    """
    metadata = {"meaning": meaning, "identity": identity, "option": option}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class RunSettings(Description):
    """The settings that all runs of a cell share.

    Args:
        steps: steps of each run; with a budget, the budget.
        budget: what each run may spend, in `unit`: a run goes on until its counted cost
            is as much, and is recorded at equal costs instead of equal steps; 0 for as
            many steps as `steps`.
        unit: what the budget is counted in.
        records: number of evenly spaced records of each run.
        dtype: type of all floats.
        precision: of products within a step: "exact" (as the dtype says), or on float32
            with 19 bits ("tf32", on GPUs that have it) or 16 ("bf16").
        inherit: which player starts where an earlier cell ended; the other starts as
            the task says.
        keep: iterates stored in the same folder as the table, to measure more of them
            later: none, those of the last record, or of all.
        keep_state: whether the state of the runs at their end is stored too, from which
            a cell with more steps goes on.
    """

    steps: Steps = setting(1000, "Steps of each run.")
    budget: Budget = setting(
        0, "Cost of each run, in place of steps.", identity="unless default"
    )
    unit: Unit = setting(
        "gradient-equivalents",
        "What the budget is counted in.",
        identity="unless default",
    )
    records: Records = setting(40, "Evenly spaced records of each run.")
    dtype: Literal["float32", "float64"] = setting("float32", "Type of all floats.")
    precision: Literal["exact", "tf32", "bf16"] = setting(
        "exact", "Precision of products within a step.", identity="unless default"
    )
    inherit: Literal["both", "x", "y"] = setting(
        "both",
        "Player that starts where an earlier cell ended.",
        identity="unless default",
        option=False,
    )
    keep: Keep = setting(
        "none", "Iterates to store, so that more can be measured later.", identity=False
    )
    keep_state: bool = setting(
        False, "Store the state at the end, to go on with more steps.", identity=False
    )

    def settings(self) -> dict[str, Any]:
        """Return the settings by name, from which another description can be made."""
        found = {one.name: getattr(self, one.name) for one in fields(RunSettings)}
        return found | ({"steps": self.budget} if self.budget else {})

"""Suites: grids of tasks and algorithms to compare, as data."""

from dataclasses import Field, dataclass, field, fields

from mmbench.core.description import Description
from mmbench.core.domains import Runs, Seed
from mmbench.core.errors import DescriptionError
from mmbench.core.run_settings import RunSettings, setting


@dataclass(frozen=True, kw_only=True)
class Grid(RunSettings):
    """One full cross product of tasks and algorithms, run with the same settings.

    Tasks, algorithms and metrics are given as specs (`"cgd[step_size=0.2]"`), as on the
    command line and in a suite.toml, which `plan` turns into descriptions; or as
    descriptions. The other settings are those of `RunSettings`.

    Args:
        tasks: spec of each.
        algorithms: spec of each, after a label and "=" where the label is not the
            spec itself: `"GDA = gda[step_size=0.1]"`. One label in several grids
            is one row of a leaderboard.
        metrics: spec of each; empty means each task's own.
        seeds: number of runs of each cell.
        first_seed: the least seed.
        after: label of a cell of an earlier grid at whose end the runs start, seed by
            seed: of the same task, or of one whose players are as long.
    """

    tasks: tuple[str | Description, ...]
    algorithms: tuple[str | Description, ...]
    metrics: tuple[str | Description, ...] = ()
    seeds: Runs = setting(32, "Number of runs of each cell.")
    first_seed: Seed = setting(0, "The least seed.")
    after: str = setting(
        "",
        "Label of the cell at whose end the runs start.",
        identity="unless default",
        option=False,
    )

    def check(self) -> None:
        """Raise `DescriptionError` when fields do not fit each other."""
        for name in ("tasks", "algorithms"):
            if not getattr(self, name):
                raise DescriptionError(f"Grid.{name} must name at least one; got none.")
        if self.inherit != "both" and not self.after:
            raise DescriptionError(
                f"Grid.inherit must be 'both' without Grid.after; got {self.inherit!r}."
            )


def grid_fields() -> list[Field]:
    """Return the fields of a grid: first its own, then the settings of its runs."""
    shared = {one.name for one in fields(RunSettings)}
    return sorted(fields(Grid), key=lambda one: one.name in shared)


@dataclass(frozen=True, kw_only=True)
class Suite(Description):
    """A named set of grids.

    Args:
        name: name in file names and titles.
        title: one line for the report.
        grids: grids of tasks and algorithms.
    """

    name: str
    title: str = ""
    grids: tuple[Grid, ...] = field(default=())

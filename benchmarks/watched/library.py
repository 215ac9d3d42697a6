"""What the benchmarks use of mmbench, at this commit and at older ones.

asv runs these files with each commit that it measures. Names that older commits have in
other modules are imported here and nowhere else, so that a comparison can cross a move.
"""

# ruff: noqa: F401  # imported for the other files

from contextlib import suppress
from typing import Any

from mmbench.algorithms import ALGORITHMS
from mmbench.core.capability import Capability
from mmbench.core.description import field_types, text
from mmbench.core.errors import MisfitError
from mmbench.core.status import Status
from mmbench.suites import SUITES
from mmbench.suites.base import Grid, Suite
from mmbench.tasks import TASKS
from mmbench.tasks._digit_gan import DIGITS
from mmbench.tasks.base import Task

try:
    from mmbench.analysis import stats
    from mmbench.analysis.leaderboard import Entry, cell_entries
    from mmbench.analysis.report.page import write_report
    from mmbench.analysis.results import Results, gather
    from mmbench.core.placement import Placement
    from mmbench.engine.cell import Cell
    from mmbench.engine.run_cell import run_cell
    from mmbench.runner.execute import execute
    from mmbench.runner.plan import plan
    from mmbench.store.folder import Store
    from mmbench.tasks._data_files import DATA_VARIABLE

    ON_RESULT, COST_TO_TARGET = "on_result", "cost_to_target"
except ImportError:  # 0.1.0
    from mmbench.core.place import Place as Placement
    from mmbench.execute import execute
    from mmbench.frame import Results, gather, tidy
    from mmbench.leaderboard import Entry
    from mmbench.leaderboard import entries as cell_entries
    from mmbench.plan import Cell, plan
    from mmbench.report.page import write_report
    from mmbench.tasks._published import DATA_VARIABLE

    from mmbench import stats
    from mmbench.engine import run_cell
    from mmbench.store import Store

    ON_RESULT, COST_TO_TARGET = "fresh", "to_target"

try:
    from mmbench.analysis.results import collected
except ImportError:  # before a table in memory had its arrays
    with suppress(ImportError):
        from mmbench.analysis.results import tidy
else:

    def tidy(results: Any) -> Any:
        """Return the tidy table of cells in memory."""
        return collected(results).frame


try:
    import mmbench.analysis.parameters
except ImportError:  # before tables had the parameters of every method

    def table_of(cell: Cell, result: object) -> object:
        """Return the tidy table of one cell."""
        return tidy({cell.key: result.frame})

else:

    def table_of(cell: Cell, result: object) -> object:
        """Return the tidy table of one cell."""
        return tidy({cell.key: result})


def compute_entry(cell: Cell) -> Entry:
    """Return the leaderboard entry of a cell, computed.

    Raises:
        RuntimeError: when an error ended the cell.
    """
    results: list = []
    execute([cell], None, **{ON_RESULT: lambda _, result: results.append(result)})
    (result,) = results
    if (result.frame["status"] == Status.ERROR).any():
        raise RuntimeError(result.frame["reason"].iloc[0])
    gathered = Results(
        table_of(cell, result), {cell.key: result.footer}, Store("unused")
    )
    (entry,) = cell_entries(gathered, text(cell.task))
    return entry


def cost_to_target(entry: Entry) -> float:
    """Return what the median run of an entry was charged when it reached the target."""
    return float(stats.median(getattr(entry, COST_TO_TARGET)))

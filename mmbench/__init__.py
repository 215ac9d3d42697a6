"""mmbench: a benchmark harness for min-max algorithms.

The flow of one run: a `Suite` names grids of tasks and algorithms (`suites`); `plan`
crosses them into cells, each with a key; `engine.run_cell` computes all runs of a cell
as one batch; `execute` does so for the cells that a `store` lacks; `frame` makes one
tidy table of what is stored; `report` turns it into a page.

    import mmbench

    frame = mmbench.run(tasks=["bilinear"], algorithms=["gda", "extragradient"])

Names are loaded on first use, so that `import mmbench` is light.
"""

import importlib
from typing import Any

__all__ = [
    "Adam",
    "Algorithm",
    "Cost",
    "Game",
    "Metric",
    "Oracle",
    "Plain",
    "RMSProp",
    "Source",
    "Task",
    "load",
    "run",
]

_HOMES = {
    "Adam": "mmbench.algorithms._directions",
    "Algorithm": "mmbench.algorithms.base",
    "Cost": "mmbench.core.cost",
    "Game": "mmbench.core.game",
    "Metric": "mmbench.metrics.base",
    "Oracle": "mmbench.core.oracle",
    "Plain": "mmbench.algorithms._directions",
    "RMSProp": "mmbench.algorithms._directions",
    "Source": "mmbench.core.source",
    "Task": "mmbench.tasks.base",
    "load": "mmbench.analysis.results",
    "run": "mmbench.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mmbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""mmbench: a benchmark harness for min-max algorithms.

The flow of one run: a `Suite` names grids of tasks and algorithms (`suites`); the
`runner` crosses them into cells, each with a key, and computes those that the `store`
lacks; the `engine` computes all runs of a cell as one batch; the `analysis` makes one
tidy table of what is stored, and a report of the table.

    import mmbench

    frame = mmbench.run(tasks=["bilinear"], algorithms=["gda", "extragradient"])

Names are imported on first use, so that `import mmbench` is fast.
"""

from typing import TYPE_CHECKING

from mmbench.core.lazy import lazy_names

# For type checkers and editors; nothing is imported before it is used.
if TYPE_CHECKING:
    from mmbench import algorithms as algorithms
    from mmbench import metrics as metrics
    from mmbench import optim as optim
    from mmbench import suites as suites
    from mmbench import tasks as tasks
    from mmbench import testing as testing
    from mmbench.algorithms._directions import Adam as Adam
    from mmbench.algorithms._directions import Plain as Plain
    from mmbench.algorithms._directions import RMSProp as RMSProp
    from mmbench.algorithms._torch_optimisers import torch_algorithm as torch_algorithm
    from mmbench.algorithms.base import Algorithm as Algorithm
    from mmbench.analysis import plot as plot
    from mmbench.analysis.leaderboard import leaderboard as leaderboard
    from mmbench.analysis.results import load as load
    from mmbench.api import run as run
    from mmbench.core.capability import Capability as Capability
    from mmbench.core.cost import Cost as Cost
    from mmbench.core.game import Game as Game
    from mmbench.core.oracle import Oracle as Oracle
    from mmbench.core.placement import Placement as Placement
    from mmbench.core.priors import Choice as Choice
    from mmbench.core.priors import LogUniform as LogUniform
    from mmbench.core.source import Source as Source
    from mmbench.engine.step_size_map import step_map as step_map
    from mmbench.metrics.base import Column as Column
    from mmbench.metrics.base import IterateMetric as IterateMetric
    from mmbench.metrics.base import Metric as Metric
    from mmbench.metrics.base import Point as Point
    from mmbench.metrics.base import TrajectoryMetric as TrajectoryMetric
    from mmbench.own import game as game
    from mmbench.own import torch_task as torch_task
    from mmbench.suites.base import Grid as Grid
    from mmbench.suites.base import Suite as Suite
    from mmbench.tasks.base import Target as Target
    from mmbench.tasks.base import Task as Task

_NAMES = (
    "mmbench.algorithms._directions:Adam",
    "mmbench.algorithms.base:Algorithm",
    "mmbench.core.capability:Capability",
    "mmbench.metrics.base:Column",
    "mmbench.core.cost:Cost",
    "mmbench.core.game:Game",
    "mmbench.suites.base:Grid",
    "mmbench.metrics.base:IterateMetric",
    "mmbench.metrics.base:Metric",
    "mmbench.core.oracle:Oracle",
    "mmbench.core.placement:Placement",
    "mmbench.core.priors:Choice",
    "mmbench.core.priors:LogUniform",
    "mmbench.algorithms._directions:Plain",
    "mmbench.metrics.base:Point",
    "mmbench.algorithms._directions:RMSProp",
    "mmbench.algorithms._torch_optimisers:torch_algorithm",
    "mmbench.core.source:Source",
    "mmbench.suites.base:Suite",
    "mmbench.tasks.base:Target",
    "mmbench.tasks.base:Task",
    "mmbench.metrics.base:TrajectoryMetric",
    "mmbench.analysis.leaderboard:leaderboard",
    "mmbench.analysis.results:load",
    "mmbench.analysis.plot",
    "mmbench.api:run",
    "mmbench.own:game",
    "mmbench.own:torch_task",
    "mmbench.engine.step_size_map:step_map",
    "mmbench.algorithms",
    "mmbench.metrics",
    "mmbench.optim",
    "mmbench.suites",
    "mmbench.tasks",
    "mmbench.testing",
)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)

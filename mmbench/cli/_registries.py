"""The families of names, as the command line calls them."""

from collections.abc import Iterator

from mmbench.algorithms import ACCEPTANCES, ALGORITHMS, DIRECTIONS
from mmbench.core.registry import Registry
from mmbench.metrics import METRICS
from mmbench.suites import SUITES
from mmbench.tasks import TASKS

FAMILIES: dict[str, Registry] = {
    "tasks": TASKS,
    "algorithms": ALGORITHMS,
    "directions": DIRECTIONS,
    "acceptances": ACCEPTANCES,
    "metrics": METRICS,
    "suites": SUITES,
}


def summaries(family: str) -> Iterator[tuple[str, str]]:
    """Name and one line of each member; neither torch nor a game is loaded."""
    registry = FAMILIES[family]
    for name in registry:
        # A suite is an object without a docstring, and light to import.
        line = SUITES[name].title if registry is SUITES else registry.summary(name)
        yield name, line

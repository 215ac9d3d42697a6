"""The registries by the names that the command line has for them."""

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
    """Yield the name and summary of each member without importing torch."""
    registry = FAMILIES[family]
    for name in registry:
        # A suite is an object without a docstring, and its module imports no torch.
        summary = SUITES[name].title if registry is SUITES else registry.summary(name)
        yield name, summary

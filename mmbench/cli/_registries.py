"""The families of names, as the command line calls them."""

from collections.abc import Iterator
from typing import Any

from mmbench.algorithms import ACCEPTANCES, ALGORITHMS, DIRECTIONS
from mmbench.core.registry import LazyMapping, Registry
from mmbench.metrics import METRICS
from mmbench.suites import SUITES
from mmbench.tasks import TASKS

FAMILIES: dict[str, LazyMapping[Any]] = {
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
        if isinstance(registry, Registry):
            yield name, registry.summary(name)
        else:  # a suite is an object without a docstring, and quick to import
            yield name, registry[name].title

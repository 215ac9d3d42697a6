"""The registries by the names that the command line has for them."""

from collections.abc import Iterator
from typing import Any

from mmbench.algorithms import ACCEPTANCES, ALGORITHMS, DIRECTIONS, SCHEDULES
from mmbench.core.registry import LazyMapping, Registry
from mmbench.metrics import METRICS
from mmbench.suites import SUITES
from mmbench.tasks import TASKS

FAMILIES: dict[str, LazyMapping[Any]] = {
    "tasks": TASKS,
    "algorithms": ALGORITHMS,
    "directions": DIRECTIONS,
    "acceptances": ACCEPTANCES,
    "schedules": SCHEDULES,
    "metrics": METRICS,
    "suites": SUITES,
}


def summaries(family: str) -> Iterator[tuple[str, str]]:
    """Yield the name and summary of each member without importing torch."""
    registry = FAMILIES[family]
    for name in registry:
        if isinstance(registry, Registry):
            yield name, registry.summary(name)
        else:  # a suite is an object without a docstring, and quick to import
            yield name, registry[name].title

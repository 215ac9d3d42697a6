"""What every description must keep."""

import pickle
from dataclasses import replace

from mmbench.core.description import Description, digest
from mmbench.testing.tools import must


def check_description(description: Description) -> None:
    """Frozen, hashable, picklable, with one digest.

    Args:
        description: an algorithm, a task or a metric.
    """
    cls = type(description)
    frozen = cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    must(frozen, f"{cls.__name__} must be frozen; decorate it with frozen=True")
    must(hash(description) == hash(replace(description)), f"{description} must hash")
    try:
        copy = pickle.loads(pickle.dumps(description))  # noqa: S301  # our own bytes
    except (pickle.PicklingError, AttributeError) as error:
        raise AssertionError(
            f"{description} must be picklable; {error}. Define it in a module."
        ) from error
    must(copy == description, f"{description} must equal its pickled copy")
    must(digest(copy) == digest(description), f"{description} must keep its digest")
    must(cls.version >= 1, f"{description} must have a version of at least 1")

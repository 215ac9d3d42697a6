"""The contract of every description."""

import pickle
from dataclasses import replace

from mmbench.core.description import Description, digest
from mmbench.core.errors import DescriptionError
from mmbench.engine.declarations import check_declarations
from mmbench.testing.tools import require


def check_description(description: Description) -> None:
    """Check that a description is frozen, hashable and picklable, and has one digest.

    Its declared properties are checked as before a run.

    Args:
        description: an algorithm, a task or a metric.

    Raises:
        AssertionError: one sentence about what does not hold.
    """
    cls = type(description)
    frozen = cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    require(frozen, f"{cls.__name__} must be frozen; decorate it with frozen=True")
    require(hash(description) == hash(replace(description)), f"{description} must hash")
    try:
        copy = pickle.loads(pickle.dumps(description))  # noqa: S301  # our own bytes
    except (pickle.PicklingError, AttributeError) as error:
        raise AssertionError(
            f"{description} must be picklable; {error}. Define it in a module."
        ) from error
    require(copy == description, f"{description} must equal its pickled copy")
    require(digest(copy) == digest(description), f"{description} must keep its digest")
    require(cls.version >= 1, f"{description} must have a version of at least 1")
    try:
        check_declarations(description)
    except DescriptionError as error:
        raise AssertionError(str(error)) from error

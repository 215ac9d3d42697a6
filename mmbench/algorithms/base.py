"""The base class of algorithms: `init` and `step` on flat vectors of all runs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.description import Description, field_types, fit, nested
from mmbench.core.errors import MisfitError
from mmbench.core.oracle import Oracle, Size
from mmbench.core.priors import GRADIENT_STEPS, STEP_SIZES, LogUniform, SearchSpace
from mmbench.core.source import Source

Iterate = Float[Tensor, "runs dim"]
State = Any


def needs_of(*values: Any) -> frozenset[Capability]:
    """Return the capabilities that descriptions need, with all those in their fields.

    Args:
        values: algorithms, metrics or values of their fields.
    """
    needs: frozenset[Capability] = frozenset()
    for part in nested(values):
        needs |= getattr(part, "needs", frozenset())
    return needs


@dataclass(frozen=True, kw_only=True)
class Algorithm(Description, ABC):
    """An algorithm: frozen hyperparameters, and one update of all runs at once.

    A new algorithm must define `step` and `cost`, and `init` if it has state. A state
    is a NamedTuple of tensors with a leading `runs` axis, or nested tuples of such; the
    empty tuple means no state. The engine restores z and the state of the runs that
    have ended after each step. A method whose result is not its iterate, such as their
    average, defines `answer`.

    Attributes:
        version: raised when the numbers of a trajectory change.
        source: publication of the method; every built-in one states it.
        cost: oracle calls of one step, which must agree with the oracle's count.
        step_prior: prior of both step sizes when the method is tuned, where it has no
            direction; see `search_space`.
        tuned: the priors of fields that are tuned besides the step sizes, at most two.
    """

    source: ClassVar[Source | None] = None
    step_prior: ClassVar[LogUniform] = GRADIENT_STEPS
    tuned: ClassVar[SearchSpace] = {}

    @property
    def needs(self) -> frozenset[Capability]:
        """The capabilities of a game that this algorithm, or one in its fields, needs.

        A subclass may state others; what its fields need is asked for in any case.
        """
        return needs_of(*(getattr(self, field.name) for field in fields(self)))

    @property
    @abstractmethod
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""

    @property
    def search_space(self) -> SearchSpace:
        """The hyperparameters that are tuned, at most four, each with its prior.

        `step_size_x` and `step_size_y` are the entries of a field `step_size` that may
        be a pair; other names are those of fields. The prior of a step size is in the
        units of the player's direction. A method without a field `step_size` and
        without `tuned` has nothing to tune, and runs as it is.
        """
        if "step_size" not in field_types(type(self)):
            return dict(self.tuned)
        direction = getattr(self, "direction", None)
        pair = direction if isinstance(direction, tuple) else (direction, direction)
        priors = [getattr(one, "step_prior", self.step_prior) for one in pair]
        names = STEP_SIZES if self._has_pair else ("step_size",)
        return dict(zip(names, priors, strict=False)) | dict(self.tuned)

    def with_hyperparameters(self, values: Mapping[str, Any]) -> "Algorithm":
        """Return this method with other hyperparameters.

        Args:
            values: value of each, by its name in `search_space`.
        """
        given = dict(values)
        sizes = tuple(given.pop(name) for name in STEP_SIZES if name in given)
        return replace(self, **({"step_size": sizes} if sizes else {}), **given)

    def with_step_sizes(self, at_x: Size, at_y: Size) -> "Algorithm":
        """Return this method with other step sizes.

        Args:
            at_x: step size of x: a number, or a column (runs, 1), one for each run.
            at_y: step size of y, as of x.

        Raises:
            MisfitError: when it has no `step_size`, or one for both players alone.
        """
        if getattr(self, "step_size", None) is None:
            raise MisfitError(f"{self} must have a step_size; it has none.")
        if not self._has_pair:
            raise MisfitError(
                f"{type(self).__name__}.step_size must allow a pair (x, y); it is one "
                "number."
            )
        return self._with_step_size((at_x, at_y))

    def with_scaled_steps(self, factor: Size) -> "Algorithm":
        """Return this method, which has a `step_size`, with its multiple.

        Args:
            factor: a number, or a column (runs, 1), one for each run.
        """
        size: Any = vars(self)["step_size"]
        if not self._has_pair:
            return self._with_step_size(factor * size)
        at_x, at_y = size if isinstance(size, tuple) else (size, size)
        return self._with_step_size((factor * at_x, factor * at_y))

    @property
    def _has_pair(self) -> bool:
        """Whether the step size may be a pair (x, y)."""
        return fit((0.1, 0.1), field_types(type(self))["step_size"])[1]

    def _with_step_size(self, step_size: Any) -> "Algorithm":
        other = object.__new__(type(self))  # columns are no values of a field
        vars(other).update(vars(self) | {"step_size": step_size})
        return other

    def init(self, oracle: Oracle, z: Iterate) -> State:
        """Return the state before the first step; by default there is none.

        Args:
            oracle: oracle of the game; a question asked here is charged as well.
            z: first iterates.
        """
        return ()

    @abstractmethod
    def step(self, oracle: Oracle, z: Iterate, state: State) -> tuple[Iterate, State]:
        """Make one step of every run.

        The engine has drawn a minibatch for it, and records no gradients of its own.

        Args:
            oracle: oracle of the game.
            z: current iterates, which must not be written to.
            state: current state.

        Returns:
            New iterates and new state, of the same shapes and dtypes.
        """

    def answer(self, z: Iterate, state: State) -> Iterate:
        """Return what the method gives as its result, by default the iterates.

        It is what metrics measure. Runs go on from z, which is also what is kept and
        what the next cell of a chain starts from.

        Args:
            z: current iterates.
            state: current state.

        Returns:
            One allowed point for each run, of the shape and dtype of z.
        """
        return z

    def done(self, state: State) -> Bool[Tensor, " runs"] | None:
        """Return which runs the method has stopped; None if it never stops any."""
        return None

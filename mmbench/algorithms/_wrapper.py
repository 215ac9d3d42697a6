"""Methods that wrap any other method."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.algorithms.gda import GDA
from mmbench.core.cost import Cost
from mmbench.core.oracle import Size
from mmbench.core.priors import MOST_HYPERPARAMETERS, STEP_SIZES, SearchSpace
from mmbench.core.vectors import Vector


@dataclass(frozen=True, kw_only=True)
class Wrapper(Algorithm):
    """A method around a base method, whose step it makes and whose cost it has.

    It adds no field to the description but `base`, which may be a wrapper as well. A
    new wrapper must define `init` and `step`; its state is a NamedTuple with the state
    of the base method in a field `base`.

    Attributes:
        base: the method whose steps are made.
    """

    base: Algorithm = GDA()

    @property
    def step_size(self) -> Any:
        """The step size of the base method."""
        return getattr(self.base, "step_size", None)

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes: those of the base method."""
        return self.base.cost

    @property
    def search_space(self) -> SearchSpace:
        """That of the base method, then its own, as far as they are four.

        Fields of the base method have names such as `base.k`.
        """
        of_base = self.base.search_space
        space = {_name_in_base(name): prior for name, prior in of_base.items()}
        return dict(list((space | dict(self.tuned)).items())[:MOST_HYPERPARAMETERS])

    def with_hyperparameters(self, values: Mapping[str, Any]) -> Algorithm:
        """Return this wrapper with other hyperparameters, of the base or its own."""
        of_base = {
            name: values[outer]
            for name in self.base.search_space
            if (outer := _name_in_base(name)) in values
        }
        passed = set(map(_name_in_base, of_base))
        own = {name: value for name, value in values.items() if name not in passed}
        return replace(self, base=self.base.with_hyperparameters(of_base), **own)

    def with_step_sizes(self, at_x: Size, at_y: Size) -> Algorithm:
        """Return this wrapper around the base method with other step sizes."""
        return self._around(self.base.with_step_sizes(at_x, at_y))

    def with_scaled_steps(self, factor: Size) -> Algorithm:
        """Return this wrapper around the base method with multiplied step sizes."""
        return self._around(self.base.with_scaled_steps(factor))

    def _around(self, base: Algorithm) -> Algorithm:
        other = object.__new__(type(self))  # columns are no values of a field
        vars(other).update(vars(self) | {"base": base})
        return other

    def answer(self, z: Iterate, state: Any) -> Iterate:
        """Return what the base method gives as its result."""
        return self.base.answer(z, state.base)

    def done(self, state: Any) -> Bool[Tensor, " runs"] | None:
        """Return which runs the base method has stopped."""
        return self.base.done(state.base)


def _name_in_base(name: str) -> str:
    """Return the name that a hyperparameter of a base method has in its wrapper."""
    return name if name in (*STEP_SIZES, "step_size") else f"base.{name}"


def count_from_zero(z: Vector) -> Float[Tensor, "runs 1"]:
    """Return a count of steps for each run, as numbers that can be multiplied."""
    return torch.zeros_like(z[:, :1])

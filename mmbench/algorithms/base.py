"""Algorithm: the description of a method, with `init` and `step` on flat vectors."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.description import Description
from mmbench.core.oracle import Oracle
from mmbench.core.source import Source

Iterate = Float[Tensor, "runs dim"]
State = Any


@dataclass(frozen=True, kw_only=True)
class Algorithm(Description, ABC):
    """A method: frozen hyperparameters, and an update of all runs at once.

    A state is a NamedTuple of tensors with a leading `runs` axis (tuples of such may
    nest; the empty tuple is no state). The engine keeps the old rows of z and state
    for runs that have ended.

    Attributes:
        version: raised when the numbers of a trajectory change.
        source: where the method comes from; every built-in one states it.
        needs: what it asks of a game.
        cost: of one step, given the hyperparameters; the oracle's count must agree.
    """

    source: ClassVar[Source | None] = None
    needs: ClassVar[frozenset[Capability]] = frozenset()

    @property
    @abstractmethod
    def cost(self) -> Cost:
        """What one step uses."""

    def init(self, oracle: Oracle, z: Iterate) -> State:
        """The state before the first step; none unless a method says otherwise."""
        return ()

    @abstractmethod
    def step(self, oracle: Oracle, z: Iterate, state: State) -> tuple[Iterate, State]:
        """One step of every run.

        The engine has drawn a minibatch; it calls this without recording gradients of
        its own.
        """

    def done(self, state: State) -> Bool[Tensor, "runs"] | None:
        """Runs that the method itself has stopped; None when it never does."""
        return None

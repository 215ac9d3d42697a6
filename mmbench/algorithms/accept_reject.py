"""Accept-reject: f, after the opponent's answer, decides if a proposal is kept."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmbench.algorithms._acceptance import Acceptance, Constant
from mmbench.algorithms._directions import (
    Directions,
    Plain,
    init_players,
    move,
)
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.description import UNLESS_DEFAULT
from mmbench.core.domains import Count, Fraction, StepSize
from mmbench.core.errors import DescriptionError
from mmbench.core.literature import MANGOUBI_2020
from mmbench.core.oracle import Oracle
from mmbench.core.priors import Choice, SearchSpace
from mmbench.core.vectors import keep


class AcceptRejectState(NamedTuple):
    """The state of accept-reject.

    Args:
        moments: moments of each player's direction.
        reference: value with which f of a proposal is compared.
        time: number of steps.
        rejected: number of rejected proposals.
    """

    moments: Any
    reference: Float[Tensor, " runs"]
    time: Int[Tensor, " runs"]
    rejected: Int[Tensor, " runs"]


@final
@dataclass(frozen=True, kw_only=True)
class AcceptReject(Algorithm):
    """Accept-reject: keep a proposal of x if f falls after y has answered it.

        x' = x − η d(∇ₓ loss_x(x, y)),   y' = k steps of y against x'
        (x, y)⁺ = (x', y') if f(x', y') < reference, else (x, y);
        at some steps (x', y') without this test

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of gradient.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).
        k: number of steps of y that answer a proposal, each on a fresh minibatch.
        acceptance: rule for the steps at which a proposal is accepted untested.
        rule: "text" is the method as published: f is taken at the final pair, on one
            fresh minibatch and without dropout, and a rejection restores x, y and the
            moments of both. "notebook" is what the authors' four-Gaussian notebook
            does: y's first step is simultaneous with x's; f is taken from y's last
            gradient, before the step; a proposal is rejected when f *fell*; only x is
            restored, and neither y nor moments; and the reference is always the value
            of the step before.
        reference: reference of the text rule: "keep" the value of the last accepted
            pair, or "reestimate" it at (x, y) before each test, on a minibatch of its
            own, as the authors' image notebooks do.
        better: whether a tested proposal is accepted when f is "lower" than the
            reference (the text), or when it is not lower, "higher" (the notebook).
        restore: what a rejection restores: "all" (the text), both "players" but not
            the moments (the authors' image notebooks), or "x" alone (the notebook).
        overwrite: whether the value of a rejected proposal becomes the reference too
            (the notebook).
        chance: probability with which a tested proposal is accepted at random, in place
            of comparing f: a control.

    `better`, `restore` and `overwrite` are those of the rule where they are left out;
    given, each changes one ingredient of the rule and nothing else.

    State: moments of each player's direction, reference, number of steps and of
        rejections.
    Cost: 1 gradient of x and k of y for each step, and by the text rule 1 value (2 when
        the reference is re-estimated).
    Source: Mangoubi, Sachdeva and Vishnoi 2020.
    """

    step_size: StepSize = 0.1
    direction: Directions = Plain()
    k: Count = 6  # of the authors' four-Gaussian experiment
    acceptance: Acceptance = Constant()
    rule: Literal["text", "notebook"] = "text"
    reference: Literal["keep", "reestimate"] = "keep"
    better: Literal["lower", "higher"] | None = field(
        default=None, metadata=UNLESS_DEFAULT
    )
    restore: Literal["all", "players", "x"] | None = field(
        default=None, metadata=UNLESS_DEFAULT
    )
    overwrite: bool | None = field(default=None, metadata=UNLESS_DEFAULT)
    chance: Fraction | None = field(default=None, metadata=UNLESS_DEFAULT)

    source = MANGOUBI_2020
    tuned: ClassVar[SearchSpace] = {
        "k": Choice(
            (1, 2, 5, 10),
            "From one answer to a proposal to ten; the authors have 1 to 6.",
        )
    }

    def check(self) -> None:
        """Raise `DescriptionError` when fields do not fit each other."""
        if self.rule == "notebook" and self.reference != "keep":
            raise DescriptionError(
                "AcceptReject.reference must be left out with rule=notebook, which "
                f"takes no value at (x, y); got {self.reference!r}."
            )
        if self.chance is not None and self.better is not None:
            raise DescriptionError(
                "AcceptReject.better must be left out with a chance, by which no value "
                f"is compared; got {self.better!r}."
            )
        if self.reference == "reestimate" and self.overwrite is not None:
            raise DescriptionError(
                "AcceptReject.overwrite must be left out with reference=reestimate, "
                f"which keeps no value; got {self.overwrite!r}."
            )

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        if self.rule == "notebook":
            return Cost(grad_x=1, grad_y=self.k, minibatches=self.k)
        tests = 2 if self.reference == "reestimate" else 1
        return Cost(
            grad_x=1, grad_y=self.k, values=tests, minibatches=1 + self.k + tests
        )

    def init(self, oracle: Oracle, z: Iterate) -> AcceptRejectState:
        """Return a state whose reference any first proposal passes."""
        none = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        worst = -torch.inf if self._accepts_higher else torch.inf
        return AcceptRejectState(
            init_players(self.direction, oracle, z),
            torch.full_like(z[:, 0], worst),
            none,
            none,
        )

    def step(
        self, oracle: Oracle, z: Iterate, state: AcceptRejectState
    ) -> tuple[Iterate, AcceptRejectState]:
        """Make one step of every run."""
        untested = self.acceptance.accepts(oracle, state.time)
        propose = self._notebook if self.rule == "notebook" else self._text
        proposal, moments, value, reference = propose(oracle, z, state)
        accept = untested | self._passes(oracle, value, reference)
        if self._restored == "x":
            (x, y), (old_x, _) = oracle.split(proposal), oracle.split(z)
            after = oracle.join(keep(accept, x, old_x), y)
        else:
            after = keep(accept, proposal, z)
        if self._restored == "all":
            moments = keep(accept, moments, state.moments)
        if not self._overwrites:
            value = torch.where(accept, value, reference)
        return after, AcceptRejectState(
            moments, value, state.time + 1, state.rejected + ~accept
        )

    @property
    def _accepts_higher(self) -> bool:
        """Whether a proposal passes the test when f did not fall."""
        return (self.better or _BETTER[self.rule]) == "higher"

    @property
    def _restored(self) -> str:
        """What a rejection restores."""
        return self.restore or _RESTORE[self.rule]

    @property
    def _overwrites(self) -> bool:
        """Whether the value of a rejected proposal becomes the reference."""
        if self.overwrite is None:
            return self.rule == "notebook"
        return self.overwrite

    def _passes(self, oracle: Oracle, value: Tensor, reference: Tensor) -> Tensor:
        """Return the runs whose proposal passes the test, or is drawn."""
        if self.chance is not None:
            return oracle.uniform() < self.chance
        return value >= reference if self._accepts_higher else value < reference

    def _text(
        self, oracle: Oracle, z: Iterate, state: AcceptRejectState
    ) -> tuple[Iterate, Any, Tensor, Tensor]:
        """Return a proposal of the text rule, its moments, its f and the reference."""
        proposal, moments = move("x", self, oracle, z, state.moments, oracle.grad_x(z))
        for _ in range(self.k):
            oracle.resample()
            at_y = oracle.grad_y(proposal)
            proposal, moments = move("y", self, oracle, proposal, moments, at_y)
        oracle.resample()
        value = oracle.payoff(proposal, train=False)
        if self.reference == "keep":
            return proposal, moments, value, state.reference
        oracle.resample()
        return proposal, moments, value, oracle.payoff(z, train=False)

    def _notebook(
        self, oracle: Oracle, z: Iterate, state: AcceptRejectState
    ) -> tuple[Iterate, Any, Tensor, Tensor]:
        """Return a proposal of the notebook, its moments, its f and the reference."""
        at_x, (at_y, value) = oracle.grad_x(z), oracle.grad_y_and_payoff(z)
        proposal, moments = move("x", self, oracle, z, state.moments, at_x)
        proposal, moments = move("y", self, oracle, proposal, moments, at_y)
        for _ in range(self.k - 1):
            oracle.resample()
            at_y, value = oracle.grad_y_and_payoff(proposal)
            proposal, moments = move("y", self, oracle, proposal, moments, at_y)
        return proposal, moments, value, state.reference


_BETTER = {"text": "lower", "notebook": "higher"}
_RESTORE = {"text": "all", "notebook": "x"}

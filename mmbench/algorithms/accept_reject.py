"""Accept-reject: a proposal is kept if f falls after the opponent has answered it."""

from dataclasses import dataclass
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
from mmbench.core.domains import Count, StepSize
from mmbench.core.errors import DescriptionError
from mmbench.core.literature import MANGOUBI_2020
from mmbench.core.oracle import Oracle
from mmbench.core.priors import Choice, SearchSpace
from mmbench.core.vectors import keep


class AcceptRejectState(NamedTuple):
    """The state of accept-reject.

    Args:
        moments: moments of each player's direction.
        reference: value that f must fall below.
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
                f"always compares with the step before; got {self.reference!r}."
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
        # By the notebook rule, the larger value is accepted.
        worst = -torch.inf if self.rule == "notebook" else torch.inf
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
        rule = self._notebook if self.rule == "notebook" else self._text
        return rule(oracle, z, state, untested)

    def _text(
        self, oracle: Oracle, z: Iterate, state: AcceptRejectState, untested: Tensor
    ) -> tuple[Iterate, AcceptRejectState]:
        """Make a step of the text rule."""
        proposal, moments = move("x", self, oracle, z, state.moments, oracle.grad_x(z))
        for _ in range(self.k):
            oracle.resample()
            at_y = oracle.grad_y(proposal)
            proposal, moments = move("y", self, oracle, proposal, moments, at_y)
        oracle.resample()
        value = oracle.payoff(proposal, train=False)
        reference = state.reference
        if self.reference == "reestimate":
            oracle.resample()
            reference = oracle.payoff(z, train=False)
        accept = untested | (value < reference)
        return keep(accept, proposal, z), AcceptRejectState(
            keep(accept, moments, state.moments),
            torch.where(accept, value, reference),
            state.time + 1,
            state.rejected + ~accept,
        )

    def _notebook(
        self, oracle: Oracle, z: Iterate, state: AcceptRejectState, untested: Tensor
    ) -> tuple[Iterate, AcceptRejectState]:
        """Make a step of the notebook rule."""
        at_x, (at_y, value) = oracle.grad_x(z), oracle.grad_y_and_payoff(z)
        proposal, moments = move("x", self, oracle, z, state.moments, at_x)
        proposal, moments = move("y", self, oracle, proposal, moments, at_y)
        for _ in range(self.k - 1):
            oracle.resample()
            at_y, value = oracle.grad_y_and_payoff(proposal)
            proposal, moments = move("y", self, oracle, proposal, moments, at_y)
        accept = untested | (value >= state.reference)
        (x, y), (old_x, _) = oracle.split(proposal), oracle.split(z)
        return oracle.join(keep(accept, x, old_x), y), AcceptRejectState(
            moments, value, state.time + 1, state.rejected + ~accept
        )

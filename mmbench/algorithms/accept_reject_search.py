"""Accept-reject search: random proposals for games of few variables."""

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmbench.algorithms._directions import step_size_pair
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, NonNegative, Positive, StepSize
from mmbench.core.literature import MANGOUBI_2020
from mmbench.core.oracle import Oracle
from mmbench.core.repetition import is_over


class SearchState(NamedTuple):
    """The state of the search.

    Args:
        reference: value that f must fall below by the margin.
        rejections: number of rejections in a row.
        ascents: number of steps of ascent.
        time: number of steps.
        rejected: number of rejected proposals.
    """

    reference: Float[Tensor, " runs"]
    rejections: Int[Tensor, " runs"]
    ascents: Int[Tensor, " runs"]
    time: Int[Tensor, " runs"]
    rejected: Int[Tensor, " runs"]


@final
@dataclass(frozen=True, kw_only=True)
class AcceptRejectSearch(Algorithm):
    """Accept-reject search: random proposals, ascent to near-stationarity, then a test.

        x' = x − ηₓ ξ,   ξ standard normal
        y' = y + ηᵧ ∇ᵧ f(x', y), repeated until ‖∇ᵧ f‖ ≤ ε
        (x, y)⁺ = (x', y') if f(x', y') < f(x, y) − δ, else (x, y)

    The first proposal is accepted. A run makes new proposals from its current point and
    stops after `patience` rejections in a row. The method is for games of few
    variables, as in the authors' Figure 3.

    Args:
        step_size: a number or a pair (x, y): ηₓ, the length of a proposal in units of
            x, and ηᵧ, of y's ascent in units of y per unit of gradient.
        tolerance: ε, norm of the projected gradient of y at which the ascent ends.
        margin: δ, amount by which f must fall.
        patience: number of rejections in a row that end a run.
        ascents: largest number of steps of ascent that answer a proposal.

    State: value of the last accepted pair, rejections in a row, steps of ascent, number
        of steps and of rejections.
    Cost: 1 value and 1 gradient of y for each step, and 1 gradient of y for each
        further step of ascent.
    Source: Mangoubi, Sachdeva and Vishnoi 2020; defaults of the low-dimensional code of
        Keswani, Mangoubi, Sachdeva and Vishnoi 2022.
    """

    step_size: StepSize = (0.5, 0.05)
    tolerance: Positive = 1e-3
    margin: NonNegative = 0.03
    patience: Count = 20
    ascents: Count = 500

    source = MANGOUBI_2020.at("low-dimensional version")

    cost = Cost(grad_y=1, values=1, grads_y_per_iteration=1)

    def init(self, oracle: Oracle, z: Iterate) -> SearchState:
        """Return a state whose reference any first proposal passes."""
        none = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        reference = torch.full_like(z[:, 0], torch.inf)
        return SearchState(reference, none, none, none, none)

    def step(
        self, oracle: Oracle, z: Iterate, state: SearchState
    ) -> tuple[Iterate, SearchState]:
        """Make one step of every run."""
        x, y = oracle.split(z)
        noise = oracle.normal(x.shape[1])
        moved = oracle.join(x - step_size_pair(self.step_size)[0] * noise, y)
        proposal, ascents = self._ascend(oracle, oracle.project(moved))
        value = oracle.payoff(proposal, train=False)
        accept = value < state.reference - self.margin
        return torch.where(accept[:, None], proposal, z), SearchState(
            torch.where(accept, value, state.reference),
            torch.where(accept, 0, state.rejections + 1),
            state.ascents + ascents,
            state.time + 1,
            state.rejected + ~accept,
        )

    def _ascend(
        self, oracle: Oracle, z: Iterate
    ) -> tuple[Iterate, Int[Tensor, " runs"]]:
        """Move y until its projected gradient is small.

        Returns:
            New iterates, and the number of steps of each run beyond the first.
        """
        step_size = step_size_pair(self.step_size)[1]
        on = oracle.alive
        steps = torch.zeros_like(on, dtype=torch.int64)
        for i in range(self.ascents):
            steps += on if i else 0
            x, y = oracle.split(z)
            ahead = oracle.join(x, y - step_size * oracle.grad_y(z, on=on))
            ahead = oracle.project(ahead)
            slope = ((ahead - z).norm(dim=1, keepdim=True) / step_size)[:, 0]
            on = on & (slope > self.tolerance)
            if is_over(on, i + 1):
                break
            z = torch.where(on[:, None], ahead, z)
        return z, steps

    def done(self, state: SearchState) -> Bool[Tensor, " runs"]:
        """Return the runs in which `patience` proposals in a row were rejected."""
        return state.rejections >= self.patience

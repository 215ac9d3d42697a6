"""Accept-reject search: the low-dimensional version, which stops by itself."""

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmbench.algorithms._directions import sizes
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, NonNegative, Positive, StepSize
from mmbench.core.literature import MANGOUBI_2020
from mmbench.core.oracle import Oracle


class SearchState(NamedTuple):
    """Value to beat, rejections in a row, and steps of ascent so far."""

    reference: Float[Tensor, "runs"]
    rejections: Int[Tensor, "runs"]
    ascents: Int[Tensor, "runs"]


@final
@dataclass(frozen=True, kw_only=True)
class AcceptRejectSearch(Algorithm):
    """Accept-reject search: random proposals, ascent to near-stationarity, then a test.

        x' = x − ηₓ ξ,   ξ standard normal
        y' = y + ηᵧ ∇ᵧ f(x', y), repeated until ‖∇ᵧ f‖ ≤ ε
        (x, y)⁺ = (x', y') if f(x', y') < f(x, y) − δ, else (x, y)

    The first proposal is taken. A run proposes again and again from where it stands,
    and stops after `patience` rejections in a row. For games of few variables, as in
    the authors' Figure 3.

    Args:
        step_size: a number or a pair (x, y): ηₓ, the length of a proposal in units of
            x, and ηᵧ, of y's ascent in units of y per unit of gradient.
        tolerance: ε, on the projected gradient of y.
        margin: δ, by which f must have fallen.
        patience: rejections in a row that end a run.
        ascents: most steps of ascent that answer a proposal.

    State: value to beat, rejections in a row, steps of ascent.
    Cost: 1 value and 1 gradient of y, and 1 gradient of y for each further step of
        ascent.
    Source: Mangoubi, Sachdeva and Vishnoi 2020; numbers of the low-dimensional code of
        Keswani, Mangoubi, Sachdeva and Vishnoi 2022.
    """

    step_size: StepSize = (0.5, 0.05)
    tolerance: Positive = 1e-3
    margin: NonNegative = 0.03
    patience: Count = 20
    ascents: Count = 500

    source = MANGOUBI_2020.at("low-dimensional version")

    @property
    def cost(self) -> Cost:
        """What one step uses."""
        return Cost(grad_y=1, values=1, grads_y_per_iteration=1)

    def init(self, oracle: Oracle, z: Iterate) -> SearchState:
        """A reference that any first proposal beats."""
        none = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        return SearchState(torch.full_like(z[:, 0], torch.inf), none, none)

    def step(
        self, oracle: Oracle, z: Iterate, state: SearchState
    ) -> tuple[Iterate, SearchState]:
        """One step of every run."""
        x, y = oracle.split(z)
        noise = oracle.normal(x.shape[1])
        moved = oracle.join(x - sizes(self.step_size)[0] * noise, y)
        proposal, ascents = self._ascend(oracle, oracle.project(moved))
        value = oracle.payoff(proposal, train=False)
        accept = value < state.reference - self.margin
        return torch.where(accept[:, None], proposal, z), SearchState(
            torch.where(accept, value, state.reference),
            torch.where(accept, 0, state.rejections + 1),
            state.ascents + ascents,
        )

    def _ascend(
        self, oracle: Oracle, z: Iterate
    ) -> tuple[Iterate, Int[Tensor, "runs"]]:
        """Raise y until its projected gradient is small; steps beyond the first."""
        step_size = sizes(self.step_size)[1]
        on = oracle.alive
        taken = torch.zeros_like(on, dtype=torch.int64)
        for i in range(self.ascents):
            taken += on if i else 0
            x, y = oracle.split(z)
            ahead = oracle.join(x, y - step_size * oracle.grad_y(z, on=on))
            ahead = oracle.project(ahead)
            slope = (ahead - z).norm(dim=1) / step_size
            on = on & (slope > self.tolerance)  # per run: a small one stands still
            if not bool(on.any()):
                break
            z = torch.where(on[:, None], ahead, z)
        return z, taken

    def done(self, state: SearchState) -> Bool[Tensor, "runs"]:
        """Runs that found nothing better for `patience` proposals in a row."""
        return state.rejections >= self.patience

"""Kuhn poker in sequence form."""

from dataclasses import dataclass
from itertools import permutations
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.placement import Placement
from mmbench.core.source import Source
from mmbench.tasks._simplex import PayoffGame, SimplexTask, StartAt


@final
@dataclass(frozen=True, kw_only=True)
class KuhnPoker(SimplexTask):
    """Kuhn poker: three cards, one bet, and a first player who loses 1/18 a hand.

        f(x, y) = x' A y,   A = mean payoff to y over the six deals, by sequences

    Each player antes 1 and is dealt a jack, queen or king. x bets 1 or checks; after a
    check y may bet; who faces a bet folds or calls.

    x has for each card the probabilities of the sequences bet, check-fold and
    check-call, whose sum is 1; that of check is the sum of the last two. y has for each
    card check and bet, then fold and call. So both strategy sets are products of
    simplices, with Euclidean projections in these coordinates. Entropic steps are those
    of the dilated entropy with weights 1, in which the entropy of check cancels.

    Args:
        start_at: "random" draws the first strategies of each run uniformly from the
            simplices; "uniform" gives all entries of one the same probability.

    Solutions: y has one optimal strategy, x those with 0 ≤ a ≤ 1/3: bet the jack with
        probability a and the king with 3a, never the queen, and after a check call with
        the queen with probability a + 1/3. The value is 1/18.
    Source: Kuhn 1950; dilated entropy: Hoda, Gilpin, Peña and Sandholm 2010.
    """

    start_at: StartAt = "random"

    source = Source(authors="Kuhn", year=1950, title="A simplified two-person poker")

    def build(self, placement: Placement) -> PayoffGame:
        """Build the game."""
        return PayoffGame(placement, payoffs(), 3, 6, solutions=equilibria())


def payoffs() -> Float[Tensor, "9 12"]:
    """Return the mean payoffs to y, in float64 on the CPU."""
    a = torch.zeros(3, 3, 3, 4, dtype=torch.float64)
    for of_x, of_y in permutations(range(3), 2):
        stake = 1.0 if of_y > of_x else -1.0
        # Rows bet, check-fold, check-call; columns check, bet, fold, call.
        a[of_x, :, of_y] = torch.tensor(
            [
                [0.0, 0.0, -1.0, 2 * stake],
                [stake, 1.0, 0.0, 0.0],
                [stake, 2 * stake, 0.0, 0.0],
            ],
            dtype=torch.float64,
        )
    return a.reshape(9, 12) / 6


def equilibria() -> Float[Tensor, "2 21"]:
    """Return the equilibria with a = 0 and a = 1/3, between which all others lie."""
    y = [2 / 3, 1 / 3, 1, 0, 1, 0, 2 / 3, 1 / 3, 0, 1, 0, 1]
    first = [0, 1, 0, 0, 2 / 3, 1 / 3, 0, 0, 1]
    last = [1 / 3, 2 / 3, 0, 0, 1 / 3, 2 / 3, 1, 0, 0]
    return torch.tensor([[*first, *y], [*last, *y]], dtype=torch.float64)

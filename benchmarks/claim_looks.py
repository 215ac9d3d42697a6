"""What intervals and verdicts are worth where runs are added until a look decides.

    python benchmarks/claim_looks.py > reports/claims/looks.md

For each claim on random runs that has a plan of its own (its kind, level, published
share or gap), over a grid of truths: how often the interval that is printed contains
the truth, where looking ends at the first conclusive look; its mean width, beside that
of an interval at 95 % of 200 runs; how many runs are spent; and how often a verdict is
wrong. Shares are computed exactly, differences by simulation.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from mmbench.analysis.stats import difference_interval, proportion_interval
from mmbench.analysis.verdicts import look_at
from mmbench.studies.base import LOOKS, Claim
from mmbench.studies.register import CLAIMS

SHARES = np.round(np.concatenate(([0, 0.01], np.arange(0.05, 1, 0.05), [0.99, 1])), 2)
# Shares of pairs in which only the first, and only the second, keeps the rule.
PAIRS = [
    (first, second)
    for first, second in itertools.product((0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8), repeat=2)
    if first + second <= 1
]
SIMULATED = 20_000
ADDED = np.diff((0, *LOOKS))


class Outcome(NamedTuple):
    """What happens at one truth.

    Args:
        covered: probability that the printed interval contains the truth.
        width: its mean width.
        runs: mean number of runs.
        verdicts: probability of each verdict.
    """

    covered: float
    width: float
    runs: float
    verdicts: dict[str, float]


def main() -> None:
    """Print the table."""
    lines = [
        "# Looking at 50, 100 and 200 runs",
        "",
        "Made by `python benchmarks/claim_looks.py`. Over a grid of truths: the least "
        "probability that the printed interval contains the truth, the mean width of "
        "the interval in points beside that of an interval at 95 % of 200 runs, the "
        "mean number of runs, and the greatest probability that the verdict is "
        "“reproduced” where the claim is false, or “not reproduced” where it is true.",
        "",
        "| Plan | Level of a look | Least coverage | Mean width | Width of 200 runs | "
        "Mean runs | Wrong |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    print("\n".join([*lines, *map(row, plans())]))


def plans() -> list[Claim]:
    """Return one claim for each plan: kind, level, share or gap."""
    found = {
        (one.kind, one.paper, one.share, one.gap if one.kind == "more" else 0): one
        for one in CLAIMS.values()
        if one.is_random
    }
    return list(found.values())


def row(claim: Claim) -> str:
    """Return the line of a plan."""
    if claim.kind == "more":
        truths = [(first - second, outcome) for first, second, outcome in pairs(claim)]
        fixed = np.mean([_fixed_width(*pair) for pair in PAIRS])
    else:
        truths = list(shares(claim))
        ends = [proportion_interval(200 * share, 200) for share in SHARES]
        fixed = np.mean([float(high - low) for low, high in ends])
    outcomes = [one for _, one in truths]
    wrong = max(_wrong(claim, truth, one) for truth, one in truths)
    words = {
        "share": f"a share of {claim.share}",
        "more": f"a difference, gap {claim.gap:g}",
    }.get(claim.kind, claim.kind)
    error = look_at(claim, np.zeros(50)).error
    numbers = [
        f"{claim.paper}: {words}",
        f"{100 * (1 - error):.2f} %",
        f"{100 * min(one.covered for one in outcomes):.2f} %",
        f"{100 * np.mean([one.width for one in outcomes]):.0f}",
        f"{100 * fixed:.0f}",
        f"{np.mean([one.runs for one in outcomes]):.0f}",
        f"{100 * wrong:.2f} %",
    ]
    return f"| {' | '.join(numbers)} |"


def shares(claim: Claim) -> Iterator[tuple[float, Outcome]]:
    """Yield each true share and what happens, by all numbers of successes."""
    tables = [_shares_table(claim, runs) for runs in LOOKS]
    for truth in SHARES:
        # Probability of each number of successes of those that are not yet decided.
        open_ = np.ones(1)
        parts = []
        for added, runs, table in zip(ADDED, LOOKS, tables, strict=True):
            open_ = np.convolve(open_, binom.pmf(np.arange(added + 1), added, truth))
            ends = table["conclusive"] | (runs == LOOKS[-1])
            parts.append((runs, np.where(ends, open_, 0), table))
            open_ = np.where(ends, 0, open_)
        yield float(truth), _outcome(truth, parts)


def pairs(claim: Claim) -> Iterator[tuple[float, float, Outcome]]:
    """Yield shares of pairs and what happens, by simulation."""
    rng = np.random.default_rng(1)
    tables = [_pairs_table(claim, runs) for runs in LOOKS]
    for first, second in PAIRS:
        chances = (first, second, max(0.0, 1 - first - second))
        counts = np.zeros((SIMULATED, 2), int)
        is_open = np.ones(SIMULATED, bool)
        parts = []
        for added, runs, table in zip(ADDED, LOOKS, tables, strict=True):
            counts += rng.multinomial(added, chances, SIMULATED)[:, :2]
            at = counts[:, 0] * (runs + 1) + counts[:, 1]
            ends = is_open & (table["conclusive"][at] | (runs == LOOKS[-1]))
            weights = np.bincount(at[ends], minlength=(runs + 1) ** 2) / SIMULATED
            parts.append((runs, weights, table))
            is_open &= ~ends
        yield first, second, _outcome(first - second, parts)


def _shares_table(claim: Claim, runs: int) -> dict[str, np.ndarray]:
    """Return what a look says of each number of successes."""
    return _table(
        [look_at(claim, np.repeat([1.0, 0.0], (k, runs - k))) for k in range(runs + 1)]
    )


def _pairs_table(claim: Claim, runs: int) -> dict[str, np.ndarray]:
    """Return what a look says of each two numbers of pairs, those of more last."""
    looks = [
        look_at(
            claim, np.repeat([1.0, -1.0, 0.0], (first, second, runs - first - second))
        )
        if first + second <= runs
        else None
        for first in range(runs + 1)
        for second in range(runs + 1)
    ]
    return _table(looks)


def _table(looks: Sequence) -> dict[str, np.ndarray]:
    return {
        "low": np.array([one.low if one else np.nan for one in looks]),
        "high": np.array([one.high if one else np.nan for one in looks]),
        "conclusion": np.array([one.conclusion if one else "" for one in looks]),
        "conclusive": np.array(
            [bool(one and one.conclusion != "inconclusive") for one in looks]
        ),
    }


def _outcome(truth: float, parts: Sequence) -> Outcome:
    covered = width = spent = 0.0
    verdicts: dict[str, float] = {}
    for runs, weights, table in parts:
        there = weights > 0
        weight = weights[there]
        low, high = table["low"][there], table["high"][there]
        within = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
        covered += weight[within].sum()
        width += (weight * (high - low)).sum()
        spent += runs * weight.sum()
        for conclusion in np.unique(table["conclusion"][there]):
            share = weight[table["conclusion"][there] == conclusion].sum()
            verdicts[conclusion] = verdicts.get(conclusion, 0.0) + share
    return Outcome(covered, width, spent, verdicts)


def _wrong(claim: Claim, truth: float, outcome: Outcome) -> float:
    """Return the probability of a verdict that the truth contradicts."""
    if claim.share is not None:
        # On the edge of the margin both are right.
        distance = abs(truth - claim.share) - claim.margin
        is_true, is_false = distance < -1e-9, distance > 1e-9
    else:
        edge = {"most": 0.5, "every": 0.95, "more": 0.0}[claim.kind]
        is_false = truth < edge + (-1e-9 if claim.kind == "every" else 1e-9)
        is_true = truth > {"most": 0.5, "every": 1 - 1e-9}.get(
            claim.kind, claim.gap / 2 - 1e-9
        )
    wrong = outcome.verdicts.get("reproduced", 0.0) if is_false else 0.0
    return wrong + (outcome.verdicts.get("not reproduced", 0.0) if is_true else 0.0)


def _fixed_width(first: float, second: float) -> float:
    """Return the width of an interval at 95 % of 200 pairs."""
    counts = [round(200 * first), round(200 * second)]
    low, high = difference_interval(
        [np.repeat([1.0, -1.0, 0.0], (*counts, 200 - sum(counts)))]
    )
    return high - low


if __name__ == "__main__":
    main()

"""How often each interval of `mmbench.analysis.stats` contains the truth.

    python benchmarks/coverage.py [INTERVAL ...]

Writes `coverage.parquet`, one row for each interval, number of tasks and runs, and
truth of its grid, and `coverage.md`, the least of them, to reports/coverage. With
names, only those intervals are computed again (a quarter of an hour for all, of one
core). Exact coverages are sums of the probabilities of all outcomes; for the others,
20 000 samples are drawn, so that 95 % is known within 0.3 points.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import beta, binom, expon, lognorm, multinomial, norm, t, uniform

from mmbench.analysis import stats

OUT = Path(__file__).parents[1] / "reports" / "coverage"
DRAWS = 20_000
RULE = 0.94
CLOSE = 1e-12  # of a truth that is an end
RUNS = (8, 16, 32, 100)
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99)
SHARES += (1.0,)


class Row(NamedTuple):
    """The coverage of an interval at one truth."""

    interval: str
    tasks: int
    runs: str
    truth: str
    coverage: float
    width: float  # mean, or median where ends may be infinite
    exact: bool


# ---- shares of runs ----


def proportion() -> Iterator[Row]:
    """Yield the least coverage of each n: it is at an end of one of the intervals."""
    return _proportion("proportion", stats.proportion_interval, range(1, 201))


def wilson() -> Iterator[Row]:
    """Yield rows of Wilson's interval, which is not used."""
    z = norm.ppf(0.975)

    def ends(k: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        centre = (k + z**2 / 2) / (n + z**2)
        half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
        return centre - half, centre + half

    return _proportion("Wilson (not used)", ends, (2, *RUNS))


def _proportion(name: str, ends: Callable, runs: Sequence[int]) -> Iterator[Row]:
    for n in runs:
        k = np.arange(n + 1)
        low, high = ends(k, n)
        beside = np.concatenate([low + 1e-9, low - 1e-9, high + 1e-9, high - 1e-9])
        truths = np.concatenate([beside[(beside > 0) & (beside < 1)], SHARES])
        law = binom.pmf(k, n, truths[:, None])
        covers = (low <= truths[:, None] + CLOSE) & (truths[:, None] - CLOSE <= high)
        coverage = (law * covers).sum(axis=1)
        at = int(coverage.argmin())
        width = float(law[at] @ (high - low))
        yield Row(name, 1, str(n), f"p = {truths[at]:.6f}", coverage[at], width, True)


def mean_proportion() -> Iterator[Row]:
    """Yield rows of equal and unequal tasks; of two tasks they are exact."""
    name = "mean proportion"
    pairs = [(n, n) for n in (2, 4, *RUNS)] + [(1, 8), (8, 32), (30, 100)]
    grid = np.unique(np.concatenate([SHARES, np.linspace(0.03, 0.97, 17)]))
    for runs in pairs:
        k = [np.arange(n + 1) for n in runs]
        outcomes = np.stack(np.meshgrid(*k, indexing="ij"), -1)
        low, high = stats.mean_proportion_interval(outcomes, np.array(runs))
        laws = [binom.pmf(k[at], runs[at], grid[:, None]) for at in (0, 1)]
        for (i, p), (j, q) in product(enumerate(grid), enumerate(grid)):
            truth = (p + q) / 2
            law = np.outer(laws[0][i], laws[1][j])
            covers = (low <= truth + CLOSE) & (truth - CLOSE <= high)
            width = float((law * (high - low)).sum())
            label = f"p = {p:.2f}, {q:.2f}"
            yield Row(name, 2, _text(runs), label, law[covers].sum(), width, True)
    rng = np.random.default_rng(0)
    for tasks, n in product((5, 10), RUNS):
        for truths, label in _patterns(tasks):
            k = rng.binomial(n, truths, size=(DRAWS, tasks))
            ends = stats.mean_proportion_interval(k, np.full(tasks, n))
            yield _row(name, tasks, n, label, truths.mean(), ends)
    mixed = np.repeat([100, 30, 8], [4, 4, 2])
    for truths, label in _patterns(10):
        k = rng.binomial(mixed, truths, size=(DRAWS, 10))
        ends = stats.mean_proportion_interval(k, mixed)
        yield _row(name, 10, "8 to 100", label, truths.mean(), ends)


def _patterns(tasks: int) -> Iterator[tuple[np.ndarray, str]]:
    """Yield the truths of tasks: all equal, some of one kind, or evenly spread."""
    for p in SHARES:
        yield np.full(tasks, p), f"p = {p:.2f}"
    for first in sorted({1, tasks // 2, tasks - 1}):
        for p, q in product(SHARES[::2], SHARES[1::2]):
            truths = np.repeat([p, q], [first, tasks - first])
            yield truths, f"p = {p:.2f} ({first}), {q:.2f} ({tasks - first})"
    for p, q in ((0.0, 1.0), (0.8, 1.0), (0.0, 0.2)):
        yield np.linspace(p, q, tasks), f"p from {p:.1f} to {q:.1f}"


def difference() -> Iterator[Row]:
    """Yield rows of paired differences; of one task they are exact.

    For success p and q with correlation r, the first succeeds alone in p (1 - q) - c of
    the pairs and the second in q (1 - p) - c, where c is r times the standard
    deviations: a grid of these two shares is one of p, q and r.
    """
    name = "paired difference"
    grid = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, *np.linspace(0.1, 1, 19))
    for n in (2, 4, *RUNS):
        won, lost = (at.ravel() for at in np.indices((n + 1, n + 1)))
        won, lost = won[won + lost <= n], lost[won + lost <= n]
        counts = np.stack([won, lost, n - won - lost], -1)
        values = [np.repeat([1.0, -1.0, 0.0], one) for one in counts]
        low, high = np.array([stats.difference_interval([one]) for one in values]).T
        for p, q in product(grid, grid):
            if p + q > 1 + CLOSE:
                continue
            law = multinomial.pmf(counts, n, [p, q, abs(1 - p - q)])
            covers = (low <= p - q + CLOSE) & (p - q - CLOSE <= high)
            width, label = float(law @ (high - low)), f"alone {p:.3f}, {q:.3f}"
            yield Row(name, 1, str(n), label, law[covers].sum(), width, True)
    rng = np.random.default_rng(0)
    kinds = ((0.02, 0.0), (0.1, 0.0), (0.1, 0.1), (0.4, 0.1), (0.9, 0.05), (0.0, 0.0))
    kinds += ((0.5, 0.5), (0.0, 0.3))
    for tasks, n in product((5, 10), RUNS):
        for first, second in product(kinds, kinds):
            halves = (tasks // 2, tasks - tasks // 2)
            counts = np.concatenate(
                [
                    rng.multinomial(n, [p, q, 1 - p - q], size=(DRAWS, half))
                    for (p, q), half in zip((first, second), halves, strict=True)
                ],
                axis=1,
            )
            means = (counts[..., 0] + counts[..., 2] / 2) / n
            squares = (counts[..., 0] + counts[..., 2] / 4) / n
            ends = stats.interval_of_moments(means, squares, float(n))
            truths = [p - q for p, q in (first, second)]
            truth = (1 + np.average(truths, weights=halves)) / 2
            label = f"alone {first} ({halves[0]}), {second} ({halves[1]})"
            row = _row(name, tasks, n, label, truth, ends)
            yield row._replace(width=2 * row.width)


# ---- scores ----


def median() -> Iterator[Row]:
    """Yield exact rows of quantiles, for all continuous laws at once.

    Where runs may be equal, the interval covers as often or more often.
    """
    for share, n in product((0.5, 0.25, 0.75), range(1, 201)):
        low, high = stats.quantile_interval(np.arange(n, dtype=float), share)
        below = np.arange(n + 1)  # runs below the quantile, which is between two
        covers = (low < below - 0.5) & (below - 0.5 < high)
        coverage = binom.pmf(below, n, share)[covers].sum()
        yield Row(f"quantile {share}", 1, str(n), "any", coverage, np.nan, True)


LAWS = {
    "normal": norm(),
    "lognormal(0.8)": lognorm(0.8),
    "t(2)": t(2),
    "0 or 1, p = 0.3": None,
}


def iqm() -> Iterator[Row]:
    """Yield rows of the interquartile mean of one task, and of tasks that differ."""
    yield from _iqm("interquartile mean", stats.iqm_interval, DRAWS)


def iqm_percentile() -> Iterator[Row]:
    """Yield rows of the percentile bootstrap that rliable has, which is not used."""

    def percentile(scores: np.ndarray) -> tuple[float, float]:
        runs, tasks = scores.shape
        drawn = np.random.default_rng(0).integers(0, runs, size=(1000, runs, tasks))
        resampled = scores[drawn, np.arange(tasks)].reshape(1000, -1)
        low, high = np.quantile(stats.iqm(resampled, axis=1), (0.025, 0.975))
        return low, high

    yield from _iqm("percentile bootstrap of it (not used)", percentile, DRAWS // 10)


def _iqm(name: str, ends: Callable, draws: int) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    settings = [(1, n, law) for n in (5, 8, 16, 32) for law in LAWS]
    settings += [
        (5, n, law) for n in (5, 8, 16) for law in ("lognormal(0.8)", "0 or 1, p = 0.3")
    ]
    settings += [(10, n, "lognormal(0.8)") for n in (5, 8, 16)]
    for tasks, n, law in settings:
        offsets = np.arange(tasks)
        truth = _true_iqm(law, offsets)
        shape = (draws, n, tasks)
        if LAWS[law] is None:
            samples = (rng.random(shape) < 0.3) + 0.0 + offsets
        else:
            samples = LAWS[law].rvs(size=shape, random_state=rng) + offsets
        found = np.array([ends(one) for one in samples])
        label = law if tasks == 1 else f"{law}, tasks apart by 1"
        yield _row(name, tasks, n, label, truth, found.T)


def _true_iqm(law: str, offsets: np.ndarray) -> float:
    """Return the interquartile mean of a mixture, from a fine grid of its quantiles."""
    levels = (np.arange(200_000) + 0.5) / 200_000
    quantiles = (levels < 0.3) + 0.0 if LAWS[law] is None else LAWS[law].ppf(levels)
    return float(stats.iqm((quantiles[:, None] + offsets).ravel()))


def bounded_mean() -> Iterator[Row]:
    """Yield rows of means of scores from 0 to 1, and so of optimality gaps."""
    rng = np.random.default_rng(0)
    laws = {
        "uniform": uniform(),
        "beta(0.5, 0.5)": beta(0.5, 0.5),
        "beta(0.2, 4)": beta(0.2, 4),
        "beta(20, 1)": beta(20, 1),
    }
    for tasks, n, (label, law) in product((1, 5), RUNS, laws.items()):
        samples = law.rvs(size=(DRAWS, n, tasks), random_state=rng)
        means, squares = samples.mean(axis=1), (samples**2).mean(axis=1)
        ends = stats.interval_of_moments(means, squares, float(n))
        yield _row("bounded mean", tasks, n, label, law.mean(), ends)


def improvement() -> Iterator[Row]:
    """Yield rows of two laws of scores; correlated ones are paired by seed."""
    rng = np.random.default_rng(0)
    settings = [
        (tasks, n, gain, spread, correlation)
        for tasks, n in product((1, 5), (8, 16, 32))
        for gain, spread in ((0.0, 1.0), (0.8, 1.0), (2.0, 1.0), (3.0, 1.0), (0.5, 5.0))
        for correlation in (0.0, 0.9)
    ]
    for tasks, n, gain, spread, correlation in settings:
        # In ten parts, for memory.
        shares = []
        for _ in range(10):
            base = rng.normal(size=(DRAWS // 10, tasks, n))
            other = rng.normal(size=base.shape)
            first = gain + spread * base
            second = correlation * base + np.sqrt(1 - correlation**2) * other
            shares.append((first[..., :, None] > second[..., None, :]).mean((-1, -2)))
        ends = stats.mean_proportion_interval(
            n * np.concatenate(shares), np.full(tasks, n)
        )
        truth = norm.cdf(gain / np.hypot(spread, 1))
        label = (
            f"normal, P = {truth:.3f}, spread {spread:g}, correlation {correlation:g}"
        )
        yield _row("probability of improvement", tasks, n, label, truth, ends)
    for tasks, n, p, q in product((1, 5), (8, 32, 100), (0.05, 0.5, 0.98), (0.1, 0.9)):
        k = [rng.binomial(n, one, size=(DRAWS, tasks)) for one in (p, q)]
        shares = 0.5 + (k[0] - k[1]) / (2 * n)
        ends = stats.mean_proportion_interval(n * shares, np.full(tasks, n))
        label = f"0 or 1, p = {p:g}, {q:g}"
        truth = (1 + p - q) / 2
        yield _row("probability of improvement", tasks, n, label, truth, ends)


# ---- costs to a target ----


def share_reached() -> Iterator[Row]:
    """Yield rows of exponential costs at quantiles, by kind of censoring."""
    rng = np.random.default_rng(0)
    levels = np.array([0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])
    budgets = expon.ppf(levels)
    kinds = ("none", "one budget in two at 0.4", "uniform to 3", "exponential")
    for n, kind in product(RUNS, kinds):
        shape = (DRAWS, n)
        costs = rng.exponential(size=shape)
        ended = {
            "none": np.full(shape, np.inf),
            "one budget in two at 0.4": np.where(np.arange(n) % 2, 0.4, 5) + 0 * costs,
            "uniform to 3": rng.uniform(0, 3, size=shape),
            "exponential": rng.exponential(size=shape),
        }[kind]
        reached = costs <= ended
        spent = np.minimum(costs, ended)
        ends = np.array(
            [
                stats.share_reached(*one, budgets)[1:]
                for one in zip(spent, reached, strict=True)
            ]
        )
        for at, level in enumerate(levels):
            label = f"share {level:g}, censoring: {kind}"
            yield _row("share reached", 1, n, label, level, ends[:, :, at].T)


# ---- the page ----


def _row(
    interval: str,
    tasks: int,
    runs: int | str,
    truth: str,
    value: float,
    ends: Sequence[np.ndarray],
) -> Row:
    low, high = ends
    covers = (low <= value + CLOSE) & (value - CLOSE <= high)
    width = float(np.median(high - low))
    return Row(interval, tasks, str(runs), truth, float(covers.mean()), width, False)


def _text(runs: tuple[int, ...]) -> str:
    return str(runs[0]) if len(set(runs)) == 1 else ", ".join(map(str, runs))


INTERVALS = {
    function.__name__: function
    for function in (
        proportion,
        mean_proportion,
        difference,
        median,
        bounded_mean,
        improvement,
        share_reached,
        iqm,
        wilson,
        iqm_percentile,
    )
}


HEAD = f"""# Coverage of the intervals

`python benchmarks/coverage.py` computes how often each interval of
`mmbench.analysis.stats` contains the truth, for a grid of truths; all of them are in
[coverage.parquet](coverage.parquet). The intervals are at 95 %. The table has the least
coverage of each grid and the truth where it is. Exact coverages are sums over all
outcomes. The others are shares of {DRAWS} samples (95 % is known within 0.3 points),
for the percentile bootstrap of {DRAWS // 10} (within 1 point). **Bold** is below 94 %.

Profiles have the interval of the mean proportion, optimality gaps that of the bounded
mean. The median cost to a target is a quantile of costs of which some are infinite.

| interval | tasks | runs | truths | least coverage | where | |
|---|---|---|---|---|---|---|
"""


def page(rows: pd.DataFrame) -> str:
    """Return the least coverage of each interval, by tasks and runs."""
    lines = []
    for (name, tasks), group in rows.groupby(["interval", "tasks"], sort=False):
        runs = group["runs"].unique()
        if len(runs) > 20:
            lines.append(_line(name, tasks, f"{runs[0]} to {runs[-1]}", group))
            continue
        for n, rows_of_n in group.groupby("runs", sort=False):
            lines.append(_line(name, tasks, n, rows_of_n))
    return HEAD + "".join(lines)


def _line(name: str, tasks: int, runs: str, rows: pd.DataFrame) -> str:
    least = rows.loc[rows["coverage"].idxmin()]
    share = f"{100 * least['coverage']:.1f} %"
    share = f"**{share}**" if least["coverage"] < RULE else share
    where = least["truth"] if least["runs"] == runs else f"n = {least['runs']}"
    how = "exact" if rows["exact"].all() else "simulated"
    cells = name, tasks, runs, len(rows), share, where, how
    return f"| {' | '.join(map(str, cells))} |\n"


def main() -> None:
    """Compute the coverage of the named intervals, or of all."""
    OUT.mkdir(parents=True, exist_ok=True)
    file = OUT / "coverage.parquet"
    tables: dict[Any, pd.DataFrame] = {}
    if file.exists():
        tables |= dict(list(pd.read_parquet(file).groupby("function")))
    for name in sys.argv[1:] or INTERVALS:
        start = time.process_time()
        tables[name] = pd.DataFrame(INTERVALS[name]()).assign(function=name)
        print(f"{name}: {time.process_time() - start:.0f} CPU seconds", flush=True)
        found = [tables[known] for known in INTERVALS if known in tables]
        table = pd.concat(found, ignore_index=True)
        table.to_parquet(file, index=False)
        (OUT / "coverage.md").write_text(page(table), "utf-8")


if __name__ == "__main__":
    main()

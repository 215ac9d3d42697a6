"""Quality of each algorithm on each task; less is better, and all numbers are finite.

Everything is float64 with fixed seeds, so that a number moves only when the code does.
"""

import cmath
import math
from collections.abc import Callable

import numpy as np

from mmbench.algorithms import ALGORITHMS
from mmbench.analysis import stats
from mmbench.analysis.leaderboard import Entry, entries
from mmbench.analysis.results import Results, tidy
from mmbench.core.description import text
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.runner.execute import execute
from mmbench.store.folder import Store, StoredResult

from .cells import Game, fitting
from .games import GENERATING, SOLVED, modes

RUNS, RUNS_OF_GAN = 16, 8
MISS = 1e6  # gradient-equivalents, more than any run here can pay
FARTHEST = 300.0  # in the place of what has no end
LEAST = 1e-6  # error of a rate; what is below it is the fit's

# Where theory knows the rate on xy. Of two columns the first one is the score.
STEP = 0.3
RATED = Game(
    "bilinear",
    600,
    ("rate", "distance"),
    {"step_size": str(STEP), "k": "1", "tolerance": "1e-12"},
    40,
)
# What one algorithm is given in place of what all are given.
OWN = {
    "acgd": {"step_size": "0.1"},
    "accept_reject_search": {"step_size": "(0.5,0.05)", "ascents": "100"},
}
OWN_GENERATING = {
    "cgd": {"step_size": "0.5", "tolerance": "0.001"},
    "one_sided_cgd": {"step_size": "0.5", "tolerance": "0.001"},
    "acgd": {"tolerance": "0.001"},
    "accept_reject_search": {"ascents": "5"},
}


# ---- closed forms on xy, of the step size ----


def optimistic(eta: float) -> float:
    """By the roots of λ² = λ(1 − 2iη) + iη."""
    root = cmath.sqrt((1 - 2j * eta) ** 2 + 4j * eta)
    return max(abs((1 - 2j * eta + sign * root) / 2) for sign in (1, -1))


CLOSED: dict[str, Callable[[float], float]] = {
    "gda": lambda eta: math.sqrt(1 + eta**2),
    "alternating_gda": lambda _: 1.0,  # a closed orbit
    "omd": optimistic,
    "extragradient": lambda eta: math.sqrt(1 - eta**2 + eta**4),
    "past_extragradient": optimistic,
    "unrolled": lambda eta: math.sqrt(1 - eta**2),  # one step unrolled
    "cgd": lambda eta: 1 / math.sqrt(1 + eta**2),
}


# ---- benchmarks ----


class Solved:
    """On games with a known solution."""

    params = (list(ALGORITHMS), list(SOLVED))
    param_names = ("algorithm", "task")
    timeout = 300

    def setup(self, algorithm: str, task: str) -> None:
        own = OWN.get(algorithm, {})
        self.cell = fitting(algorithm, SOLVED[task], RUNS, own, "float64")

    def track_to_target(self, algorithm: str, task: str) -> float:
        return to_target(entry(self.cell))

    track_to_target.unit = "gradient-equivalents"
    track_to_target.version = "1"

    def track_failed(self, algorithm: str, task: str) -> float:
        return failed(entry(self.cell))

    track_failed.unit = "share of runs"
    track_failed.version = "1"

    def track_left(self, algorithm: str, task: str) -> float:
        ((_, bound),) = self.cell.task.target.at_most
        return left(entry(self.cell), bound)

    track_left.unit = "orders of magnitude"
    track_left.version = "1"


class Rates:
    """On xy, where theory knows how fast a method is."""

    params = (list(ALGORITHMS),)
    param_names = ("algorithm",)
    timeout = 300

    def setup(self, algorithm: str) -> None:
        if algorithm not in CLOSED:
            raise NotImplementedError(f"No closed form is known for {algorithm}.")
        self.cell = fitting(algorithm, RATED, RUNS, {}, "float64")

    def track_rate_error(self, algorithm: str) -> float:
        return rate_error(entry(self.cell), CLOSED[algorithm](STEP))

    track_rate_error.unit = "of the logarithm"
    track_rate_error.version = "1"


class Generating:
    """On games with a generator."""

    params = (list(ALGORITHMS), list(GENERATING))
    param_names = ("algorithm", "task")
    timeout = 300

    def setup(self, algorithm: str, task: str) -> None:
        own = OWN_GENERATING.get(algorithm, {})
        self.cell = fitting(algorithm, GENERATING[task], RUNS_OF_GAN, own, "float64")

    def track_missed(self, algorithm: str, task: str) -> float:
        return missed(entry(self.cell), modes(self.cell.task))

    track_missed.unit = "modes"
    track_missed.version = "1"


# ---- what they give ----


def entry(cell: Cell) -> Entry:
    """A computed cell as leaderboards see it.

    Raises:
        RuntimeError: when an error ended it.
    """
    made: list[StoredResult] = []
    execute([cell], None, on_result=lambda _, done: made.append(done))
    (done,) = made
    if (done.frame["status"] == Status.ERROR).any():
        raise RuntimeError(done.frame["reason"].iloc[0])
    frame = tidy({cell.key: done.frame})
    results = Results(frame, {cell.key: done.footer}, Store("unused"))
    (found,) = entries(results, text(cell.task))
    return found


def to_target(found: Entry) -> float:
    """What the median run had paid when it reached the target."""
    return min(MISS, float(stats.median(found.to_target)))


def failed(found: Entry) -> float:
    """Share of runs that did not reach it."""
    return 1 - float(found.success.mean())


def left(found: Entry, bound: float) -> float:
    """By what factor the median run ended above the target's bound, as a logarithm."""
    typical = max(bound, float(stats.median(found.scores)))
    return min(FARTHEST, math.log10(typical / bound))


def rate_error(found: Entry, closed: float) -> float:
    """Distance of the logarithm of the median fitted rate from that of theory."""
    error = abs(math.log(float(stats.median(found.scores)) / closed))
    return min(FARTHEST, max(LEAST, error))


def missed(found: Entry, of: int) -> float:
    """Modes that a run misses in the end, on average; a score is a count, negated."""
    return of + min(0.0, float(np.mean(found.scores)))

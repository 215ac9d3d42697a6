"""Quality of each algorithm on each task: finite numbers, less is better.

Everything is float64 with fixed seeds, so that a number moves only when the code does.
"""

import cmath
import math
from collections.abc import Callable

import numpy as np

from .cells import Game, fitting
from .games import GENERATING, SOLVED, modes
from .library import ALGORITHMS, Entry, compute_entry, cost_to_target, stats

RUNS, RUNS_OF_GAN = 16, 8
MISS = 1e6  # gradient-equivalents; more than any run here can be charged
FARTHEST = 300.0  # replaces what is infinite
LEAST = 1e-6  # error of a rate; below it is the error of the fit

# The game xy, whose rates are known in closed form. The first column is the score.
STEP = 0.3
RATED = Game(
    "bilinear",
    600,
    ("rate", "distance"),
    {"step_size": str(STEP), "k": "1", "tolerance": "1e-12"},
    40,
)
# Options of single algorithms, in place of those of all.
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
    """Return the largest absolute root of λ² = λ(1 − 2iη) + iη."""
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
    """Quality on games with a known solution."""

    params = (list(ALGORITHMS), list(SOLVED))
    param_names = ("algorithm", "task")
    timeout = 300

    def setup(self, algorithm: str, task: str) -> None:
        own = OWN.get(algorithm, {})
        self.cell = fitting(algorithm, SOLVED[task], RUNS, own, "float64")

    def track_to_target(self, algorithm: str, task: str) -> float:
        return to_target(compute_entry(self.cell))

    track_to_target.unit = "gradient-equivalents"
    track_to_target.version = "1"

    def track_failed(self, algorithm: str, task: str) -> float:
        return failed(compute_entry(self.cell))

    track_failed.unit = "share of runs"
    track_failed.version = "1"

    def track_left(self, algorithm: str, task: str) -> float:
        ((_, bound),) = self.cell.task.target.at_most
        return left(compute_entry(self.cell), bound)

    track_left.unit = "orders of magnitude"
    track_left.version = "1"


class Rates:
    """Rates on xy against their closed forms."""

    params = (list(ALGORITHMS),)
    param_names = ("algorithm",)
    timeout = 300

    def setup(self, algorithm: str) -> None:
        if algorithm not in CLOSED:
            raise NotImplementedError(f"No closed form is known for {algorithm}.")
        self.cell = fitting(algorithm, RATED, RUNS, {}, "float64")

    def track_rate_error(self, algorithm: str) -> float:
        return rate_error(compute_entry(self.cell), CLOSED[algorithm](STEP))

    track_rate_error.unit = "of the logarithm"
    track_rate_error.version = "1"


class Generating:
    """Quality on games with a generator."""

    params = (list(ALGORITHMS), list(GENERATING))
    param_names = ("algorithm", "task")
    timeout = 300

    def setup(self, algorithm: str, task: str) -> None:
        own = OWN_GENERATING.get(algorithm, {})
        self.cell = fitting(algorithm, GENERATING[task], RUNS_OF_GAN, own, "float64")

    def track_missed(self, algorithm: str, task: str) -> float:
        return missed(compute_entry(self.cell), modes(self.cell.task))

    track_missed.unit = "modes"
    track_missed.version = "1"


# ---- numbers ----


def to_target(found: Entry) -> float:
    """Return what the median run was charged when it reached the target."""
    return min(MISS, cost_to_target(found))


def failed(found: Entry) -> float:
    """Return the share of runs that did not reach the target."""
    return 1 - float(found.success.mean())


def left(found: Entry, bound: float) -> float:
    """Return the logarithm of the median run's end over the bound of the target."""
    typical = max(bound, float(stats.median(found.scores)))
    return min(FARTHEST, math.log10(typical / bound))


def rate_error(found: Entry, closed: float) -> float:
    """Return the distance of the logarithms of the median fitted and the true rate."""
    error = abs(math.log(float(stats.median(found.scores)) / closed))
    return min(FARTHEST, max(LEAST, error))


def missed(found: Entry, of: int) -> float:
    """Return the mean number of modes missed in the end; a score is a negated count."""
    return of + min(0.0, float(np.mean(found.scores)))

"""Every metric keeps what a metric must keep, and gives known values on known input."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.streams import generator
from mmbench.metrics import METRICS
from mmbench.metrics.base import IterateMetric, Point
from mmbench.tasks import TASKS
from mmbench.testing import check_metric
from mmbench.testing.tools import PLACEMENT, SEEDS, begin

GAUSSIANS = "four_gaussians[hidden=8,noise=4,batch=16]"
DIGITS = "digits01[hidden=8,batch=16]"
FITTING = [
    ("distance", "bilinear"),
    ("distance[concept=nash]", "bilinear[box=5]"),
    ("field_norm", "quadratic"),
    ("field_norm", GAUSSIANS),
    ("gap", "bilinear[dim=3]"),
    ("gap[radius=2]", "bilinear[box=5]"),
    ("worst", "bilinear"),
    ("rate", "bilinear"),
    ("mode_coverage[samples=300]", GAUSSIANS),
    ("sliced_wasserstein[samples=300]", GAUSSIANS),
    ("digit_coverage[samples=20]", DIGITS),
    ("frechet_distance[features=digitscnn,count=20]", DIGITS),
    ("frechet_distance[features=digitscnn,count=80,split=test]", DIGITS),
    ("frechet_infinity[features=digitscnn,count=100,sizes=4]", DIGITS),
    ("kernel_distance[features=digitscnn,count=20,subsets=3]", DIGITS),
    ("classifier_score[features=digitscnn,count=20,splits=2]", DIGITS),
    ("precision_recall[features=digitscnn,count=20]", DIGITS),
    ("class_histogram[features=digitscnn,count=20]", DIGITS),
    ("forgetting", GAUSSIANS),
    ("losses", "quadratic"),
    ("losses[minibatches=2]", GAUSSIANS),
    ("losses[minibatches=2]", DIGITS),
    ("drift[images=20]", DIGITS),
]


@pytest.mark.parametrize(("metric", "task"), FITTING)
def test_metric_keeps_its_contract(metric: str, task: str) -> None:
    """Columns as declared, one number a run, permuted as the runs are."""
    check_metric(METRICS.build(metric), TASKS.build(task))


def test_every_metric_is_checked() -> None:
    """The list above reaches every registered metric."""
    assert {words.partition("[")[0] for words, _ in FITTING} == set(METRICS)


@pytest.mark.parametrize(("metric", "task"), FITTING)
def test_needs_are_met(metric: str, task: str) -> None:
    """What a metric needs, the task it is tried on gives."""
    assert METRICS.build(metric).needs <= TASKS.build(task).gives


def measure(metric: str, game: Game, z: torch.Tensor) -> dict[str, list[float]]:
    """A metric's columns, seeds 0, 1, ..."""
    built = METRICS.build(metric)
    assert isinstance(built, IterateMetric)
    point = Point(game, z, tuple(range(len(z))))
    return {name: values.tolist() for name, values in built.measure(point).items()}


# ---- toy metrics ----


def test_field_norm_is_the_norm_of_the_field() -> None:
    """On xy the field (y, -x) is as long as the iterate; on a box steps are cut."""
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    free = TASKS.build("bilinear").build(PLACEMENT)
    assert measure("field_norm", free, z)["field_norm"] == [5.0, 0.0]
    boxed = TASKS.build("bilinear[box=5]").build(PLACEMENT)
    corner = torch.tensor([[-5.0, 5.0], [5.0, 5.0]], dtype=torch.float64)
    # From (-5, 5) x wants to fall and y wants to fall: only y may move, by 5.
    assert measure("field_norm", boxed, corner)["field_norm"] == [5.0, 5.0]


def test_gap_on_xy() -> None:
    """The gap over balls of radius R is R (|x| + |y|)."""
    z = torch.tensor([[3.0, -4.0], [0.0, 0.0]], dtype=torch.float64)
    game = TASKS.build("bilinear").build(PLACEMENT)
    assert measure("gap[radius=2]", game, z)["gap"] == [14.0, 0.0]


def test_losses_are_those_of_the_game() -> None:
    """On xy they are xy and its negative; without data one value is all there is."""
    z = torch.tensor([[3.0, -4.0], [2.0, 0.5]], dtype=torch.float64)
    game = TASKS.build("bilinear").build(PLACEMENT)
    assert measure("losses", game, z) == {"loss_x": [-12.0, 1.0], "loss_y": [12.0, -1]}


def test_losses_are_means_over_minibatches() -> None:
    """The mean of so many minibatches of the evaluation stream, dropout off."""
    game, (_, z) = TASKS.build(DIGITS).build(PLACEMENT), begin(TASKS.build(DIGITS))
    oracle, seen = Oracle(OracleState(game, SEEDS, "evaluation")), []
    for _ in range(5):
        oracle.resample()
        x, y = oracle.split(z)
        seen.append(torch.stack(game.losses(x, y, oracle._state.sample, train=False)))
    found = measure("losses[minibatches=5]", game, z)
    loss_x, loss_y = (sum(seen) / 5).tolist()
    assert found["loss_x"] == pytest.approx(loss_x, rel=1e-12)
    assert found["loss_y"] == pytest.approx(loss_y, rel=1e-12)


def test_drift_is_measured_from_the_start() -> None:
    """Zero at the start; a shift of the last bias moves every logit by as much."""
    task, images = TASKS.build(DIGITS), 20
    game, start = task.build(PLACEMENT), begin(task)[1]
    drift = METRICS.build(f"drift[images={images}]")
    still = drift.measure(Point(game, start, SEEDS, start))
    assert all(not bool(values.any()) for values in still.values())
    z = start.clone()
    bias = game.discriminator.layout.sizes
    z[:, game.dim_x + sum(bias[:-1])] += torch.tensor([0.5, -1.0, 2.0])
    z[:, : game.dim_x] += 1  # the generator's own moves do not count
    found = drift.measure(Point(game, z, SEEDS, start))
    for name, each in (("drift_y", 1), ("drift_real", images), ("drift_fake", images)):
        expected = [one * each**0.5 for one in (0.5, 1.0, 2.0)]
        assert found[name].tolist() == pytest.approx(expected, rel=1e-9)


def test_distance_at_the_solution_is_zero() -> None:
    """Zero at the solution, Euclidean elsewhere."""
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    for words in ("bilinear", "quadratic", "dirac_gan"):
        assert measure("distance", TASKS.build(words).build(PLACEMENT), z) == {
            "distance": [5.0, 0.0]
        }


# ---- trajectories ----

STEPS = tuple(range(0, 1001, 25))


def summarised(metric: str, values: np.ndarray, steps: tuple = STEPS) -> np.ndarray:
    """A trajectory metric's one column."""
    (column,) = METRICS.build(metric).summarise(steps, values).values()
    return column


@pytest.mark.parametrize("factor", [0.9, 0.99, 0.999, 1.001, 1.02])
def test_rate_of_a_geometric_sequence(factor: float) -> None:
    """Exact on a geometric sequence, whatever its scale."""
    values = np.outer(factor ** np.array(STEPS), [1.0, 1e-5, 37.0])
    np.testing.assert_allclose(summarised("rate", values), factor, rtol=1e-9)


def test_rate_ignores_the_start_and_the_floor() -> None:
    """Neither a transient nor rounding noise at the end bends the slope."""
    steps = np.array(STEPS)
    values = 0.9**steps + np.where(steps < 50, 100, 0)
    floor = np.random.default_rng(0).uniform(1e-17, 1e-16, len(steps))
    rate = summarised("rate", np.maximum(values, floor)[:, None])
    # Most records lie on the floor, which the slope must not see.
    np.testing.assert_allclose(rate, 0.9, rtol=1e-3)


def test_rate_of_a_cycle_is_one() -> None:
    """A bounded oscillation has no rate but 1."""
    values = 2 + np.sin(np.array(STEPS) * 0.7)
    np.testing.assert_allclose(summarised("rate", values[:, None]), 1, atol=1e-3)


def test_rate_of_a_dead_run_is_that_of_its_life() -> None:
    """Records repeat after a run has died; a diverged run is not neutral."""
    values = 1.05 ** np.minimum(np.array(STEPS), 300)
    np.testing.assert_allclose(summarised("rate", values[:, None]), 1.05, rtol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(41),
        np.full(41, np.nan),
        np.r_[0.0, np.ones(40)],
        np.r_[1.0, np.zeros(40)],
    ],
)
def test_rate_of_odd_columns_raises_nothing(values: np.ndarray) -> None:
    """Zeros, nothing measured, and starts at a solution give no number, or a finite."""
    (rate,) = summarised("rate", values[:, None])
    assert math.isnan(rate) or rate > 0


def test_worst_is_of_the_last_tenth() -> None:
    """Largest over steps 900 to 1000; what came before does not count."""
    values = np.ones((len(STEPS), 2))
    values[STEPS.index(875), 0] = 9
    values[STEPS.index(900), 1] = 5
    assert summarised("worst", values).tolist() == [1.0, 5.0]


def test_forgetting_counts_falls() -> None:
    """Each record lower than the one before is one event; nothing measured is none."""
    values = np.array([[0, 1, 2, 1, 1, 4, 2, 3, 0], [4] * 9, range(9)], dtype=float).T
    assert summarised("forgetting", values, tuple(range(9))).tolist() == [3, 0, 0]
    nothing = np.full((9, 1), np.nan)
    assert np.isnan(summarised("forgetting", nothing, tuple(range(9)))).all()


# ---- samples in the plane ----


class Sampler(Game):
    """A game whose generator is a given function of a generator and a count."""

    dim_x = dim_y = 1
    batch_size = 64
    dtype = torch.float64

    def __init__(self, draws: list[Callable[[torch.Generator, int], torch.Tensor]]):
        self._draws = draws
        self._real = TASKS.build("four_gaussians[batch=64]").build(PLACEMENT)
        self.modes, self.mode_weights = self._real.modes, self._real.mode_weights
        self.deviation = self._real.deviation
        self.draw_real = self._real.draw_real

    def losses(self, x, y, sample, *, train=True):
        """None are needed."""
        raise NotImplementedError

    def generate(self, z, count, seeds):
        """Each run's own law; z says which."""
        return torch.stack(
            [
                self._draws[int(which)](generator(seed, "test"), count)
                for which, seed in zip(z[:, 0], seeds, strict=True)
            ]
        )


def mixture(shares: list[float], spread: float = 0.01) -> Callable:
    """Samples of the modes with these shares and standard deviation."""

    def draw(random: torch.Generator, count: int) -> torch.Tensor:
        modes = Sampler([]).modes.double()
        which = torch.multinomial(
            torch.tensor(shares), count, replacement=True, generator=random
        )
        noise = torch.randn(count, 2, generator=random, dtype=torch.float64)
        return modes[which] + spread * noise

    return draw


def exactly(near: list[int], radius: float) -> Callable:
    """So many samples at a distance from each mode, and the rest far away."""

    def draw(_: torch.Generator, count: int) -> torch.Tensor:
        modes = Sampler([]).modes.double()
        placed = modes.repeat_interleave(torch.tensor(near), dim=0) * (1 + radius)
        rest = torch.full((count - len(placed), 2), 9.0, dtype=torch.float64)
        return torch.cat((placed, rest))

    return draw


def measured_samples(metric: str, *draws: Callable) -> dict[str, list[float]]:
    """A metric's columns, one run for each law."""
    z = torch.zeros(len(draws), 2, dtype=torch.float64)
    z[:, 0] = torch.arange(len(draws))
    return measure(metric, Sampler(list(draws)), z)


def test_perfect_and_collapsed_samplers() -> None:
    """The data's own law covers all, 98.889 % within 3 sd; one mode covers one."""
    perfect, collapsed = mixture([0.4, 0.2, 0.2, 0.2]), mixture([0, 0, 1, 0.0])
    found = measured_samples("mode_coverage[samples=20000]", perfect, collapsed)
    for rule in ("modes", "modes_strict", "modes_loose", "modes_lenient"):
        assert found[rule] == [4, 1], rule
    assert found["near_mode"] == [1, 1]
    # 1 - exp(-9/2), the mass of a planar normal within 3 standard deviations.
    np.testing.assert_allclose(found["high_quality"], 0.98889, atol=3e-3)
    assert found["mode_tv"][0] < 0.02
    assert found["mode_tv"][1] == pytest.approx(0.8, abs=1e-6)


def test_equal_shares_are_not_the_released_ones() -> None:
    """Nearest-mode total variation is taken to the data's own weights."""
    found = measured_samples("mode_coverage[samples=20000]", mixture([1.0] * 4))
    assert found["mode_tv"][0] == pytest.approx(0.15, abs=0.02)


def test_rules_differ_on_blurred_modes() -> None:
    """Ten times too wide, modes are seen by the eye and not by the strict rule."""
    blurred = mixture([0.25] * 4, spread=0.1)
    found = measured_samples("mode_coverage[samples=20000]", blurred)
    assert found["modes"] == [4]
    assert found["modes_strict"] == [0]
    assert found["modes_loose"] == [4]
    # 1 - exp(-r²/2s²): within 0.03 and within 0.3 at a spread of 0.1.
    assert found["high_quality"][0] == pytest.approx(1 - math.exp(-0.045), abs=5e-3)
    assert found["near_mode"][0] == pytest.approx(1 - math.exp(-4.5), abs=5e-3)


@pytest.mark.parametrize(
    ("rule", "radius", "enough"),
    [
        ("modes", 0.29, [125] * 4),  # 5 % of 2500 samples, within 0.3
        ("modes_strict", 0.029, [250, 125, 125, 125]),  # a quarter of each share
        ("modes_loose", 0.029, [1] * 4),
        ("modes_lenient", 0.34, [25] * 4),  # 1 % within 0.35
    ],
)
def test_thresholds_are_inclusive(rule: str, radius: float, enough: list[int]) -> None:
    """Just the stated number of samples counts, one less does not, nor do far ones."""
    less, far = [one - 1 for one in enough], radius + 0.02
    found = measured_samples(
        "mode_coverage[samples=2500]",
        exactly(enough, radius),
        exactly(less, radius),
        exactly(enough, far),
    )
    assert found[rule] == [4, 0, 0]


def test_samples_of_a_run_that_broke_down_cover_nothing() -> None:
    """NaN and infinite samples count as no mode and raise nothing."""
    broken = [
        lambda _, count, value=value: torch.full((count, 2), value, dtype=torch.float64)
        for value in (math.nan, math.inf, 1e200)
    ]
    found = measured_samples("mode_coverage[samples=50]", *broken)
    assert found["modes"] == found["modes_loose"] == [0, 0, 0]
    assert found["high_quality"] == found["near_mode"] == [0, 0, 0]


def test_sliced_wasserstein_of_a_shift() -> None:
    """The data moved by s are the mean of |s · θ| away; unmoved, nothing."""
    shift = torch.tensor([0.3, -0.4], dtype=torch.float64)

    def moved(by: torch.Tensor) -> Callable:
        def draw(_: torch.Generator, count: int) -> torch.Tensor:
            batches = math.ceil(count / 64)
            real = Sampler([]).draw_real(generator(0, "evaluation"), batches)
            return real.flatten(0, 1)[:count] + by

        return draw

    found = measured_samples(
        "sliced_wasserstein[samples=1000]",
        moved(0 * shift),
        moved(shift),
        moved(-2 * shift),
    )["sliced_wasserstein"]
    angles = np.arange(16) * np.pi / 16
    expected = np.abs(0.3 * np.cos(angles) - 0.4 * np.sin(angles)).mean()
    np.testing.assert_allclose(found, [0, expected, 2 * expected], atol=1e-7)


def test_sliced_wasserstein_of_a_perfect_sampler_is_small() -> None:
    """Fresh data are nearer to the data than a collapsed sampler."""
    found = measured_samples(
        "sliced_wasserstein", mixture([0.4, 0.2, 0.2, 0.2]), mixture([1, 0, 0, 0.0])
    )["sliced_wasserstein"]
    assert found[0] < 0.05
    assert found[1] > 0.5


@pytest.mark.parametrize("metric", ["mode_coverage", "sliced_wasserstein"])
def test_permuting_runs_permutes_values(metric: str) -> None:
    """A run's value is its own."""
    laws = [mixture([1, 0, 0, 0.0]), mixture([0.5, 0.5, 0, 0.0]), mixture([0.25] * 4)]
    forth = measured_samples(f"{metric}[samples=400]", *laws)
    game, z = Sampler(laws), torch.zeros(3, 2, dtype=torch.float64)
    z[:, 0] = torch.tensor([2.0, 1.0, 0.0])
    built = METRICS.build(f"{metric}[samples=400]")
    back = built.measure(Point(game, z, (2, 1, 0)))
    for name, values in forth.items():
        assert back[name].tolist() == values[::-1]


def test_shared_samples_are_drawn_once() -> None:
    """Two metrics that ask for as many samples see the same tensor."""
    oracle, z = begin(TASKS.build(GAUSSIANS))
    point = Point(oracle._game, z, SEEDS)
    assert point.samples(50) is point.samples(50)
    assert point.samples(60).shape[1] == 60

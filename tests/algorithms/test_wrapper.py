"""Methods around a method: lookahead, averages and schedules."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playable import playable
from torch import Tensor

import mmbench
from mmbench.algorithms import ALGORITHMS, SCHEDULES
from mmbench.algorithms.base import Algorithm
from mmbench.core.cost import Cost
from mmbench.core.errors import MisfitError
from mmbench.core.oracle import Oracle
from mmbench.core.vectors import Joint
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.engine.step_size_map import step_map
from mmbench.metrics import METRICS
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT, start_runs

XY = "bilinear"
# Methods that divide by a step size, or keep a memory of it.
AT_ZERO = (
    *("acgd[step_size=0.1]", "one_sided_cgd", "proximal_point", "lss", "omd"),
    *("discretisation_drift[first=x]", "discretisation_drift[first=y]"),
)


def iterates(words: str, steps: int, game: str = XY) -> tuple[list[Joint], list[Joint]]:
    """Return the iterates of three seeds, and what the method answers at each."""
    algorithm, (oracle, z) = ALGORITHMS.build(words), start_runs(TASKS.build(game))
    state = algorithm.init(oracle, z)
    zs, answers = [z], [algorithm.answer(z, state)]
    for _ in range(steps):
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
        zs.append(z)
        answers.append(algorithm.answer(z, state))
    return zs, answers


def run(words: str, game: str = XY, keep: str = "none", steps: int = 64):
    """Return a trajectory with the distance of two runs."""
    task = TASKS.build(game)
    cell = Cell(
        task=task,
        algorithm=ALGORITHMS.build(words),
        seeds=(0, 1),
        steps=steps,
        records=8,
        keep=keep,
        metrics=metrics_for(task, [METRICS.build("distance")]),
    )
    return run_cell(cell, PLACEMENT)


# ---- lookahead ----


@pytest.mark.parametrize(("k", "alpha"), [(1, 0.5), (5, 0.5), (6, 0.8), (20, 0.1)])
def test_lookahead_around_gda_contracts_as_in_theory(k: int, alpha: float) -> None:
    """On xy one period multiplies the distance by |1 − α + α (1 + iη)ᵏ|.

    Source: Chavdarova et al. 2021, theorem 2, with the eigenvalues ±i of xy.
    """
    eta = 0.3
    words = f"lookahead[base=gda[step_size={eta}],k={k},alpha={alpha}]"
    zs, _ = iterates(words, 3 * k)
    expected = abs(1 - alpha + alpha * (1 + 1j * eta) ** k)
    for period in range(3):
        factor = zs[(period + 1) * k].norm(dim=1) / zs[period * k].norm(dim=1)
        assert factor.tolist() == pytest.approx([expected] * 3, rel=1e-13)


def test_lookahead_can_be_nested() -> None:
    """The outer one takes what the inner one returns for the fast iterate."""
    inner = 1 - 0.5 + 0.5 * (1 + 0.3j) ** 2
    outer = 1 - 0.25 + 0.25 * inner**3
    base = "lookahead[base=gda[step_size=0.3],k=2]"
    zs, _ = iterates(f"lookahead[base={base},k=6,alpha=0.25]", 6)
    factor = zs[6].norm(dim=1) / zs[0].norm(dim=1)
    assert factor.tolist() == pytest.approx([abs(outer)] * 3, rel=1e-13)


def test_the_first_return_of_the_authors_code_changes_nothing() -> None:
    """Slow iterates begin at the first return, and lead from there as before."""
    base = "gda[step_size=0.3]"
    zs, _ = iterates(f"lookahead[base={base},k=3,slow_from=first_return]", 6)
    plain, _ = iterates(base, 3)
    assert all(map(torch.equal, zs[:4], plain))
    expected = abs(0.5 + 0.5 * (1 + 0.3j) ** 3)
    factor = zs[6].norm(dim=1) / zs[3].norm(dim=1)
    assert factor.tolist() == pytest.approx([expected] * 3, rel=1e-13)


# ---- averages ----


@pytest.mark.parametrize("weights", ["uniform", "linear", "exponential"])
def test_averages_are_those_of_the_iterates(weights: str) -> None:
    """The answer is the weighted mean of z₁ to zₜ; iterates are those of the base."""
    zs, answers = iterates(f"averaged[weights={weights},decay=0.9]", 12)
    plain, _ = iterates("gda", 12)
    assert all(map(torch.equal, zs, plain))
    assert torch.equal(answers[0], zs[0])
    for t in range(1, 13):
        match weights:
            case "uniform":
                shares = np.r_[0.0, np.full(t, 1 / t)]
            case "linear":
                shares = np.arange(t + 1) / (t * (t + 1) / 2)
            case _:
                shares = np.r_[0.9**t, 0.1 * 0.9 ** np.arange(t - 1, -1, -1)]
        mean = sum(share * z for share, z in zip(shares, zs, strict=False))
        torch.testing.assert_close(answers[t], mean, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_the_average_of_alternating_steps_converges_where_they_do_not() -> None:
    """Sums of y and x telescope on xy, so that t times the mean stays bounded."""
    words = "averaged[base=alternating_gda[step_size=0.1]]"
    zs, answers = iterates(words, 2000)
    assert (zs[-1].norm(dim=1) > 0.5 * zs[0].norm(dim=1)).all()
    bound = 2 * 1.1 * torch.stack(zs).abs().amax((0, 2)) / 0.1
    for t in (500, 1000, 2000):
        assert (t * answers[t].abs().amax(1) <= bound + 0.1 * bound).all()


def test_metrics_measure_the_answer_and_runs_end_by_their_iterates() -> None:
    """The distance is that of the average; divergence is that of the iterates."""
    average, plain = run("averaged[base=gda]", keep="all"), run("gda", keep="all")
    assert np.array_equal(average.iterates["z"], plain.iterates["z"])
    z, steps = plain.iterates["z"], plain.iterates["steps"]
    distance = average.columns["distance"]
    assert np.array_equal(distance[0], plain.columns["distance"][0])
    one = list(steps).index(1)
    assert distance[one] == pytest.approx(np.linalg.norm(z[one], axis=1), rel=1e-12)
    assert (distance[-1] < plain.columns["distance"][-1]).all()
    ended = [
        run(words, steps=400)
        for words in ("averaged[base=gda[step_size=1]]", "gda[step_size=1]")
    ]
    for average, plain in [ended]:
        assert list(average.status) == list(plain.status) == ["diverged"] * 2
        assert list(average.stopped_at) == list(plain.stopped_at)


def test_further_metrics_of_an_average_are_measured_by_running(tmp_path: Path) -> None:
    """Kept iterates are not what the method answers, so that the cell runs again."""
    common = {"seeds": 2, "steps": 32, "keep": "all", "store": tmp_path}
    chosen = [XY], ["averaged[base=extragradient]"]
    mmbench.run(*chosen, metrics=["distance"], **common)
    frame = mmbench.run(*chosen, metrics=["distance", "field_norm"], **common)
    # On xy the field has the norm of the point at which it is taken.
    assert frame["field_norm"].to_numpy() == pytest.approx(
        frame["distance"].to_numpy(), rel=1e-6
    )
    assert frame["distance"].nunique() > 8


def test_an_answer_of_another_shape_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the method and what it must return."""
    cls = ALGORITHMS["averaged"]
    monkeypatch.setattr(cls, "answer", lambda self, z, state: z[:, :1])
    result = run("averaged")
    assert result.status[0].value == "error"
    assert "averaged.answer" in result.reason
    assert "must return a tensor of shape" in result.reason


# ---- schedules ----


@pytest.mark.parametrize("pair", ["0.3", "(0.3,0.1)"])
def test_steps_follow_the_schedule(pair: str) -> None:
    """Step t of GDA on xy is made with η/√(1 + t)."""
    zs, _ = iterates(f"scheduled[base=gda[step_size={pair}]]", 6)
    sizes = torch.tensor([0.3, 0.1 if "(" in pair else 0.3], dtype=torch.float64)
    z = zs[0]
    for t in range(6):
        x, y = z.unbind(1)
        z = z - sizes / math.sqrt(1 + t) * torch.stack((y, -x), 1)
        torch.testing.assert_close(zs[t + 1], z, rtol=1e-13, atol=0)


def test_a_cosine_falls_from_one_to_its_end() -> None:
    """Half a period, then constant."""
    schedule = SCHEDULES.build("cosine[steps=4,end=0.2]")
    time = torch.arange(7, dtype=torch.float64)[:, None]
    expected = [0.6 + 0.4 * math.cos(math.pi * min(t, 4) / 4) for t in range(7)]
    assert schedule.factor(time)[:, 0].tolist() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        if name == "accept_reject_search"  # hundreds of ascents in a step
        else name
        for name in sorted(ALGORITHMS)
    ],
)
def test_every_method_with_a_step_size_can_be_scheduled(name: str) -> None:
    """A schedule that stays at 1 changes no step, whatever the method."""
    if getattr(ALGORITHMS.build(name), "step_size", None) is None:
        with pytest.raises(MisfitError, match="must be a method with a step_size"):
            ALGORITHMS.build(f"scheduled[base={name}]")
        return
    game, words = playable(name, XY), f"scheduled[base={name},schedule=cosine[end=1]]"
    (plain, _), (constant, _) = (iterates(one, 4, game) for one in (name, words))
    for one, other in zip(plain, constant, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_step_maps_reach_into_wrappers() -> None:
    """The step size of the base method is swept, and the answer is measured."""
    at = [0.05, 0.1]
    nested = step_map(XY, "lookahead[base=scheduled[base=gda]]", at, at, steps=20)
    for row in nested.itertuples():
        size = f"({row.step_size_x},{row.step_size_y})"
        words = f"lookahead[base=scheduled[base=gda[step_size={size}]]]"
        zs, _ = iterates(words, 20)
        expected = zs[-1][0].norm() / zs[0][0].norm()
        assert row.distance == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("base", AT_ZERO)
def test_steps_of_length_zero_change_nothing(base: str) -> None:
    """A method stays where it is when the schedule has ended, without NaN."""
    words = f"scheduled[base={base},schedule=cosine[steps=3]]"
    frame = mmbench.run(
        ["bilinear"], [words], ["distance"], seeds=2, steps=9, records=9
    )
    assert set(frame["status"]) == {"finished"}
    late = frame[frame["step"] >= 4].groupby("seed")["distance"].nunique()
    assert (late == 1).all()


def test_a_method_of_one_number_can_be_scheduled() -> None:
    """Its step size is one column for both players; step sizes by player are not."""

    @dataclass(frozen=True, kw_only=True)
    class One(Algorithm):
        """GDA with one number as its step size."""

        step_size: float = 0.1

        cost = Cost(grad_x=1, grad_y=1)

        def step(self, oracle: Oracle, z: Tensor, state: Any) -> tuple[Tensor, Any]:
            """Make one step of every run."""
            return z - self.step_size * oracle.field(z), state

    column = torch.full((2, 1), 0.5)
    torch.testing.assert_close(One().with_scaled_steps(column).step_size, 0.1 * column)
    with pytest.raises(MisfitError, match="must allow a pair"):
        One().with_step_sizes(0.2, 0.2)


def test_alternating_steps_of_drift_regularisers_can_be_scheduled() -> None:
    """One player's step size is a column while the other's is zero."""
    words = "scheduled[base=discretisation_drift[first=x]]"
    frame = mmbench.run(
        ["bilinear"], [words], ["distance"], seeds=2, steps=3, records=3
    )
    assert set(frame["status"]) == {"finished"}

"""The gate finds planted faults, and compares methods with independent predictions."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from mmbench.algorithms import ALGORITHMS, GDA
from mmbench.core.cost import Cost
from mmbench.core.oracle import Oracle
from mmbench.engine.chunk import Chunk
from mmbench.metrics import METRICS
from mmbench.metrics.field_norm import FieldNorm
from mmbench.tasks import TASKS
from mmbench.testing.algorithms import check_replay
from mmbench.testing.gate import run_gate
from mmbench.testing.metrics import check_repetition
from mmbench.testing.theory import (
    PREDICTIONS,
    TOLERANCE,
    Comparison,
    Planar,
    compare_with_theory,
)

# Methods of which a step is neither linear nor has a linear special case.
WITHOUT_PREDICTION = {
    "accept_reject_search",
    "curvature_eg",
    "mirror_descent",
    "mirror_prox",
}
VARIANTS = (
    "alternating_gda[k=3,first=y]",
    "omd[optimism=0.4,first=zero]",
    "extragradient[ratio=0.5,minibatch=fresh]",
    "unrolled[k=1]",
    "cgd[solve=y]",
    "one_sided_cgd[player=x]",
    "alone[player=x]",
    "lola[shaping=both,alpha=(0.2,0.1)]",
    "runge_kutta[order=2]",
    "lookahead[base=cgd,k=3]",
    "averaged[base=omd]",
    "halpern[base=extragradient]",
    "eag[lipschitz_step=0.6]",
    "feg[comonotonicity=-0.2]",
    "halpern[base=proximal_point]",
    "smoothed_gda[penalty=(0.7,0.4),averaging=(0.2,0.9)]",
    "bcseg[ratio=0.3]",
    "discretisation_drift[own=(1,-0.5),interaction=(0.3,-1)]",
    "discretisation_drift[own=(1,-0.5),interaction=(0.3,-1),first=x]",
    "discretisation_drift[own=(1,-0.5),interaction=(0.3,-1),first=y]",
    "gradient_regularised[penalty=0.2]",
)


def test_predictions_are_of_algorithms() -> None:
    """No prediction is registered under a name that is none."""
    assert set(PREDICTIONS) <= set(ALGORITHMS)


@pytest.mark.parametrize("words", [*PREDICTIONS, *VARIANTS])
def test_methods_have_their_predicted_radii(words: str) -> None:
    """The largest relative error over the linear games is below 1e-9."""
    found = compare_with_theory(ALGORITHMS.build(words))
    assert found is not None
    assert found.radii in {3, 8}
    assert found.error <= TOLERANCE, found


@pytest.mark.parametrize(
    "words",
    [
        *sorted(WITHOUT_PREDICTION),
        "gda[direction=adam]",
        "alternating_gda[first=both]",
        "accept_reject[rule=notebook]",
        "follow_the_ridge[damping=0.1]",
        "runge_kutta[penalty=0.1]",
        "lookahead[base=omd]",
        "extragradient[decay=power]",
        "lookahead[base=sga]",
        "scheduled[base=omd]",
    ],
)
def test_other_options_have_no_prediction(words: str) -> None:
    """A formula is not used for options that it does not cover."""
    assert compare_with_theory(ALGORITHMS.build(words)) is None


XY = Planar(0, 1, 0, 0.5, 0.5)
ICR = [Planar(2, 10, 2, *pair) for pair in ((0.09, 0.01), (0.03, 0.03), (0.01, 0.09))]
# On xy at 0.5, and on x² + 10xy + y² at three pairs of step sizes, as two independent
# studies have found.
PUBLISHED = {
    "gda": (1.1180339887, 0.9624967532, 1.0423051377, 1.1164228590),
    "alternating_gda": (1.0, 0.91455, 0.99820, 1.07536),
    "extragradient": (0.9013878189, 0.87911, 0.95972, 1.05853),
    "omd": (0.7071067812, 0.87403, 0.95104, 1.05824),
    "proximal_point": (0.8944271910, 0.89572, 0.95941, 1.03896),
    "cgd": (0.8944271910, 0.8759791376, 0.9561006434, 1.0300084617),
    "lola": (0.9014, 0.8684, 0.9561, 1.0364),
    "unrolled[k=1]": (0.8660, 0.8629, 0.9492, 1.0248),
    "sga[weight=0.1]": (1.0735, 0.8245, 0.7568, 0.6400),
    "consensus[gamma=1]": (0.7071, 8.70, 3.28, 8.34),
    "runge_kutta": (0.9999, 0.9231, 1.0000, 1.0833),
    "lookahead[k=6]": (0.9019, 0.9098, 0.9541, 1.0167),  # a base step
    "follow_the_ridge": (1.1180, 5.32, 2.44, 1.48),
}


@pytest.mark.parametrize("words", PUBLISHED)
def test_predictions_are_the_published_numbers(words: str) -> None:
    """To all the digits that are given."""
    method: Any = ALGORITHMS.build(words)
    prediction = PREDICTIONS[words.partition("[")[0]]
    for game, published in zip((XY, *ICR), PUBLISHED[words], strict=True):
        found = prediction.multipliers(method, game)
        assert found is not None
        per_step = 1 / method.k if words.startswith("lookahead") else 1
        digits = len(f"{published}".partition(".")[2])
        radius = max(map(abs, found)) ** per_step
        assert radius == pytest.approx(published, abs=0.6 * 10.0**-digits)


def test_multipliers_are_roots_of_the_step_of_gda() -> None:
    """μ are the eigenvalues of diag(p, q) J, here by numpy."""
    game = Planar(2.0, 10.0, 3.0, 0.09, 0.01)
    steps = np.diag([game.p, game.q])
    expected = np.linalg.eigvals(steps @ [[game.a, game.b], [-game.b, -game.c]])
    assert sorted(game.mu, key=lambda one: one.imag) == pytest.approx(
        sorted(expected, key=lambda one: one.imag), rel=1e-14
    )


def test_a_wrong_step_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative error of 1e-7 in a move of GDA is above the tolerance."""
    step = GDA.step

    def slightly_longer(self: GDA, oracle: Any, z: Any, state: Any) -> Any:
        moved, state = step(self, oracle, z, state)
        return z + (1 + 1e-7) * (moved - z), state

    monkeypatch.setattr(GDA, "step", slightly_longer)
    found = compare_with_theory(GDA())
    assert found is not None
    assert TOLERANCE < found.error < 1e-7


def test_a_departure_from_theory_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative error above 1e-9 is one failed check, which names game and steps."""
    monkeypatch.setattr("mmbench.testing.algorithms.SMALL_TASKS", ("bilinear",))
    departed = Comparison(8, 2e-9, "g1 at (0.05, 0.04)", "", "")
    monkeypatch.setattr("mmbench.testing.gate.compare_with_theory", lambda _: departed)
    failed = [one for one in run_gate(GDA()) if one.result == "failed"]
    assert [one.check for one in failed] == ["theory"]
    assert "the largest relative error is 2.0e-09 at g1" in failed[0].details


@dataclass(frozen=True, kw_only=True)
class Priced(GDA):
    """GDA that declares too low a cost."""

    @property
    def cost(self) -> Cost:
        """One gradient too few."""
        return Cost(grad_x=1, grad_y=0)


def test_each_check_has_its_own_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong cost leaves the others as they are; an external class has no theory."""
    monkeypatch.setattr("mmbench.testing.algorithms.SMALL_TASKS", ("bilinear",))
    found = {one.check: one for one in run_gate(Priced())}
    assert {name: one.result for name, one in found.items()} == {
        "contract": "passed",
        "counted = declared": "failed",
        "neighbours ignored": "passed",
        "replay equal": "passed",
        "theory": "not checked",
    }
    assert "must use the grad_y it declares" in found["counted = declared"].details
    assert found["theory"].details == "no prediction is registered"


class Fickle(GDA):
    """GDA that draws from torch's own generator."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """Add noise."""
        z, state = super().step(oracle, z, state)
        return z + 1e-9 * torch.randn_like(z), state


def test_runs_that_are_not_repeated_are_found() -> None:
    """Noise that no seed fixes is found."""
    with pytest.raises(AssertionError, match="the same numbers each time"):
        check_replay(Fickle(), TASKS.build("bilinear"))


def test_what_a_checkpoint_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two whole runs agree; the one that goes on from a checkpoint has lost a bit."""
    restore = Chunk.restore

    def forgetful(self: Chunk, saved: dict[str, Any]) -> None:
        restore(self, saved | {"z": saved["z"].float().double()})

    monkeypatch.setattr(Chunk, "restore", forgetful)
    with pytest.raises(AssertionError, match="as if it had never stopped"):
        check_replay(GDA(), TASKS.build("bilinear"))


class Drifting(FieldNorm):
    """A norm that grows at every measurement."""

    measured = 0

    def measure(self, at: Any) -> Any:
        """Add what was measured before."""
        Drifting.measured += 1
        found = super().measure(at)
        return {name: values + Drifting.measured for name, values in found.items()}


def test_a_metric_that_is_not_repeated_is_found() -> None:
    """Two measurements of the same iterates must have the same bits."""
    with pytest.raises(AssertionError, match="the same field_norm each time"):
        check_repetition(Drifting(), TASKS.build("bilinear"))


def test_tasks_and_metrics_have_their_findings() -> None:
    """A task's gradients have an error; a metric of other games is left out."""
    found = {one.check: one for one in run_gate(TASKS.build("g3"))}
    assert all(one.result == "passed" for one in found.values()), found
    assert 0 < found["gradients"].figure < 1e-6
    assert [one.result for one in run_gate(METRICS.build("worst"))] == ["passed"]
    (left_out,) = run_gate(METRICS.build("class_histogram"))
    assert left_out.result == "not checked"
    assert "fits none of the small games" in left_out.details


def test_a_task_with_wrong_gradients_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure names the player whose gradient is off."""
    task = replace(TASKS.build("quadratic"), a=2.0)
    field = Oracle.field
    monkeypatch.setattr(Oracle, "field", lambda self, z: 1.001 * field(self, z))
    found = {one.check: one for one in run_gate(task)}
    assert found["gradients"].result == "failed"
    assert "player x is off by" in found["gradients"].details

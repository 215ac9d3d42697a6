"""Computations hold for what is right and fail for a planted error."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from mmbench.analysis import computations
from mmbench.analysis.computations import COMPUTATIONS, GENERATORS
from mmbench.studies.register import CLAIMS

_WRONG_LIMIT = GENERATORS["Jensen-Shannon"]._replace(at_zero=0.0)
_WRONG_SIGN = GENERATORS["Kullback-Leibler"]._replace(f=lambda u: -u * np.log(u))


def _radius_of_m(step: np.ndarray) -> Any:
    """The spectral radius of M instead of Id − M."""
    return np.abs(np.linalg.eigvals(np.eye(2) - step)).max(-1)


# What is right, with an error planted in the mathematics, the method or the game.
PLANTED: dict[str, dict[str, Any]] = {
    "disjoint_supports": {"generators": GENERATORS | {"Jensen-Shannon": _WRONG_LIMIT}},
    "perfect_discriminator": {"radius": 0.1},
    "best_discriminator": {"formula": lambda p, q: q / (p + q)},
    "table_of_divergences": {
        "generators": GENERATORS | {"Kullback-Leibler": _WRONG_SIGN}
    },
    "variational_bound": {"offset": -0.01},
    "integral_metrics": {"slope": 2.0},
    "warp_of_a_texture": {"image": np.linspace(0, 1, 64)[:, None] * np.ones((1, 64))},
    "icr_criterion": {"sign": -1.0},
    "stability_of_steps": {"criterion": _radius_of_m},
    "icr_weakens_with_curvature": {"growth": 1.0},
    "slow_y_is_stabler": {"task": "quadratic[c=-1]"},
    "one_critical_point": {"task": "escaping_saddles"},
    "cgd_region": {"method": "sga[{}]"},
    "low_momentum": {"turn": -1.0},
    "cgd_is_nash": {"method": "gda[step_size=(0.3,0.5)]"},
    "acgd_is_cgd": {"epsilon": 1e-5},
    "extra_loss": {"task": "quadratic[b=9]"},
    "ascent_raises_f": {"step": -0.02},
    "random_steps_are_orthogonal": {"mean": 1.0},
    "gradient_may_raise_h": {"step": 1e-4},
    "search_stops_after_rejections": {"patience": 2},
    "cost_of_accept_reject": {"answers": (1, 6, 1)},
    "memory_of_accept_reject": {"moments": ""},
    "saturating_gradients": {"confidence": 0.0},
    "dirac_gan_rotates": {"options": ",r1=1"},
    "kinds_of_points": {"turned": 1.0},
    "gan_without_equilibrium": {"penalty": 0.0},
}

# What is printed wrong, with the error mended.
MENDED: dict[str, dict[str, Any]] = {
    "best_discriminator_as_printed": {"formula": lambda p, q: p / (p + q)},
    "pearson_as_printed": {"integrand": lambda p, q: (q - p) ** 2 / q},
    "jensen_shannon_as_printed": {"half": 0.5},
    "stability_as_printed": {
        "criterion": lambda step: np.abs(np.linalg.eigvals(step)).max(-1)
    },
}


def test_computations_are_those_of_the_claims() -> None:
    """Each is some claim's, no claim names another, and each is tested below."""
    named = {one.computation for one in CLAIMS.values() if one.computation}
    assert named == set(COMPUTATIONS) == set(PLANTED) | set(MENDED)


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_right_holds(name: str) -> None:
    """It holds, and fails for the planted error."""
    found = COMPUTATIONS[name]()
    assert found.holds, found.measured
    assert found.measured
    with np.errstate(divide="ignore", invalid="ignore"):
        wrong = partial(getattr(computations, name), **PLANTED[name])()
    assert not wrong.holds, wrong.measured


@pytest.mark.parametrize("name", MENDED)
def test_what_is_printed_wrong_fails(name: str) -> None:
    """It fails, and holds once the error is mended."""
    assert not COMPUTATIONS[name]().holds
    mended = getattr(computations, name)(**MENDED[name])
    assert mended.holds, mended.measured


def test_computations_repeat_themselves() -> None:
    """A second call returns the same, to the last digit that is printed."""
    for name in ("icr_criterion", "kinds_of_points"):
        assert COMPUTATIONS[name]() == COMPUTATIONS[name]()


def test_divergences_of_a_table() -> None:
    """Two distributions on two cells, by hand."""
    p, q = np.array([0.5, 0.5]), np.array([0.25, 0.75])
    found = {
        name: computations._divergence(one, p, q) for name, one in GENERATORS.items()
    }
    assert found["Kullback-Leibler"] == pytest.approx(0.5 * np.log(4 / 3))
    assert found["reverse Kullback-Leibler"] == pytest.approx(
        0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    )
    assert found["Pearson"] == pytest.approx(0.0625 / 0.25 + 0.0625 / 0.75)
    assert found["Jensen-Shannon"] == pytest.approx(computations._jensen_shannon(p, q))

"""The authors' DiracGAN runs, to the digits known of them."""

import numpy as np
import pytest

import mmbench
from mmbench.algorithms import ALGORITHMS
from mmbench.tasks import TASKS
from mmbench.testing.step_matrices import dirac_matrix, radius

START = "start_at=(1,1)"


def final_distance(game: str, algorithm: str) -> float:
    """Distance to (0, 0) after the authors' 500 steps of 0.2 from (1, 1)."""
    frame = mmbench.run(
        [f"dirac_gan[{START},{game}]"],
        [f"{algorithm}[step_size=0.2]"],
        ["distance"],
        seeds=1,
        steps=500,
        records=1,
        dtype="float64",
    )
    assert set(frame.status) <= {"finished", "converged"}
    return float(frame.distance.iloc[-1])


@pytest.mark.parametrize(
    ("game", "algorithm", "expected"),
    [
        ("loss=saturating", "gda", 3.097),
        ("loss=saturating", "alternating_gda", 1.421),
        ("loss=nonsaturating", "gda", 0.640),
        ("loss=nonsaturating", "alternating_gda", 0.284),
    ],
)
def test_radius_after_500_steps(game: str, algorithm: str, expected: float) -> None:
    """Unregularised, the radius is the known one; the generator moves first."""
    assert final_distance(game, algorithm) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("loss", ["saturating", "nonsaturating"])
@pytest.mark.parametrize("algorithm", ["gda", "alternating_gda"])
@pytest.mark.parametrize("r1", [0.3, 1.0])
def test_r1_converges(loss: str, algorithm: str, r1: float) -> None:
    """With the gradient penalty all four reach the equilibrium."""
    assert final_distance(f"loss={loss},r1={r1}", algorithm) < 1e-5


@pytest.mark.parametrize(
    ("gamma", "expected"), [(0.3, 0.9656604), (1.0, 0.85), (2.0, 0.9598076)]
)
def test_r1_has_the_known_radius(gamma: float, expected: float) -> None:
    """One step of 0.3 around (0, 0): eigenvalues −γ/2 ± √(γ²/4 − φ'(0)²) of the flow.

    Source: Mescheder et al. 2018, lemma 3.3.
    """
    matrix = dirac_matrix(
        ALGORITHMS.build("gda[step_size=0.3]"), TASKS.build(f"dirac_gan[r1={gamma}]")
    )
    assert radius(matrix) == pytest.approx(expected, abs=1e-6)


def test_wasserstein_is_bilinear_within_its_clip() -> None:
    """Without a clip the Wasserstein DiracGAN is xy."""
    options = {"seeds": 3, "steps": 30, "records": 5, "dtype": "float64"}
    dirac = mmbench.run(
        ["dirac_gan[loss=wasserstein]"], ["gda"], ["distance"], **options
    )
    planar = mmbench.run(["bilinear"], ["gda"], ["distance"], **options)
    np.testing.assert_array_equal(dirac.distance, planar.distance)


def test_clip_holds_the_critic() -> None:
    """With the authors' clip y never leaves [-1, 1], and x cycles."""
    frame = mmbench.run(
        [f"dirac_gan[loss=wasserstein,clip=1,{START}]"],
        ["gda[step_size=0.2]"],
        ["distance"],
        seeds=1,
        steps=500,
        records=500,
        dtype="float64",
    )
    # x moves by at most 0.2 |y| a step, and turns around when y has crossed.
    assert frame.distance.max() < 5
    assert frame.distance[frame.step > 400].max() > 1

"""A CUDA device gives the table that the CPU gives, within a tolerance."""

import os

import numpy as np
import pytest
import torch
from playable import playable
from spec_variants import ALGORITHM_VARIANTS, TASK_VARIANTS

from mmbench.algorithms import ALGORITHMS
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)

STEPS = 6
# Of a column's largest value: float32 products are summed in another order, and six
# steps let the difference grow.
TOLERANCE = 1e-3


def assert_devices_agree(task: str, algorithm: str) -> None:
    """Every column of every record, but for the clock."""
    built = TASKS.build(task)
    method = ALGORITHMS.build(algorithm)
    if not method.needs <= built.gives:
        pytest.skip("the method cannot play this game")
    cell = Cell(
        task=built,
        algorithm=method,
        seeds=(0, 1, 2),
        steps=STEPS,
        records=3,
        metrics=metrics_for(built, []),
    )
    cpu, cuda = (
        run_cell(cell, Placement(torch.device(one))) for one in ("cpu", "cuda")
    )
    assert not cpu.reason
    assert not cuda.reason
    assert cpu.status == cuda.status
    for name, values in cpu.columns.items():
        scale = max(1.0, float(np.nanmax(np.abs(values), initial=0)))
        np.testing.assert_allclose(
            cuda.columns[name], values, atol=TOLERANCE * scale, err_msg=name
        )


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, *ALGORITHM_VARIANTS])
def test_methods(algorithm: str) -> None:
    """Each method on a game without data and on one with them."""
    for task in ("quadratic", "four_gaussians[hidden=8,noise=4,batch=16]"):
        assert_devices_agree(playable(algorithm, task), algorithm)


@pytest.mark.parametrize("task", TASK_VARIANTS)
def test_tasks(task: str) -> None:
    """Each game under the plainest method."""
    assert_devices_agree(task, "gda[step_size=0.01]")


@pytest.mark.parametrize(
    ("task", "algorithm"),
    [
        ("bilinear", "gda"),
        ("bilinear", "gda[step_size=2.0]"),  # diverges
        ("quadratic", "acgd[iterations=2]"),
        ("quadratic", "acgd"),
        ("bilinear", "follow_the_ridge"),
        ("random_quadratic", "cgd[step_size=10.0]"),
        ("random_quadratic[zero_sum=false]", "cgd[step_size=10.0]"),
        ("random_quadratic", "stackelberg"),
        ("four_gaussians", "acgd"),
        ("four_gaussians", "extragradient[direction=adam]"),
        ("four_gaussians", "accept_reject"),
    ],
)
def test_captured_steps(task: str, algorithm: str) -> None:
    """They have the bits, endings and charges of eager steps of the same device."""
    built = TASKS.build(task)
    cell = Cell(
        task=built,
        algorithm=ALGORITHMS.build(algorithm),
        seeds=(0, 1, 2),
        steps=50,
        records=3,
        metrics=metrics_for(built, []),
        keep="all",
    )
    eager, captured = (
        run_cell(cell, Placement(torch.device("cuda"), compiled=one))
        for one in (False, True)
    )
    assert (eager.backend, captured.backend) == ("eager", "captured")
    assert eager.status == captured.status
    np.testing.assert_array_equal(captured.iterates["z"], eager.iterates["z"])
    for name, values in eager.columns.items():
        np.testing.assert_array_equal(captured.columns[name], values, err_msg=name)
    for name, counted in eager.counts.items():
        np.testing.assert_array_equal(captured.counts[name], counted, err_msg=name)


@pytest.mark.skipif("MMBENCH_DATA" not in os.environ, reason="needs CIFAR10")
@pytest.mark.parametrize("algorithm", ["acgd[step_size=0.0001]", "extragradient"])
def test_images(algorithm: str) -> None:
    """Convolutions, batch normalisation and spectral normalisation."""
    words = "cifar10[channels=4,batch=8,images=200,spectral=true]"
    built = TASKS.build(words)
    cell = Cell(
        task=built,
        algorithm=ALGORITHMS.build(algorithm),
        seeds=(0,),
        steps=STEPS,
        keep="last",
    )
    cpu, cuda = (
        run_cell(cell, Placement(torch.device(one))) for one in ("cpu", "cuda")
    )
    np.testing.assert_allclose(cuda.iterates["z"], cpu.iterates["z"], atol=TOLERANCE)

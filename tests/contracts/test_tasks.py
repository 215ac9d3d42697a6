"""Every task keeps what a task must keep."""

import os
from pathlib import Path

import pytest
import torch
from images import fake_cifar10, fake_mnist
from spec_variants import IMAGE_TASK_VARIANTS, TASK_VARIANTS, first_of_each

from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.tasks import TASKS
from mmbench.testing import check_task
from mmbench.testing.tools import start_runs

NEEDS_MNIST = pytest.mark.skipif(
    not os.environ.get("MMBENCH_DATA"), reason="MMBENCH_DATA names no folder with MNIST"
)


EVERY_VARIANT = [*TASK_VARIANTS, *IMAGE_TASK_VARIANTS]


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write generated images where the data sets are looked for."""
    fake_cifar10(tmp_path, monkeypatch, train=20, test=10)
    fake_mnist(tmp_path, monkeypatch, train=20, test=10)


@pytest.mark.parametrize("words", first_of_each(TASK_VARIANTS))
def test_task_keeps_its_contract(words: str) -> None:
    """Check starts, losses, gradients, solutions and ten steps of GDA."""
    check_task(TASKS.build(words))


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("words", first_of_each(IMAGE_TASK_VARIANTS))
def test_image_task_keeps_its_contract(words: str) -> None:
    """Image tasks keep the contract on generated images, with metrics of few images."""
    task = TASKS.build(words)
    task.prepare(None)
    check_task(task, metrics=("losses[minibatches=1]",))


@NEEDS_MNIST
@pytest.mark.slow
@pytest.mark.parametrize("loss", ["nonsaturating", "saturating"])
def test_mnist_keeps_its_contract(loss: str) -> None:
    """The task on MNIST keeps the contract where the data set is available."""
    task = TASKS.build(f"mnist01[loss={loss},batch=4]")
    task.prepare(Path(os.environ["MMBENCH_DATA"]))
    check_task(task)


def test_every_task_has_a_variant() -> None:
    """The list of variants reaches every task that needs no download."""
    named = {words.partition("[")[0] for words in EVERY_VARIANT}
    assert named == set(TASKS) - {"mnist01"}


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("words", EVERY_VARIANT)
def test_precisions_start_at_the_same_point(words: str) -> None:
    """A seed starts at one point, rounded to the precision."""
    task = TASKS.build(words)
    single, double = (
        task.start(task.build(Placement(dtype=dtype)), generator(3, "start"))
        for dtype in (torch.float32, torch.float64)
    )
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, double.float(), rtol=0, atol=0)


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("words", EVERY_VARIANT)
def test_starts_are_allowed_points(words: str) -> None:
    """Starts of toy tasks are in the set that iterates are projected on."""
    oracle, z = start_runs(TASKS.build(words))
    if z.shape[1] == 2:
        assert torch.equal(oracle.project(z), z)

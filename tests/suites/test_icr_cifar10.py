"""The suites on CIFAR10: their settings, and small runs of them up to the report."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from images import fake_cifar10

from mmbench.analysis.results import load
from mmbench.cli import main
from mmbench.core.placement import Placement
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites import SUITES

# Rows of the paper's Table 3: experiment, optimiser.
TABLE = [
    "OGAN-0.0001L2+Adam",
    "OGAN-0.0001L2+ACGD",
    "OGAN-NOREG+Adam",
    "OGAN-NOREG+ACGD",
    "WGAN-GP+Adam",
    "WGAN-SN+Adam",
    "WGAN-NOREG+ACGD",
    "WGAN-GP+ACGD",
    "WGAN-0.01L2+Adam",
    "WGAN-0.001L2+Adam",
    "WGAN-0.001L2+ACGD",
]
CONTROLS = ["WGAN-NOREG+Adam", "WGAN-SN+ACGD"]


@pytest.mark.parametrize("name", ["icr_cifar10", "icr_cifar10_small"])
def test_settings_are_those_of_the_table(name: str) -> None:
    """Every row has its loss, penalties, normalisation, step size and critic steps."""
    cells = plan(SUITES[name])
    assert [cell.label.replace(" + ", "+") for cell in cells] == TABLE + CONTROLS
    for cell in cells:
        experiment, optimiser = cell.label.split(" + ")
        loss, regulariser = experiment.split("-")
        task, algorithm = cell.task, cell.algorithm
        adam = optimiser == "Adam"
        if loss == "OGAN":
            assert task.loss == ("nonsaturating" if adam else "saturating")
        else:
            assert task.loss == "wasserstein"
        l2 = float(regulariser.removesuffix("L2")) if "L2" in regulariser else 0
        assert task.l2 == l2
        assert task.penalty == (10 if regulariser == "GP" else 0)
        assert task.spectral is (regulariser == "SN")
        assert task.networks == "icr"
        assert algorithm.step_size == 1e-4
        if not adam:
            assert (algorithm.beta, algorithm.epsilon) == (0.99, 1e-5)
            continue
        assert algorithm.k == (5 if regulariser == "GP" else 1)
        assert algorithm.first == "y"
        assert algorithm.direction.beta1 == 0.5


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a folder with generated images."""
    return str(fake_cifar10(tmp_path, monkeypatch, train=200, test=100))


@pytest.mark.slow
def test_small_suites_run_and_are_reported(tmp_path: Path, data: str) -> None:
    """Every setting is run, measured, stored and shown; a second run computes none."""
    store, out = str(tmp_path / "store"), tmp_path / "report"
    table = ("icr_cifar10_small", "--steps", "2")
    for words in (table, ("icr_figure5_small",)):
        # Other processes would look for the real images.
        arguments = ["run", *words, "--store", store, "--data-dir", data]
        arguments += ["--workers", "1"]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
    frame = load(store)
    shortened = [replace(grid, steps=2) for grid in SUITES["icr_cifar10_small"].grids]
    planned = [
        *plan(replace(SUITES["icr_cifar10_small"], grids=tuple(shortened))),
        *plan(SUITES["icr_figure5_small"]),
    ]
    assert set(frame["label"]) == {cell.label for cell in planned}
    assert set(frame["status"]) == {"finished"}, set(frame["reason"])
    measured = ["fd_cifar10cnn_200", "cs_cifar10cnn_200", "loss_x", "loss_y"]
    assert np.isfinite(frame[measured]).all(axis=None)
    for cell in planned:
        footer = Store(store).footer(cell.key)
        assert set(footer["ideal"]) == {"fd_cifar10cnn_200", "cs_cifar10cnn_200"}
        assert footer["protocols"]["frechet_distance[count=200]"]["generated"] == 200
    again = CliRunner().invoke(main, ["plan", *table, "--store", store])
    assert "13 in" in again.output
    result = CliRunner().invoke(
        main, ["report", *table, "--store", store, "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert (out / "index.html").exists()
    rows = pd.read_csv(out / "results.csv")
    assert rows["label"].nunique() == 13
    check_figure5(Store(store))


def check_figure5(store: Store) -> None:
    """Check that checkpoints are of one training and only discriminators are new."""
    early, late, *against = plan(SUITES["icr_figure5_small"])
    frames = {
        cell.label: store.frame(cell.key).set_index(["seed", "step"])
        for cell in (early, late, *against)
    }
    for name in ("loss_x", "loss_y"):
        for seed in early.seeds:
            shorter, longer = (
                frames[cell.label].loc[(seed, early.steps), name]
                for cell in (early, late)
            )
            assert shorter == longer
    split = early.task.build(Placement()).dim_x
    for cell in against:
        before = store.iterates(cell.after.key)["z"][-1]
        after = store.iterates(cell.key)["z"][-1]
        assert (before[:, :split] == after[:, :split]).all()
        assert (before[:, split:] != after[:, split:]).any()
        # The generator makes the same images from the first record to the last.
        by_seed = frames[cell.label].groupby("seed")
        spread = by_seed.max(numeric_only=True) - by_seed.min(numeric_only=True)
        assert (spread["fd_cifar10cnn_200"] == 0).all()
        assert (spread["loss_y"] > 0).all()

"""The Python interface: `mmbench.run`."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mmbench
from mmbench.algorithms.gda import GDA
from mmbench.api import run
from mmbench.core.docstrings import doc_of
from mmbench.core.errors import DeviceError, MmbenchError
from mmbench.runner.plan import plan
from mmbench.runner.provenance import same_environment
from mmbench.store.folder import Store
from mmbench.suites.base import Suite, grid_fields
from mmbench.tasks.bilinear import Bilinear

SMALL = {"seeds": 2, "steps": 4, "records": 2}
# Settings of a run that users choose, each with a value that is not its default.
SETTINGS = {
    "seeds": 3,
    "first_seed": 5,
    "steps": 7,
    "budget": 9,
    "unit": "samples",
    "records": 2,
    "dtype": "float64",
    "precision": "bf16",
    "keep": "last",
    "keep_state": True,
}


def test_run_has_an_argument_for_every_setting() -> None:
    """With the default of its declaration, and documented."""
    arguments = inspect.signature(run).parameters
    declared = {
        field.name: field.default
        for field in grid_fields()
        if field.metadata.get("option")
    }
    assert set(declared) == set(SETTINGS)
    for name, default in declared.items():
        assert arguments[name].default == default
        assert arguments[name].kind is inspect.Parameter.KEYWORD_ONLY
    documented = doc_of(type("Run", (), {"__doc__": run.__doc__})).arguments
    assert set(arguments) <= set(documented)


@pytest.mark.parametrize("name", SETTINGS)
def test_run_passes_every_setting_on(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the grid that is planned."""
    suites: list[Suite] = []

    def planned(suite: Suite) -> Any:
        suites.append(suite)
        return plan(suite)

    monkeypatch.setattr("mmbench.api.plan", planned)
    options = SMALL | ({"budget": 9} if name == "unit" else {})
    with_data = "four_gaussians[hidden=4,noise=2,batch=4]"
    game = with_data if name == "unit" else "bilinear[dim=2]"
    mmbench.run([game], ["gda"], **options | {name: SETTINGS[name]})
    assert getattr(suites[0].grids[0], name) == SETTINGS[name]


def test_run_returns_the_tidy_table() -> None:
    """It has a row for each cell, seed and record, and the columns of the readme."""
    frame = mmbench.run(["bilinear", "quadratic"], ["gda", "omd"], **SMALL)
    assert list(frame.columns[:13]) == [
        "task",
        "algorithm",
        "label",
        "seed",
        "step",
        "grad_x",
        "grad_y",
        "hvps",
        "values",
        "samples",
        "cell_seconds",
        "status",
        "stopped_at",
    ]
    assert len(frame) == 2 * 2 * 2 * 4  # records 0, 1, 2, 4
    assert frame.distance.notna().all()


def test_specs_and_descriptions_mix() -> None:
    """A description may stand where a spec does; a label stands before a spec."""
    specs = mmbench.run(["bilinear[dim=2]"], ["a = gda[step_size=0.2]"], **SMALL)
    objects = mmbench.run([Bilinear(dim=2)], [GDA(step_size=0.2)], **SMALL)
    assert set(specs.label) == {"a"}
    assert set(objects.label) == {"gda[step_size=0.2]"}
    np.testing.assert_array_equal(specs.distance, objects.distance)
    np.testing.assert_array_equal(specs.key, objects.key)


def test_nothing_is_written_without_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`store=None` leaves no file behind."""
    monkeypatch.chdir(tmp_path)
    mmbench.run(["bilinear"], ["gda"], **SMALL)
    assert list(tmp_path.rglob("*")) == []


def test_stored_cells_are_read(tmp_path: Path) -> None:
    """The second call reads the same table from the store, seconds included."""
    call = {"tasks": ["bilinear"], "algorithms": ["gda"], "store": tmp_path} | SMALL
    first, second = mmbench.run(**call), mmbench.run(**call)
    np.testing.assert_array_equal(first.cell_seconds, second.cell_seconds)
    np.testing.assert_array_equal(first.distance, mmbench.load(tmp_path).distance)


def test_kept_iterates_are_measured_again(tmp_path: Path) -> None:
    """With `keep`, another metric needs no second run: the seconds are the same."""
    call = {"tasks": ["bilinear"], "algorithms": ["gda"], "store": tmp_path} | SMALL
    first = mmbench.run(**call, keep="all", metrics=["distance"])
    more = mmbench.run(**call, keep="all", metrics=["distance", "gap"])
    np.testing.assert_array_equal(first.cell_seconds, more.cell_seconds)
    assert more.gap.notna().all()


def test_precision_is_another_cell() -> None:
    """Cells with rounded products have other keys than exact ones."""
    task = "four_gaussians[hidden=8,noise=4,batch=16]"
    exact = mmbench.run([task], ["gda"], ["field_norm"], **SMALL)
    rounded = mmbench.run([task], ["gda"], ["field_norm"], **SMALL, precision="bf16")
    assert set(exact.key).isdisjoint(rounded.key)
    assert (exact.field_norm != rounded.field_norm).any()


def test_chosen_metrics_are_measured() -> None:
    """So is the metric of the task's target."""
    frame = mmbench.run(["bilinear"], ["gda"], ["gap"], **SMALL)
    assert {"gap", "distance"} <= set(frame.columns)
    assert "field_norm" not in frame.columns


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tasks": ["bilinaer"]}, "Did you mean 'bilinear'?"),
        ({"algorithms": ["gda[step=1]"]}, "Did you mean 'step_size'?"),
        ({"metrics": ["gab"]}, "Did you mean 'gap'?"),
        ({"tasks": []}, "must name at least one"),
        ({"seeds": 0}, "Grid.seeds must be"),
        ({"dtype": "double"}, "Grid.dtype must be"),
        ({"precision": "half"}, "Grid.precision must be"),
        ({"keep": "some"}, "Grid.keep must be"),
        ({"device": "tpu"}, "device must be"),
    ],
)
def test_bad_arguments_are_refused(changes: dict, sentence: str) -> None:
    """One sentence says what is wrong, before any work."""
    call = {"tasks": ["bilinear"], "algorithms": ["gda"]} | SMALL | changes
    with pytest.raises(MmbenchError) as caught:
        mmbench.run(**call)
    assert sentence in str(caught.value)


def test_device_error_is_ours() -> None:
    """A missing device raises an error of mmbench."""
    assert issubclass(DeviceError, MmbenchError)


def test_run_takes_same_environment(store: Store) -> None:
    """`mmbench.run` computes a cell of another version again, if asked."""
    asked = dict(seeds=2, steps=3, records=1, store=store.folder)
    mmbench.run(["bilinear"], ["gda"], **asked)
    (key,) = store
    footer = store.footer(key)
    footer["provenance"] |= {"torch": "2.0.0"}
    store.put(key, store.frame(key), footer, {})
    version = store.version(key)
    mmbench.run(["bilinear"], ["gda"], **asked)
    assert store.version(key) == version
    mmbench.run(["bilinear"], ["gda"], **asked, same_environment=True)
    assert same_environment(store.footer(key)["provenance"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": 3}, "Unknown argument of run 'seed'. Did you mean 'seeds'?"),
        ({"tasks": "bilinear"}, "tasks must be a list of specs or descriptions"),
        ({"tasks": Bilinear()}, "tasks must be a list of specs or descriptions"),
        ({"tasks": [Bilinear]}, "not classes; got Bilinear. Write Bilinear()."),
        ({"metrics": "distance"}, "metrics must be a list of specs"),
        ({"algorithms": None}, "algorithms must be a list of specs"),
        ({"store": ""}, "A store must be a folder; got ''."),
        ({"data_dir": ""}, "data_dir must be a path; got ''."),
        ({"seeds": np.float64(2.5)}, "Grid.seeds must be a whole number"),
    ],
    ids=str,
)
def test_slips_are_explained(
    change: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """One sentence, before anything is computed or written."""
    monkeypatch.chdir(tmp_path)
    given = {"tasks": ["bilinear"], "algorithms": ["gda"]} | SMALL | change
    # Types are checked in tests alone, and only the whole function knows its names.
    call = mmbench.run if "seed" in change else inspect.unwrap(mmbench.run)
    with pytest.raises(MmbenchError) as caught:
        call(**given)
    assert sentence in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_numbers() -> None:
    """Settings may come from arrays; the keys are those of Python's numbers."""
    numbers = {name: np.int64(value) for name, value in SMALL.items()}
    with_numpy = inspect.unwrap(mmbench.run)(["bilinear"], ["gda"], **numbers)
    plain = mmbench.run(["bilinear"], ["gda"], **SMALL)
    assert set(with_numpy["key"]) == set(plain["key"])


def test_a_function_is_called_at_each_record() -> None:
    """It gets the table until then, which is drawn like any other."""
    seen: list[tuple[str, int, int]] = []

    def on_record(label: str, step: int, frame: pd.DataFrame) -> None:
        seen.append((label, step, len(frame)))
        assert set(frame["status"]) == {"running"}
        if step == 4:
            ax = mmbench.plot.convergence(frame)
            assert ax.get_ylabel() == "distance to the solutions"

    whole = run(["bilinear"], ["mine = gda"], **SMALL, on_record=on_record)
    steps = sorted(set(whole["step"]))
    assert seen == [("mine", step, 2 * at) for at, step in enumerate(steps, 1)]


def test_an_exception_of_the_function_ends_the_run() -> None:
    """It is the user's, and no error of the cell."""

    def stop(*_: Any) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        run(["bilinear"], ["gda"], **SMALL, on_record=stop)


def test_the_bar_is_shown_when_it_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(["bilinear"], ["gda"], **SMALL)
    assert capsys.readouterr().err == ""
    run(["bilinear"], ["gda"], **SMALL, progress=True)
    assert "8.00/8.00" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [{"progress": "yes"}, {"on_record": 3}, {"width": 0}, {"width": 5000}]
)
def test_wrong_words_of_a_call_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MmbenchError, match=f"{next(iter(wrong))} must be"):
        run(["bilinear"], ["gda"], **SMALL, **wrong)

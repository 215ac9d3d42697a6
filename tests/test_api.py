"""The Python way in."""

from pathlib import Path

import numpy as np
import pytest

import mmbench
from mmbench.algorithms.gda import GDA
from mmbench.core.errors import DeviceError, MmbenchError
from mmbench.runner.provenance import same_environment
from mmbench.store.folder import Store
from mmbench.tasks.bilinear import Bilinear

SMALL = {"seeds": 2, "steps": 4, "records": 2}


def test_run_returns_the_tidy_table() -> None:
    """One row for each cell, seed and record, and the columns of the readme."""
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


def test_words_and_descriptions_mix() -> None:
    """Objects stand where words do, labels before words."""
    words = mmbench.run(["bilinear[dim=2]"], ["a = gda[step_size=0.2]"], **SMALL)
    objects = mmbench.run([Bilinear(dim=2)], [GDA(step_size=0.2)], **SMALL)
    assert set(words.label) == {"a"}
    assert set(objects.label) == {"gda[step_size=0.2]"}
    np.testing.assert_array_equal(words.distance, objects.distance)
    np.testing.assert_array_equal(words.key, objects.key)


def test_nothing_is_written_without_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`store=None` leaves no file behind."""
    monkeypatch.chdir(tmp_path)
    mmbench.run(["bilinear"], ["gda"], **SMALL)
    assert list(tmp_path.rglob("*")) == []


def test_a_store_answers(tmp_path: Path) -> None:
    """Asked again, the same table comes from the store, seconds included."""
    ask = {"tasks": ["bilinear"], "algorithms": ["gda"], "store": tmp_path} | SMALL
    first, second = mmbench.run(**ask), mmbench.run(**ask)
    np.testing.assert_array_equal(first.cell_seconds, second.cell_seconds)
    np.testing.assert_array_equal(first.distance, mmbench.load(tmp_path).distance)


def test_kept_iterates_are_measured_again(tmp_path: Path) -> None:
    """With `keep`, another metric asks for no second run: the clock says so."""
    ask = {"tasks": ["bilinear"], "algorithms": ["gda"], "store": tmp_path} | SMALL
    first = mmbench.run(**ask, keep="all", metrics=["distance"])
    more = mmbench.run(**ask, keep="all", metrics=["distance", "gap"])
    np.testing.assert_array_equal(first.cell_seconds, more.cell_seconds)
    assert more.gap.notna().all()


def test_precision_is_another_cell() -> None:
    """Rounded products are another question than exact ones."""
    task = "four_gaussians[hidden=8,noise=4,batch=16]"
    exact = mmbench.run([task], ["gda"], ["field_norm"], **SMALL)
    rounded = mmbench.run([task], ["gda"], ["field_norm"], **SMALL, precision="bf16")
    assert set(exact.key).isdisjoint(rounded.key)
    assert (exact.field_norm != rounded.field_norm).any()


def test_chosen_metrics_are_measured() -> None:
    """Those asked for, and that of the task's target."""
    frame = mmbench.run(["bilinear"], ["gda"], ["gap"], **SMALL)
    assert {"gap", "distance"} <= set(frame.columns)
    assert "field_norm" not in frame.columns


@pytest.mark.parametrize(
    ("ask", "sentence"),
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
def test_bad_questions_are_refused(ask: dict, sentence: str) -> None:
    """In one sentence, before any work."""
    question = {"tasks": ["bilinear"], "algorithms": ["gda"]} | SMALL | ask
    with pytest.raises(MmbenchError) as caught:
        mmbench.run(**question)
    assert sentence in str(caught.value)


def test_device_error_is_ours() -> None:
    """A device that is not there is one of our errors."""
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

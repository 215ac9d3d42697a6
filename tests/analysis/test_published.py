"""Published results: boards made of them are those of the whole tables."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_results import section_of

import mmbench
from mmbench.analysis.leaderboard import contests
from mmbench.analysis.plot.curves import NAMES, contest_curves
from mmbench.analysis.published import (
    CELLS,
    CURVES,
    RUNS,
    is_published,
    publish,
    read_published,
)
from mmbench.analysis.results import Results, gather
from mmbench.core.errors import DamagedError, DescriptionError
from mmbench.store.folder import Store
from mmbench.store.tuning_record import COLUMNS, RECORD, TuningRecord


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that reach their target, miss it and break down."""
    folder = tmp_path_factory.mktemp("published") / "store"
    mmbench.run(
        ["bilinear", "quadratic"],
        ["gda[step_size=0.9]", "extragradient[step_size=0.5]", "omd[step_size=0.01]"],
        seeds=9,
        budget=400,
        records=20,
        store=folder,
    )
    return folder


@pytest.fixture
def published(store: Path, tmp_path: Path) -> Path:
    """What was published of them."""
    folder = tmp_path / "published"
    publish(gather(Store(store)), folder)
    return folder


def test_boards_are_the_same(store: Path, published: Path) -> None:
    whole, found = gather(Store(store)), read_published(published)
    assert set(whole.frame["status"]) == {"converged", "finished", "diverged"}
    assert len(found.frame) == 2 * 9 * 6 < len(whole.frame)
    pd.testing.assert_frame_equal(
        mmbench.leaderboard(whole), mmbench.leaderboard(found)
    )
    for key, footer in found.footers.items():
        assert footer == whole.footers[key] | {"alike": False}


def test_what_is_published_again_is_the_same(published: Path, tmp_path: Path) -> None:
    publish(read_published(published), tmp_path / "again")
    for name in (RUNS, CELLS, CURVES):
        again = (tmp_path / "again" / name).read_bytes()
        assert again == (published / name).read_bytes()


def test_it_is_known_as_published(published: Path, store: Path) -> None:
    assert is_published(published)
    assert not is_published(store)


def test_curves_are_those_of_the_whole_table(store: Path, published: Path) -> None:
    whole, found = gather(Store(store)), read_published(published)
    for contest in contests(whole).values():
        here, there = (contest_curves(one, contest) for one in (whole, found))
        assert here
        assert there
        assert here[0] == there[0]
        shared = ["key", "label", "step", "cost", *NAMES]
        curves, expected = (
            one[1][shared].sort_values(["key", "cost"], ignore_index=True)
            for one in (there, here)
        )
        pd.testing.assert_frame_equal(curves, expected, rtol=1e-6, check_dtype=False)
    made = [section_of("equal_cost", one) for one in (whole, found)]
    alts = [[f.alt for part in one.subsections for f in part.figures] for one in made]
    assert alts[0] == alts[1]
    assert section_of("convergence", found) is None


def test_a_record_of_tuning_goes_with_its_winners(store: Path, tmp_path: Path) -> None:
    trials = pd.DataFrame({name: ["a"] for name in COLUMNS})
    record = TuningRecord(trials, {"command": "µ"})
    whole = gather(Store(store))
    publish(whole._replace(tuning=record), tmp_path / "one")
    found = read_published(tmp_path / "one")
    assert found.tuning
    assert found.tuning.about == record.about
    publish(found, tmp_path / "two")
    one, two = ((tmp_path / name / RECORD).read_bytes() for name in ("one", "two"))
    assert one == two
    publish(whole, tmp_path / "two")  # a record that is there is left, and is no part
    assert (tmp_path / "two" / RECORD).read_bytes() == one
    assert read_published(tmp_path / "two").tuning is None


@pytest.mark.parametrize("name", [RUNS, CELLS, CURVES])
def test_a_changed_file_is_refused(published: Path, name: str) -> None:
    table = pq.read_table(published / name)
    column = table.column_names.index("key")
    other = pa.array(["0" * 24] * len(table))
    changed = table.set_column(column, "key", other)
    pq.write_table(changed, published / name)
    with pytest.raises(DamagedError):
        read_published(published)


def test_a_file_that_is_no_table_is_refused(published: Path) -> None:
    (published / CELLS).write_bytes(b"no table")
    with pytest.raises(DamagedError, match="Parquet"):
        read_published(published)


def test_nothing_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError, match="finished cell"):
        publish(Results(pd.DataFrame(), {}, None), tmp_path)


def test_a_store_is_not_published_into(store: Path) -> None:
    """Its cells would be hidden behind what was published."""
    with pytest.raises(DescriptionError, match="is a store"):
        publish(gather(Store(store)), store)


def test_runs_that_differ_between_their_ends_are_not_alike(tmp_path: Path) -> None:
    frame = mmbench.run(["bilinear"], ["gda"], seeds=3, steps=4, records=4)
    ends = frame.groupby("step").transform("first", numeric_only=True)
    at_ends = frame["step"].isin([0, 4])
    measured = [name for name in ends if name not in ("seed", "cell_seconds")]
    frame.loc[at_ends, measured] = ends.loc[at_ends, measured]
    mmbench.run(["bilinear"], ["gda"], seeds=3, steps=4, store=tmp_path / "s")
    footers = gather(Store(tmp_path / "s")).footers
    (key,) = footers
    results = Results(frame.assign(key=key), footers, None)
    publish(results, tmp_path / "published")
    found = read_published(tmp_path / "published")
    for one in (results, found):
        assert not mmbench.leaderboard(one)["alike"].any()

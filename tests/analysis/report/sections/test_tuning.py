"""Tuning: curves, maps and winners of a record beside the results of its suite."""

import json
from pathlib import Path
from shutil import copytree

import pandas as pd
import pytest

from mmbench.analysis.leaderboard import boards
from mmbench.analysis.report.page import prepare, write_report
from mmbench.analysis.report.sections import FILES, methods, tuning
from mmbench.analysis.report.sections.tuning import section, tuned_in_words
from mmbench.analysis.results import Results, gather, gather_planned
from mmbench.core.errors import StoreError
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.runner.tuning import Tuning, plan_tuning, tune, write_suite
from mmbench.runner.tuning_winners import winners
from mmbench.store.folder import Store
from mmbench.store.tuning_record import RecordFolder, TuningRecord, read_record
from mmbench.suites.base import Grid, Suite
from mmbench.suites.toml import load_suite

GRID = Grid(
    tasks=("bilinear",),
    algorithms=("EG = extragradient", "one = alone", "none = curvature_eg"),
    seeds=2,
    budget=600,
    records=10,
)
TUNING = Tuning(trials=4, seeds=2, repetitions=2)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results of winners, with their record."""
    folder = tmp_path_factory.mktemp("tuned")
    suite, kept = Suite(name="s", grids=(GRID,)), RecordFolder(folder)
    about = {"seed": 0, **TUNING._asdict()}
    record = tune(plan_tuning(suite, TUNING), kept, about, processes=1)
    store = Store(folder / "store")
    cells = plan(load_suite(write_suite(suite, record, folder, TUNING)))
    execute(cells, store)
    return gather_planned(store, cells)._replace(tuning=read_record(folder))


def test_each_method_has_a_curve_and_a_map(tuned: Results) -> None:
    made = section(tuned)
    assert made is not None
    curves, maps = made.subsections
    assert [one.title for one in curves.figures] == ["EG", "one"]
    assert [one.title for one in maps.figures] == ["EG", "one"]
    assert "after 4 trials, with a band from" in curves.figures[0].alt
    assert "Scores of 8 trials of EG" in maps.figures[0].alt
    assert set(made.files) <= set(FILES)
    table = made.files["tuning_curves.csv"]
    assert (table["low"] <= table["expected"]).all()
    assert (table["expected"] <= table["high"]).all()
    assert table.groupby("label").size().to_dict() == {"EG": 4, "none": 1, "one": 4}


def test_many_methods_have_no_pictures_of_their_own(
    tuned: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "MAX_DRAWN", 1)
    made = section(tuned)
    assert made is not None
    assert sum(len(part.figures) for part in made.subsections) <= 2
    assert made.subsections[0].notes == [tuning.CUT]
    assert len(made.subsections[0].tables[0].rows) == 3


def test_winners_of_repetitions_are_summarised(tuned: Results) -> None:
    made = section(tuned)
    assert made is not None
    (table,) = made.subsections[0].tables
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert list(rows) == ["EG", "one", "none"]
    assert tuned.tuning is not None
    best = winners(tuned.tuning)
    sizes = [
        json.loads(one)["step_size_x"]
        for one in best[best["label"] == "EG"]["hyperparameters"]
    ]
    low, high = sorted(sizes)
    shown = [f"{value:.3g}" for value in ((low + high) / 2, low, high)]
    assert rows["EG"][:2] == ["2 of 2", "{} ({} to {})".format(*shown)]
    # A method with nothing to tune has one winner and no step sizes.
    assert rows["none"][:3] == ["1 of 2", "–", "–"]


def test_winners_of_one_tuning_are_listed(tuned: Results) -> None:
    record = tuned.tuning
    assert record is not None
    first = record.trials[record.trials["repetition"] == 0]
    one = TuningRecord(first, record.about | {"repetitions": 1})
    made = section(tuned._replace(tuning=one))
    assert made is not None
    (table,) = made.subsections[0].tables
    best = winners(one).set_index("label")["algorithm"]
    assert {row[0].text: row[1].text for row in table.rows} == best.to_dict()


def test_a_map_has_all_winners_and_some_trials(
    tuned: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = section(tuned)
    assert made is not None
    assert made.subsections[1].notes == []
    monkeypatch.setattr(tuning, "MAX_POINTS", 4)
    cut = section(tuned)
    assert cut is not None
    assert cut.subsections[1].notes == [tuning.THINNED.format(count=1)]
    pairs = zip(made.subsections[1].figures, cut.subsections[1].figures, strict=True)
    for whole, thinned in pairs:
        assert len(thinned.svg) < len(whole.svg)
        assert thinned.alt == whole.alt


def test_the_page_says_what_the_verdicts_hold_for(
    tuned: Results, tmp_path: Path
) -> None:
    """At the top, and with the tables of the section beside it; bytes are the same."""
    words = (
        "Tuned on 4 trials x 2 seeds at 600 gradient-equivalents; the tuning was "
        "repeated 2 times with other trials and seeds, and the verdicts have the "
        "repetition as their unit."
    )
    assert tuned.tuning is not None
    assert tuned_in_words(tuned.tuning) == words
    first, *_ = tuned.tuning.about["tasks"].values()
    costs = "1000 gradient-equivalents", "1500 gradient-equivalents", "80 samples"
    tasks = {
        cost: first | {"budget": int(cost.split()[0]), "unit": cost.split()[1]}
        for cost in (*costs, costs[0])
    }
    several = TuningRecord(tuned.tuning.trials, tuned.tuning.about | {"tasks": tasks})
    assert " at 1000 or 1500 gradient-equivalents or 80 samples; " in tuned_in_words(
        several
    )
    one = TuningRecord(tuned.tuning.trials, tuned.tuning.about | {"repetitions": 1})
    assert "are conditional on one tuning" in tuned_in_words(one)
    pages = [
        write_report(tuned, tmp_path / name, name="s", title="").read_bytes()
        for name in ("a", "b")
    ]
    assert pages[0] == pages[1]
    assert words in pages[0].decode().partition("<nav")[0]
    assert len(pd.read_csv(tmp_path / "a" / "tuning.csv")) == 2 * (4 + 4 + 1)


def test_the_settings_of_many_winners_are_cut(
    tuned: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = methods.section(tuned)
    monkeypatch.setattr(methods, "MAX_SPECS", 1)
    cut = methods.section(tuned)
    rows = {
        part.title: (len(part.tables[0].rows), list(part.notes))
        for part in cut.subsections
        if part.title.startswith("Algorithm")
    }
    note = [methods.LEFT_OUT.format(count=1)]
    assert rows["Algorithm extragradient"] == (1, note)
    assert rows["Algorithm curvature_eg"] == (1, [])
    assert len(whole.subsections[0].tables[0].rows) == 2
    assert whole.subsections[0].notes == []


def test_results_without_a_record_have_no_such_section(tuned: Results) -> None:
    assert section(tuned._replace(tuning=None)) is None
    assert tuned.tuning is not None
    elsewhere = tuned.tuning.trials.assign(task="another")
    facts = {"tasks": {"another": tuned.tuning.about["tasks"]["bilinear"]}}
    other = TuningRecord(elsewhere, {**tuned.tuning.about, **facts})
    assert section(tuned._replace(tuning=other)) is None


def test_tracks_never_share_a_table(tuned: Results, tmp_path: Path) -> None:
    """A store that has both is compared by suite."""
    assert tuned.store is not None
    both = Store(copytree(tuned.store.folder, tmp_path / "both"))
    default = plan(Suite(name="d", grids=(GRID,)))[:1]
    execute(default, both)
    with pytest.raises(StoreError, match="must be of one track"):
        boards(gather(both))
    with pytest.raises(StoreError, match="Name a suite"):
        prepare(gather(both))
    assert boards(gather_planned(both, default)).by_task

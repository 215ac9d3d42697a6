"""Built-in suites of winners: their files say what the records do."""

from pathlib import Path

import pytest

from mmbench.runner.tuning import Tuning, plan_tuning, untuned, write_suite
from mmbench.store.tuning_record import read_record
from mmbench.suites import SUITES

NAMES = ("quick", "toy")


@pytest.mark.parametrize("name", NAMES)
def test_specs_are_the_winners_on_record(name: str, tmp_path: Path) -> None:
    """Written again from the record, the file is the same byte for byte."""
    suite = SUITES[name]
    record = read_record(Path(suite.tuned))
    tuning = Tuning(**{field: record.about[field] for field in Tuning._fields})
    written = write_suite(untuned(suite), record, tmp_path, tuning)
    assert (
        written.read_bytes() == Path(suite.tuned).with_name("suite.toml").read_bytes()
    )
    assert (
        f"mmbench tune {name} --trials 20 --tuning-seeds 3" in record.about["command"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_command_on_record_asks_for_the_trials_on_record(name: str) -> None:
    """So that it computes nothing again, and the trials are of this mmbench."""
    suite = SUITES[name]
    record = read_record(Path(suite.tuned))
    tuning = Tuning(**{field: record.about[field] for field in Tuning._fields})
    jobs = plan_tuning(untuned(suite), tuning)
    assert {job.key for job in jobs} == set(record.trials["key"])


@pytest.mark.parametrize("name", NAMES)
def test_no_tuning_seed_is_compared_on(name: str) -> None:
    suite = SUITES[name]
    trials = read_record(Path(suite.tuned)).trials
    for grid in suite.grids:
        compared = range(grid.first_seed, grid.first_seed + grid.seeds)
        assert set(trials["seed"]).isdisjoint(compared)
    # The repetitions have seeds of their own.
    ranges = {(grid.repetition, grid.first_seed, grid.seeds) for grid in suite.grids}
    if name == "toy":
        assert ranges == {(at, 8 * at, 8) for at in range(10)}


def test_the_record_is_found_from_any_folder() -> None:
    assert all(Path(SUITES[name].tuned).is_absolute() for name in NAMES)

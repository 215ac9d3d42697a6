"""`mmbench leaderboard --with`: a method among results that are not run again."""

import io
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from command_line import TINY, Cli

from mmbench.cli import _published
from mmbench.core.placement import Placement

SPEC = "M = mine.py:Mine[k=2]"


@pytest.fixture
def reference(cli: Cli) -> Cli:
    """Return the command line in a folder with results of two methods on two tasks."""
    grid = ("-t", "bilinear", "-t", "dirac_gan", "-a", "gda", "-a", "omd", *TINY)
    assert cli("run", *grid, "--store", "theirs").exit_code == 0
    return cli


def contents(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def table_of(result: Result) -> pd.DataFrame:
    assert result.exit_code == 0, result.stderr
    return pd.read_csv(io.StringIO(result.stdout))


def test_only_the_new_method_is_computed(reference: Cli) -> None:
    """Once, into a store of its own; the table is that of one store with all."""
    before = contents("theirs")
    words = ("leaderboard", "--with", SPEC, "--store", "theirs")
    first = reference(*words)
    assert "2 cells of M = mine.py:Mine[k=2]: 2 computed, 0 already" in first.stderr
    again = reference(*words)
    assert "0 computed, 2 already there. Store: mmbench-results" in again.stderr
    assert again.stdout == first.stdout
    assert contents("theirs") == before
    assert len(list(Path("mmbench-results").glob("*.parquet"))) == 2
    reference("store", "merge", "theirs", "--store", "mmbench-results")
    together = table_of(reference("leaderboard", "--store", "mmbench-results"))
    order = ["scope", "task", "label"]
    pd.testing.assert_frame_equal(
        table_of(first).sort_values(order, ignore_index=True),
        together.sort_values(order, ignore_index=True),
        check_like=True,
    )


def test_results_in_archives_are_joined(reference: Cli) -> None:
    """In those of `store export` and `submit`, and as published: the table is equal."""
    reference("store", "export", "--store", "theirs", "--out", "a.zip")
    reference("submit", "theirs", "--out", "b.zip")
    reference("leaderboard", "--store", "theirs", "--publish", "published")
    folder = reference("leaderboard", "--with", SPEC, "--store", "theirs")
    for place in ("a.zip", "b.zip", "published"):
        words = ("--with", SPEC, "--store", place)
        assert reference("leaderboard", *words).stdout == folder.stdout
    assert {path.name for path in Path().iterdir() if path.is_dir()} == {
        "theirs",
        "published",
        "mmbench-results",
    }


def test_a_rule_decides_whether_steps_are_compiled(
    reference: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for `mmbench run`: whether compiling saves time, not which command asks."""
    asked = []

    def remember(_cells: object, _store: object, placement: Placement) -> None:
        asked.append(placement.compiled)
        raise KeyboardInterrupt  # nothing is computed

    monkeypatch.setattr("mmbench.runner.execute.execute", remember)
    reference("leaderboard", "--with", SPEC, "--store", "theirs")
    assert asked == [None]


def test_the_reason_is_told_where_nothing_can_be_joined(reference: Cli) -> None:
    words = ("leaderboard", "--with", "M = mirror_prox", "--store", "theirs")
    refused = reference(*words)
    assert refused.exit_code == 2
    why = "it has none. bilinear is left out: mirror_prox needs a game of mixed"
    assert why in refused.stderr


def test_other_conditions_are_left_out(reference: Cli) -> None:
    """What the method cannot join is named, and not shown."""
    Path("chain.toml").write_text(
        '[[grid]]\ntasks = ["bilinear"]\nalgorithms = ["first = gda"]\nsteps = 30\n'
        'seeds = 2\n[[grid]]\ntasks = ["bilinear"]\nalgorithms = ["later = omd"]\n'
        'after = "first"\nsteps = 30\nseeds = 2\n'
    )
    assert reference("run", "chain.toml", "--store", "chain").exit_code == 0
    done = reference("leaderboard", "--with", SPEC, "--store", "chain")
    assert "Note: bilinear is left out: later must start where" in done.stderr
    assert set(table_of(done)["label"]) == {"first", "M"}


def test_damaged_results_are_left_out(reference: Cli) -> None:
    """They are named; the others are joined."""
    first = min(Path("theirs").glob("*.parquet"))
    first.write_bytes(b"PAR1")
    done = reference("leaderboard", "--with", SPEC, "--store", "theirs")
    assert f"Note: {first} must be a table that mmbench wrote" in done.stderr
    rows = table_of(done)
    assert sorted(rows.loc[rows["scope"] == "task", "label"].value_counts()) == [
        1,
        2,
        2,
    ]


def test_published_results_are_the_default(
    reference: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are none, a sentence names --store."""
    monkeypatch.setattr(_published, "CHECKOUTS", (Path("missing"),))
    refused = reference("leaderboard", "--with", SPEC)
    assert refused.exit_code == 2
    assert "--store must name the results that --with joins" in refused.stderr
    Path("reports").mkdir()
    Path("reports/leaderboard").symlink_to(Path("theirs").absolute())
    monkeypatch.setattr(_published, "CHECKOUTS", (Path("missing"), Path()))
    expected = reference("leaderboard", "--with", SPEC, "--store", "theirs").stdout
    assert reference("leaderboard", "--with", SPEC).stdout == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--with", "gda"), "must have a label of its own; 'gda' is taken"),
        (("--with", SPEC, "--with", SPEC), "must have a label of its own; 'M'"),
        (("--with", SPEC, "--out-store", "theirs"), "must be another folder than"),
        (("--with", SPEC, "-t", "bilinear"), "--with must stand without a suite"),
        (("--with", "x = mine.py:Nobody"), "Unknown class in mine.py 'Nobody'"),
        (("--with", "x = mine.py:Picky"), "never good enough"),
    ],
)
def test_what_is_refused(reference: Cli, words: tuple[str, ...], sentence: str) -> None:
    """Before anything is computed."""
    result = reference("leaderboard", *words, "--store", "theirs")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not Path("mmbench-results").exists()


def test_a_method_that_fails_has_no_rank(reference: Cli) -> None:
    result = reference("leaderboard", "--with", "mine.py:Moody", "--store", "theirs")
    assert result.exit_code == 1
    assert "bilinear x Moody ended with an error: ValueError" in result.stderr

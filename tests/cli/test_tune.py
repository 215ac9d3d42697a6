"""`mmbench tune`: a record and the suite of the winners, which runs."""

from pathlib import Path

from command_line import Cli

from mmbench.store.tuning_record import read_record

GRID = ("-t", "bilinear", "-a", "EG = extragradient", "--budget", "40")
FEW = ("--records", "2", "--seeds", "2", "--trials", "3", "--tuning-seeds", "2")


def test_the_winners_can_be_run(cli: Cli) -> None:
    tuned = cli("tune", *GRID, *FEW, "-a", "mine = mine.py:Mine", "--out", "out/here")
    assert tuned.exit_code == 0
    assert "Record: out/here/tuning.parquet" in tuned.stdout
    assert "Next: mmbench run out/here/suite.toml" in tuned.stdout
    assert "EG on bilinear, repetition 1" in tuned.stderr
    record = read_record(Path("out/here"))
    command = record.about["command"]
    assert command.startswith("mmbench tune -t bilinear -a 'EG = extragradient'")
    assert "--budget 40" in command
    assert command.endswith("--seed 0 --repetitions 1 --out out/here")
    assert record.about["budgets"] == ["40 gradient-equivalents"]
    run = cli("run", "out/here/suite.toml", "--store", "s")
    assert run.exit_code == 0
    assert "2 cells of grid-tuned: 2 computed" in run.stdout
    markdown = ("--format", "markdown", "--store", "s")
    board = cli("leaderboard", "out/here/suite.toml", *markdown).stdout
    assert board.startswith(
        "# Leaderboard\n\nTuned on 3 trials x 2 seeds at 40 gradient-equivalents; the "
        "verdicts are conditional on one tuning, that of the winners on record."
    )
    Path("out/here/tuning.parquet").rename("elsewhere")
    left = cli("leaderboard", "out/here/suite.toml", *markdown)
    assert "What was tuned, and how, is left out." in left.stderr
    assert left.stdout.startswith(
        "# Leaderboard\n\nThe hyperparameters are winners of a tuning"
    )
    whole = cli("leaderboard", *markdown).stdout
    assert whole.startswith(
        "# Leaderboard\n\nThe hyperparameters are winners of a tuning"
    )
    Path("elsewhere").rename("out/here/tuning.parquet")
    again = cli("tune", *GRID, *FEW, "-a", "mine = mine.py:Mine", "--out", "out/here")
    assert again.exit_code == 0
    assert "EG on bilinear" not in again.stderr


def test_a_budget_must_be_given(cli: Cli) -> None:
    failed = cli("tune", "-t", "bilinear", "-a", "gda", "--out", "tuned")
    assert failed.exit_code == 2
    assert "Give --budget." in failed.stderr
    assert not Path("tuned").exists()


def test_a_record_grows_by_tasks_of_its_suite(cli: Cli) -> None:
    Path("two.toml").write_text(
        '[[grid]]\ntasks = ["bilinear", "dirac_gan"]\nalgorithms = ["gda"]\n'
        "seeds = 2\nbudget = 20\nrecords = 2\n",
        "utf-8",
    )
    words = ("two.toml", "--trials", "2", "--tuning-seeds", "1", "--out", "t")
    first = cli("tune", *words, "--only", "bilinear")
    assert first.exit_code == 0
    assert "--only bilinear" in read_record(Path("t")).about["command"]
    assert "dirac_gan" not in Path("t/suite.toml").read_text("utf-8")
    both = cli("tune", *words, "--only", "bilinear", "--only", "dirac_gan")
    assert both.exit_code == 0
    assert "gda on bilinear" not in both.stderr
    assert "gda on dirac_gan" in both.stderr
    assert Path("t/suite.toml").read_text("utf-8").count("[[grid]]") == 2
    lost = cli("tune", *words, "--only", "bilinear")
    assert lost.exit_code == 2
    assert "it has others of gda on dirac_gan." in lost.stderr
    wrong = cli("tune", *words, "--only", "forsaken")
    assert wrong.exit_code == 2
    assert "Known: bilinear, dirac_gan." in wrong.stderr

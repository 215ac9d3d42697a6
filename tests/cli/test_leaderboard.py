"""`mmbench leaderboard`: ranks in every format."""

import io
import json
from pathlib import Path

import pandas as pd
from command_line import Cli

import mmbench


def test_the_leaderboard_in_every_format(stored: Cli) -> None:
    """Data hold the numbers of `mmbench.leaderboard`, tables those of the page."""
    expected = mmbench.leaderboard("mmbench-results")
    read = pd.read_csv(io.StringIO(stored("leaderboard").stdout))
    assert list(read) == list(expected)
    assert read["success_high"].tolist() == expected["success_high"].tolist()
    rows = json.loads(stored("leaderboard", "--format", "json").stdout)
    assert [row["label"] for row in rows] == list(expected["label"])
    assert rows[0]["task"] is None
    tables = stored("leaderboard", "--format", "markdown").stdout
    assert (
        "## All tasks\n\nA run succeeds on bilinear, dirac_gan, if distance" in tables
    )
    assert "\n\n| Place | Algorithm | Success |" in tables
    assert "\n\nWithout a place: “gda”, as there is no other entry.\n" in tables
    result = stored("leaderboard", "--out", "t.tex")
    assert (result.stdout, result.stderr) == ("", "Leaderboard: t.tex\n")
    text = Path("t.tex").read_text("utf-8")
    assert text.count(r"\toprule") == 3
    assert "-- & gda & 0/2 & 0 \\% & 0 to 84 &" in text


def test_an_unknown_suffix_is_refused_before_anything_is_read(cli: Cli) -> None:
    result = cli("leaderboard", "--out", "t.xlsx")
    assert result.exit_code == 2
    assert "--out must end in one of .csv, .json, .parquet, .md, .tex" in result.stderr
    assert not Path("t.xlsx").exists()


def test_published_boards_are_made_again_and_joined(stored: Cli) -> None:
    """The page is the same byte for byte, and a method that joins is run alone."""
    done = stored("leaderboard", "--publish", "board")
    assert (done.exit_code, done.stdout) == (0, "")
    page = Path("board/README.md").read_bytes()
    assert b"## All tasks" in page
    stored("leaderboard", "--store", "board", "--out", "again.md")
    assert Path("again.md").read_bytes() == page
    html = Path("board/index.html").read_text("utf-8")
    assert html.index("Which method to use") < html.index("At equal cost")
    assert '<a href="curves.parquet">' in html
    stored("leaderboard", "--store", "board", "--publish", "again")
    files = sorted(path.name for path in Path("board").iterdir())
    assert files == sorted(path.name for path in Path("again").iterdir())
    for name in files:
        assert Path("board", name).read_bytes() == Path("again", name).read_bytes()
    assert stored("report", "--store", "board", "--out", "whole").exit_code == 0
    assert Path("whole/leaderboard.csv").exists()
    for form in ("csv", "json", "latex", "markdown"):
        words = ("leaderboard", "--format", form)
        assert stored(*words, "--store", "board").stdout == stored(*words).stdout
    method = ("--with", "mine = omd", "--out-store", "own")
    joined = stored("leaderboard", "--store", "board", *method)
    assert joined.exit_code == 0
    assert "mine" in set(pd.read_csv(io.StringIO(joined.stdout))["label"])
    refused = stored("leaderboard", "--store", "board", *method, "--publish", "x")
    assert "--publish must stand without --with" in refused.stderr


def test_two_suites_in_one_store_have_a_board_each(cli: Cli) -> None:
    """Other steps or step sizes never share a row, and cost is a budget of its own."""
    grid = ("-t", "bilinear", "-t", "dirac_gan", "--seeds", "2")
    for words in (
        ("-a", "GDA = gda", "-a", "EG = extragradient", "--steps", "4"),
        ("-a", "GDA = gda", "-a", "EG = extragradient", "--steps", "8"),
        ("-a", "GDA = gda[step_size=0.2]", "--steps", "8"),
        ("-a", "GDA = gda", "--budget", "16"),
    ):
        assert cli("run", *grid, *words).exit_code == 0
    table = mmbench.leaderboard("mmbench-results")
    of_game = table[table["task"] == "dirac_gan"]
    assert of_game.groupby("budget")["label"].agg(sorted).to_dict() == {
        "4 steps, 40 records": ["EG (4 steps)", "GDA (step_size=0.1, 4 steps)"],
        "8 steps, 40 records": [
            "EG (8 steps)",
            "GDA (step_size=0.1, 8 steps)",
            "GDA (step_size=0.2, 8 steps)",
        ],
        "16 gradient-equivalents, 40 records": [
            "GDA (step_size=0.1, 16 gradient-equivalents)"
        ],
    }
    overall = table[table["scope"] == "overall"]
    assert overall["budget"].nunique() == 3
    markdown = cli("leaderboard", "--format", "markdown").stdout
    assert "## All tasks with 8 steps, 40 records" in markdown
    assert "## dirac_gan (16 gradient-equivalents, 40 records)" in markdown
    assert cli("report", "--out", "page").exit_code == 0
    games = pd.read_csv("page/games.csv")
    assert set(games["task"]) == {
        f"{task} ({budget})"
        for task in ("bilinear", "dirac_gan")
        for budget in of_game["budget"]
    }


def test_a_board_is_made_for_a_capacity(stored: Cli) -> None:
    """More entries to come need a smaller p value."""
    stored("run", "-t", "dirac_gan", "-a", "omd", "--seeds", "9", "--steps", "40")
    stored("run", "-t", "dirac_gan", "-a", "gda", "--seeds", "9", "--steps", "40")
    words = ("leaderboard", "--format", "markdown", "--capacity")
    assert "on this board, of capacity 500, if" in stored(*words, "500").stdout
    refused = stored("leaderboard", "--capacity", "1")
    assert refused.exit_code == 2
    assert "must be a whole number of at least 2" in refused.stderr

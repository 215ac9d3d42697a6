"""`mmbench report`: a page of stored results."""

from pathlib import Path

from command_line import GRID, Cli


def test_report_writes_a_page(stored: Cli) -> None:
    result = stored("report", *GRID, "--out", "page")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "Report: page/index.html\n"
    assert "dirac_gan" not in Path("page/index.html").read_text()
    assert stored("report", "--out", "all").exit_code == 0
    assert "dirac_gan" in Path("all/index.html").read_text()


def test_report_writes_tables_in_latex(stored: Cli) -> None:
    """There is a file for each subsection with tables, and no page."""
    result = stored("report", *GRID, "--out", "tables", "--format", "latex")
    assert result.exit_code == 0, result.stderr
    assert "tables/leaderboard.tex\n" in result.stdout
    assert "\\toprule" in Path("tables/leaderboard.tex").read_text()
    assert not Path("tables/index.html").exists()


def test_names_of_files_are_no_folders(cli: Cli) -> None:
    for words in (
        ("report", "--out", "page.html"),
        ("store", "export", "--out", "cells.tar"),
        ("features", "train", "digits", "--out", "weights.pt"),
    ):
        result = cli(*words)
        assert result.exit_code == 2
        assert words[-1] in result.stderr
        assert not Path(words[-1]).exists()

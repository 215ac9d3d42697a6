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

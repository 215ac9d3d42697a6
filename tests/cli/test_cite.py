"""`mmbench cite`: BibTeX on stdout or in a file."""

from pathlib import Path

from command_line import Cli


def test_bibtex_is_printed_or_written(stored: Cli) -> None:
    shown = stored("cite")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.startswith("% the harness\n@misc{mmbench,")
    assert "% algorithm gda\n@misc{arrow1958studies," in shown.stdout
    assert stored("cite", "--out", "all.bib").exit_code == 0
    assert Path("all.bib").read_text("utf-8") == shown.stdout
    assert stored("cite", "--out", "all.txt").exit_code == 2

"""`mmbench results`: the tidy table in every format."""

import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from command_line import GRID, Cli

from mmbench.analysis.results import load
from mmbench.cli.results import FORMATS


def test_results_in_every_format(stored: Cli) -> None:
    frame = load("mmbench-results")
    shown = stored("results", "--format", "csv")
    read = pd.read_csv(io.StringIO(shown.stdout), keep_default_na=False, na_values=[""])
    assert list(read) == list(frame)
    assert read.distance.tolist() == pytest.approx(frame.distance.tolist(), nan_ok=True)
    rows = json.loads(stored("results", "--format", "json").stdout)
    assert len(rows) == len(frame)
    assert rows[0]["distance"] == frame.distance[0]
    binary = stored("results", "--format", "parquet").stdout_bytes
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(binary)), frame)
    table = stored("results", "--format", "markdown").stdout.splitlines()
    assert len(table) == len(frame) + 2
    assert len({line.count("|") for line in table}) == 1


def test_json_keeps_small_numbers_and_has_no_nan() -> None:
    frame = pd.DataFrame({"a": [1.25e-30, float("nan"), float("inf")], "b": [1, 2, 3]})
    assert json.loads(FORMATS["json"](frame)) == [
        {"a": 1.25e-30, "b": 1},
        {"a": None, "b": 2},
        {"a": None, "b": 3},
    ]


@pytest.mark.parametrize("name", ["t.csv", "t.json", "t.parquet", "t.md", "t.tex"])
def test_results_go_to_a_file_in_the_format_of_its_name(stored: Cli, name: str) -> None:
    result = stored("results", "--out", name)
    assert (result.exit_code, result.stdout) == (0, "")
    begins = {"t.csv": b"task,", "t.json": b"[{", "t.parquet": b"PAR1", "t.md": b"| ta"}
    begins["t.tex"] = b"% Needs"
    assert Path(name).read_bytes().startswith(begins[name])


def test_results_of_a_part(stored: Cli) -> None:
    shown = stored("results", *GRID).stdout
    assert set(pd.read_csv(io.StringIO(shown)).task) == {"bilinear"}
    partly = stored("results", *GRID, "-a", "omd")
    assert partly.exit_code == 0
    assert "1 of 2 cells are not in mmbench-results yet" in partly.stderr
    assert len(partly.stdout.splitlines()) == len(shown.splitlines())


@pytest.mark.usefixtures("stored")
def test_a_closed_pipe_is_quiet() -> None:
    done = subprocess.run(
        f"{sys.executable} -m mmbench results | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("task,")
    assert done.stderr == ""


@pytest.mark.usefixtures("terminal")
def test_parquet_is_not_for_a_terminal(stored: Cli) -> None:
    refused = stored("results", "--format", "parquet")
    assert refused.exit_code == 2
    assert "must go to a file or a pipe" in " ".join(refused.stderr.split())
    assert stored("results", "--format", "parquet", "--out", "t").exit_code == 0


def test_an_unwritable_out_is_refused(stored: Cli) -> None:
    result = stored("results", "--out", "none/t.csv")
    assert result.exit_code == 2
    assert "--out must be a file that can be written" in result.stderr
    page = stored("report", "--out", "mine.py")
    assert page.exit_code == 2
    assert "--out must be a folder" in page.stderr


def test_text_of_a_store_is_text_in_every_format() -> None:
    """Foreign text begins no formula, no HTML, no link and no column."""
    from mmbench.analysis.export import make_printable

    frame = pd.DataFrame({"=a|b": ["=1", "<b>`x`|&", "[a](b)\\", "gda[k=1]"]})
    csv = FORMATS["csv"](frame).decode().splitlines()
    assert csv == ["'=a|b", "'=1", "<b>`x`|&", "[a](b)\\", "gda[k=1]"]
    assert FORMATS["markdown"](frame).decode().splitlines() == [
        "| =a\\|b |",
        "| --- |",
        "| =1 |",
        "| \\<b\\>\\`x\\`\\|\\& |",
        "| [a]\\(b)\\\\ |",
        "| gda[k=1] |",
    ]
    hostile = pd.DataFrame({"a\x1b": ["\u202ereversed"]})
    for name in ("csv", "json", "markdown"):
        written = FORMATS[name](make_printable(hostile)).decode()
        assert "\x1b" not in written
        assert "\u202e" not in written


def test_a_full_disk_leaves_the_former_file(stored: Cli) -> None:
    Path("t.csv").write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        result = stored("results", "--out", "t.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.exit_code == 2
    assert "--out must be a file that can be written" in result.stderr
    assert Path("t.csv").read_text() == "old"
    assert not list(Path().glob("*.part"))


def test_results_go_through_links_and_into_devices(stored: Cli) -> None:
    """A link stays one, and a device is written to, not replaced."""
    Path("link.csv").symlink_to("target.csv")
    assert stored("results", "--out", "link.csv").exit_code == 0
    assert Path("link.csv").is_symlink()
    assert Path("target.csv").read_bytes().startswith(b"task,")
    assert stored("results", "--out", "/dev/null", "--format", "csv").exit_code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["t.xlsx", "t.latex", "t.txt", "t.csv.gz"])
def test_an_unknown_suffix_is_refused(stored: Cli, name: str) -> None:
    """One sentence says which are known; nothing is written."""
    done = stored("results", "--out", name)
    assert done.exit_code == 2
    assert "--out must end in one of .csv, .json, .parquet, .md" in done.stderr
    assert not Path(name).exists()
    assert stored("results", "--out", name, "--format", "csv").exit_code == 0
    assert Path(name).read_text().startswith("task,")


@pytest.mark.parametrize(
    ("name", "begin"),
    [("t.CSV", b"task,"), ("t", b"task,"), ("t.json", b"[{"), ("t.parquet", b"PAR1")],
)
def test_the_suffix_means_a_format(stored: Cli, name: str, begin: bytes) -> None:
    """In capitals as well; without a suffix it is CSV."""
    assert stored("results", "--out", name).exit_code == 0
    assert Path(name).read_bytes().startswith(begin)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("results", "--out", "table.csv"), "table.csv"),
        (("store", "export", "--out", "cells.zip"), "cells.zip"),
        (("report", "--out", "page"), "page/index.html"),
    ],
)
def test_what_a_killed_verb_left_goes_with_the_next(
    stored: Cli, words: tuple[str, ...], name: str
) -> None:
    """The temporary file beside the one that it was writing."""
    left = Path(f"{name}.{'0' * 32}.part")
    left.parent.mkdir(exist_ok=True)
    left.touch()
    os.utime(left, times=(0, 0))
    assert stored(*words).exit_code == 0
    assert Path(name).exists()
    assert not left.exists()

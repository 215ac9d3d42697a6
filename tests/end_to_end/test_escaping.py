"""Names, labels and reasons that hold markup, formulas or control characters.

They go from a suite or a foreign store through every table, page and terminal.
"""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from hostile_text import CONTROL_CHARACTERS, FORMULAS, LABELS

from mmbench.cli import main
from mmbench.core.errors import DescriptionError
from mmbench.core.printable import is_printable
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite


class Reader(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def safe(folder: Path) -> Reader:
    """Check that a report runs only its own script and loads nothing."""
    page = Reader((folder / "index.html").read_text())
    assert page.tags.count("script") == 1
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            assert re.match(r"#|data:|https://|[\w.-]+\.csv$", value or ""), value
    assert "49" not in page.text.partition("</h1>")[0][:200]
    for file in folder.iterdir():
        assert re.fullmatch(r"[a-z0-9_.-]{1,60}", file.name), file.name
    return page


def mmbench(*words: Any) -> Result:
    """Run a command line and return its result."""
    result = CliRunner().invoke(main, [str(word) for word in words], color=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a cell for each label."""
    folder = tmp_path_factory.mktemp("odd")
    algorithms = tuple(
        f"{one} = gda[step_size={at + 1}e-2]" for at, one in enumerate(LABELS)
    )
    grid = Grid(tasks=("bilinear",), algorithms=algorithms, seeds=2, steps=8, records=4)
    execute(plan(Suite(name="odd", grids=(grid,))), Store(folder / "store"))
    return folder / "store"


def test_labels_are_text_in_a_page(odd: Path, tmp_path: Path) -> None:
    """A page shows every label as it is written."""
    assert mmbench("report", "--store", odd, "--out", tmp_path / "page").exit_code == 0
    page = safe(tmp_path / "page")
    for label in LABELS:
        assert label in page.text


def test_labels_are_text_in_tables(odd: Path) -> None:
    """Every format of the table gives the labels back."""
    shown = mmbench("results", "--store", odd, "--format", "csv").stdout
    assert {row["label"] for row in csv.DictReader(io.StringIO(shown))} == set(LABELS)
    rows = json.loads(mmbench("results", "--store", odd, "--format", "json").stdout)
    assert {row["label"] for row in rows} == set(LABELS)
    table = mmbench("results", "--store", odd, "--format", "markdown").stdout
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
    assert len(set(bars)) == 1
    assert len(bars) == len(rows) + 2


@pytest.mark.parametrize("field", ["name", "title"])
def test_suites_are_text_in_a_page(field: str, odd: Path, tmp_path: Path) -> None:
    """A page shows names and titles of suites as they are written."""
    words = {"name": "s", "title": "t"} | {field: LABELS[1]}
    suite = tmp_path / "suite.toml"
    suite.write_text(
        "\n".join(f"{key} = {json.dumps(value)}" for key, value in words.items())
        + '\n[[grid]]\ntasks = ["bilinear"]\nseeds = 2\nsteps = 8\nrecords = 4\n'
        f"algorithms = [{json.dumps(LABELS[0] + ' = gda[step_size=0.01]')}]\n"
    )
    done = mmbench("report", suite, "--store", odd, "--out", tmp_path / "page")
    assert done.exit_code == 0, done.stderr
    assert LABELS[1] in safe(tmp_path / "page").text


@pytest.mark.parametrize("evil", [LABELS[1], LABELS[2], CONTROL_CHARACTERS], ids=ascii)
def test_a_foreign_store_is_escaped(
    evil: str, odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text of a foreign store is escaped in a page and on a terminal."""
    monkeypatch.chdir(tmp_path)
    source = Store(odd)
    key = next(iter(source))
    footer = source.footer(key)
    for name in ("task", "label", "algorithm", "reason", "target"):
        footer[name] = evil
    for name in ("method", "game"):
        footer[name] = dict.fromkeys(footer[name], evil) | {
            "arguments": {evil: evil},
            "sections": {evil: evil},
        }
    footer["protocols"] = {evil: {evil: evil, "weights": evil}}
    footer["provenance"] = footer["provenance"] | {"processor": evil, evil: evil}
    for column in footer["columns"]:
        column["title"] = column["unit"] = evil
    frame = source.frame(key).assign(task=evil, label=evil, algorithm=evil, reason=evil)
    kept = Store(tmp_path / "kept")
    kept.put(key, frame, footer, source.arrays(key))
    for words in (
        ["report", "--out", "page"],
        ["results"],
        ["results", "--format", "markdown"],
        ["results", "--format", "json"],
        ["replay", key],
        ["store", "ls"],
    ):
        done = mmbench(*words, "--store", kept.folder)
        assert done.exit_code in (0, 1, 2)
        assert not set("\x1b\x07\x9b\u202e\0") & set(done.output), words
    safe(tmp_path / "page")
    assert mmbench("verify", kept.folder).exit_code == 1


@pytest.mark.parametrize(
    "words",
    [
        "{}:T[k=1]",
        pytest.param("{}:Task", marks=pytest.mark.slow),
        pytest.param("bilinear[dim={}:Task]", marks=pytest.mark.slow),
    ],
)
def test_a_foreign_store_runs_nothing(
    words: str, odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Specs in a footer load no code from the working folder or the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("evil.py").write_text("open('done', 'w')\n")
    source, kept = Store(odd), Store("kept")
    for key, place in zip(source, ["evil.py", "evil"], strict=False):
        footer, evil = source.footer(key), words.format(place)
        footer |= {"task": evil, "metrics": {evil: "0"}, "protocols": {evil: {}}}
        frame = source.frame(key).assign(task=evil)
        kept.put(key, frame, footer, source.arrays(key))
        for verb in (["report"], ["results"], ["replay", key], ["store", "ls"]):
            assert mmbench(*verb, "--store", "kept").exit_code in (0, 1, 2)
        mmbench("run", "-t", "bilinear", "-a", "gda[step_size=0.01]", *SAME)
    assert not Path("done").exists()


SAME = ("--seeds", 2, "--steps", 8, "--records", 4, "--store", "kept")


@pytest.mark.parametrize(
    "label", [CONTROL_CHARACTERS, "a\nb", "a\tb", "\ud800", "a\u2028b"]
)
def test_labels_with_control_characters_are_refused(label: str) -> None:
    """Labels with control characters are refused when a grid is made."""
    with pytest.raises(DescriptionError, match="must be a sequence") as caught:
        Grid(tasks=("bilinear",), algorithms=(f"{label} = gda",))
    assert is_printable(str(caught.value))


@pytest.mark.parametrize("label", [*FORMULAS, "  =1"])
def test_labels_that_a_spreadsheet_would_compute_are_refused(label: str) -> None:
    """One sentence says so before any work, for labels and for names of suites."""
    done = mmbench("run", "-t", "bilinear", "-a", f"{label} = gda")
    assert done.exit_code == 2
    assert f"A label must not begin with {label.strip()[0]!r}" in done.stderr
    for field in ("name", "title"):
        with pytest.raises(DescriptionError, match=f"Suite.{field} must not begin"):
            Suite(**{"name": "x"} | {field: label})


def test_reasons_are_printable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of an external class is escaped in a table, a page and a terminal."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from mmbench import Algorithm, Cost\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Mine(Algorithm):\n"
        "    cost = Cost()\n"
        "    def step(self, oracle, z, state):\n"
        f"        raise ValueError({CONTROL_CHARACTERS!r} + '<script>\\nsecond line')\n"
    )
    words = ("-t", "bilinear", "-a", "mine.py:Mine", "--seeds", 1, "--steps", 2)
    done = mmbench("run", *words, "--report", "page")
    assert done.exit_code == 1
    assert "\\x1b[31mred" in done.stderr
    assert not set("\x1b\x07\x9b\u202e\0") & set(done.output)
    assert "<script>" in safe(Path("page")).text
    (reason,) = set(pd.read_csv("page/results.csv")["reason"])
    assert reason.endswith("<script>\nsecond line")
    assert is_printable(reason.replace("\n", ""))

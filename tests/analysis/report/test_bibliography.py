"""Tests of the BibTeX of results."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mmbench.algorithms import ALGORITHMS
from mmbench.analysis.report.bibliography import to_bibtex
from mmbench.analysis.results import Results
from mmbench.metrics import METRICS
from mmbench.tasks import TASKS

FOREIGN = {"source": "Żółć, {A} & Ölü 2020, 100 % {of} “η", "link": "javascript:x"}


def everything() -> list[dict]:
    """Return footers that name every built-in algorithm, task and metric."""
    known = [
        *({"algorithm": name, "task": "bilinear"} for name in ALGORITHMS),
        *({"algorithm": "gda", "task": name} for name in TASKS),
    ]
    footers = []
    for names in known:
        algorithm = ALGORITHMS.build(names["algorithm"])
        task = TASKS.build(names["task"])
        footers.append(
            names
            | {"method": {"source": str(algorithm.source or ""), "link": ""}}
            | {"game": {"source": str(task.source or ""), "link": ""}}
            | {"metrics": dict.fromkeys(METRICS, "")}
        )
    mine = {"algorithm": "Mine", "method": FOREIGN}
    twice = [footers[0] | mine, footers[0] | mine | {"method": dict(FOREIGN)}]
    other = {"source": FOREIGN["source"] + " two", "link": ""}
    return [*footers, *twice, footers[0] | mine | {"method": other}]


@pytest.fixture(scope="module")
def bibliography() -> str:
    """Return the BibTeX of everything."""
    return to_bibtex(everything())


def test_entries_are_valid_unique_and_sorted(bibliography: str) -> None:
    """Braces are balanced, text is ASCII, and keys differ."""
    assert bibliography.isascii()
    assert bibliography.count("{") == bibliography.count("}")
    keys = re.findall(r"^@misc\{(\S+),$", bibliography, re.MULTILINE)
    assert len(keys) == len(set(keys)) == bibliography.count("@")
    assert keys[0] == "mmbench"
    assert keys[1:] == sorted(keys[1:])
    for key in ("krizhevsky2009learning", "heusel2017gans", "schafer2019competitive"):
        assert key in keys
    assert {"zolc2020100", "zolc2020100b"} <= set(keys)
    assert "javascript" not in bibliography
    assert r"author = {Sch{\"{a}}fer and Anandkumar}" in bibliography


def test_comments_say_what_used_an_entry(results: Results) -> None:
    text = to_bibtex(results.footers.values())
    assert "% data of digits01\n@misc{alpaydin1998optical," in text
    assert "% metric frechet_distance\n@misc{heusel2017gans," in text
    assert "cgd" not in text


@pytest.mark.skipif(not shutil.which("bibtex"), reason="bibtex is not installed")
def test_bibtex_reads_every_entry(bibliography: str, tmp_path: Path) -> None:
    """The program neither warns nor fails."""
    (tmp_path / "all.bib").write_text(bibliography, encoding="utf-8")
    aux = "\\citation{*}\n\\bibstyle{plain}\n\\bibdata{all}\n"
    (tmp_path / "all.aux").write_text(aux, encoding="utf-8")
    done = subprocess.run(
        ["bibtex", "all"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    complaints = [
        line
        for line in done.stdout.splitlines()
        if line.startswith("Warning") and "empty year in mmbench" not in line
    ]
    assert complaints == []

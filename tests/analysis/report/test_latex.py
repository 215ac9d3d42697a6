"""Tests of tables in LaTeX: what is escaped, what is bold, what compiles."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hostile_text import LABELS
from report_results import only, section_of

from mmbench.analysis.report.latex import (
    MAX_ROWS,
    escape,
    format_frame,
    format_leaderboard,
    format_table,
)
from mmbench.analysis.report.page import write_tables
from mmbench.analysis.report.sections.base import Table, TableCell
from mmbench.analysis.results import Results


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "50 % & #1_a {b} $c$ ~^",
            r"50 \% \& \#1\_a \{b\} \$c\$ \textasciitilde{}\textasciicircum{}",
        ),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("Schäfer, Łukasz, Nuñez", r"Sch{\"{a}}fer, \L{}ukasz, Nu{\~{n}}ez"),
        ("η ≤ 10⁻³, Ω", r"$\eta$ $\leq$ 10$^{-}$$^{3}$, $\Omega$"),
        ("zᵀ x̃ η̂ ½", r"z$^{T}$ {\~{x}} {\^{$\eta$}} $\frac{1}{2}$"),
        ("“a” − b…", r"``a'' $-$ b\ldots{}"),
        ("汉", "汉"),
    ],
)
def test_text_is_escaped(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_all_signs_of_the_package_have_a_command() -> None:
    """What docstrings of mmbench hold, pdfLaTeX shows."""
    package = Path(format_table.__code__.co_filename).parents[2]
    for family in ("algorithms", "tasks", "metrics"):
        for path in (package / family).glob("*.py"):
            for letter in set(path.read_text("utf-8")):
                if not re.match(r"[\u0300-\u036f]", letter):
                    assert escape(letter).isascii(), (path.name, letter)


def test_powers_of_ten_and_bold_numbers() -> None:
    """Numbers are typeset, the best is bold, and pictures are left out."""
    row = [
        TableCell("a_b", label=True),
        TableCell("−1.5e−9", best=True),
        TableCell("", svg="<svg/>"),  # type: ignore[arg-type]
    ]
    made = format_table(Table("", ["Name", "#Value", "Picture"], [row]), "One", "t")
    assert r"a\_b & \textbf{$-1.5\times10^{-9}$} \\" in made
    assert r"\begin{tabular}{lr}" in made
    assert r"\caption{One.}\label{tab:t}" in made
    assert "Picture" not in made


def test_long_tables_are_broken_over_pages() -> None:
    frame = pd.DataFrame({"n": np.arange(MAX_ROWS + 1.0)})
    assert r"\begin{longtable}{r}" in format_frame(frame)
    assert "longtable}{" not in format_frame(frame.iloc[:-1])


def test_the_leaderboard_is_bold_where_methods_differ(results: Results) -> None:
    """A method that wins each of 20 pairs is bold in its table, and nowhere else."""
    seen = only(results, task="dirac_gan")
    first = seen.frame[seen.frame["seed"] == seen.frame["seed"].min()]
    runs = [
        first.assign(seed=seed, distance=first["distance"] + seed) for seed in range(20)
    ]
    frame = pd.concat(runs, ignore_index=True)
    other = frame.assign(label="worse", key="k", distance=frame["distance"] + 1e3)
    one = next(iter(seen.footers))
    footers = {one: seen.footers[one], "k": seen.footers[one] | {"label": "worse"}}
    footers = {key: footer | {"target": ""} for key, footer in footers.items()}
    both = pd.concat([frame, other], ignore_index=True)
    made = section_of("summary", seen._replace(frame=both, footers=footers))
    assert made
    bold = [line for line in format_leaderboard(made).split("\n") if "textbf" in line]
    assert len(bold) == 1
    assert bold[0].startswith("1 & GDA & 20 & \\textbf{")


TEX = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage{array,booktabs,longtable}
\begin{document}
%s
\end{document}
"""


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_tables_compile(results: Results, tmp_path: Path) -> None:
    """Every table of the page, and hostile labels, become a PDF."""
    files = write_tables(only(results, task="bilinear"), tmp_path)
    hostile = pd.DataFrame({"label": [one for one in LABELS if escape(one).isascii()]})
    (tmp_path / "hostile.tex").write_text(format_frame(hostile), encoding="utf-8")
    inputs = [rf"\input{{{file.name}}}\clearpage" for file in files]
    text = TEX % "\n".join([*inputs, r"\input{hostile}"])
    (tmp_path / "all.tex").write_text(text, encoding="utf-8")
    subprocess.run(
        ["pdflatex", "-interaction=batchmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "all.pdf").read_bytes().startswith(b"%PDF")

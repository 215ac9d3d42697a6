r"""Tables in LaTeX, with booktabs, of results and of the page.

Text is escaped, so that a label is shown and never obeyed: accents, Greek letters and
mathematical signs become commands that pdfLaTeX knows. Letters of other scripts stay as
they are, for XeLaTeX and LuaLaTeX.
"""

import re
import unicodedata
from collections.abc import Sequence

import pandas as pd

from mmbench.analysis.report.sections.base import (
    Section,
    Subsection,
    Table,
    TableCell,
)
from mmbench.analysis.report.sections.summary import CAPTION

PACKAGES = r"% Needs \usepackage{array,booktabs,longtable}."
MAX_ROWS = 40  # longer tables are broken over pages
WIDE_CHARACTERS = 34  # columns of longer texts have lines that are broken
MANY_COLUMNS = 8  # from which on such columns are narrower
SIGNIFICANT = 6  # digits of the numbers of a tidy table

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "\u00a0": "~",
    "\u202f": r"\,",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "∈": r"$\in$",
    "∞": r"$\infty$",
    "∇": r"$\nabla$",
    "∂": r"$\partial$",
    "√": r"$\surd$",
    "→": r"$\to$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "‖": r"$\|$",
    "ℓ": r"$\ell$",
    "∓": r"$\mp$",
    "⟨": r"$\langle$",
    "⟩": r"$\rangle$",
    "≈": r"$\approx$",
    "∠": r"$\angle$",
    "←": r"$\gets$",
    "∝": r"$\propto$",
    "½": r"$\frac{1}{2}$",
    "⁺": "$^{+}$",
    "⁻": "$^{-}$",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "œ": r"\oe{}",
    "ı": r"\i{}",
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
    "\u0328": "k",
}
_LETTERS = re.compile(r"(?s).[\u0300-\u036f]*")
_POWER = re.compile(r"(−?\d[\d.]*)e(−?\d+)")


def escape(text: str) -> str:
    """Return text that LaTeX shows as it is."""
    return "".join(map(_command, _LETTERS.findall(unicodedata.normalize("NFC", text))))


def _command(letter: str) -> str:
    """Return a letter or sign with its combining accents in LaTeX."""
    if letter in _SIGNS:
        return _SIGNS[letter]
    if letter.isascii():
        return letter
    if len(letter) > 1:
        accent = _ACCENTS.get(letter[-1])
        inner = _command(letter[:-1])
        return rf"{{\{accent}{{{inner}}}}}" if accent else inner + letter[-1]
    parts = unicodedata.normalize("NFKD", letter)
    if parts[0].isascii() and parts[1:] in _ACCENTS:
        accent = _ACCENTS[parts[1:]]
        return rf"{{\{accent}{{{parts[0]}}}}}"
    name = unicodedata.name(letter, "").split()
    if name[:1] == ["GREEK"] and name[-2:-1] == ["LETTER"]:
        greek = name[-1].lower().replace("lamd", "lambd")
        capital = "CAPITAL" in name
        return rf"$\{greek.capitalize() if capital else greek}$"
    if {"SUPERSCRIPT", "MODIFIER"} & {*name} and parts.isascii():
        return f"$^{{{parts}}}$"
    if "SUBSCRIPT" in name and parts.isascii():
        return f"$_{{{parts}}}$"
    return letter


def format_table(table: Table, caption: str, name: str) -> str:
    r"""Return a table of the page as a float, or as a longtable if it has many rows.

    Columns of pictures are left out.

    Args:
        table: the table.
        caption: replaces an empty caption of the table, and precedes any other.
        name: what `\ref` calls it, after "tab:".
    """
    columns = [
        at
        for at in range(len(table.columns))
        if not any(row[at].svg for row in table.rows)
    ]
    kinds = "".join(_kind(table, at) for at in columns)
    heading = _line([escape(table.columns[at].removeprefix("#")) for at in columns])
    rows = [_line([_cell(table, row, at) for at in columns]) for row in table.rows]
    caption = " ".join(filter(None, (_with_full_stop(caption), table.caption)))
    title = rf"\caption{{{escape(_with_full_stop(caption))}}}\label{{tab:{name}}}"
    if len(rows) > MAX_ROWS:
        return "\n".join(
            (
                rf"\begin{{longtable}}{{{kinds}}}",
                rf"{title}\\",
                r"\toprule",
                heading,
                r"\midrule",
                r"\endhead",
                r"\bottomrule",
                r"\endfoot",
                *rows,
                r"\end{longtable}",
                "",
            )
        )
    return "\n".join(
        (
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3.5pt}",
            title,
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            heading,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        )
    )


def format_subsection(title: str, part: Subsection, name: str) -> str:
    r"""Return all tables of a subsection.

    Args:
        title: title of the section.
        part: the subsection.
        name: what `\ref` calls its first table, after "tab:".
    """
    caption = ", ".join(filter(None, (title, part.title)))
    tables = [
        format_table(table, f"{caption}.", f"{name}-{number}" if number > 1 else name)
        for number, table in enumerate(part.tables, start=1)
    ]
    return "\n".join([PACKAGES, *tables])


def format_leaderboard(section: Section) -> str:
    """Return the first table of each subsection, which ranks the algorithms.

    Args:
        section: what `summary.section` makes.
    """
    tables = [
        format_table(
            part.tables[0],
            " ".join((f"{part.title or section.title}.", *part.prose, CAPTION)),
            f"leaderboard-{number}" if number > 1 else "leaderboard",
        )
        for number, part in enumerate(section.subsections, start=1)
    ]
    return "\n".join([PACKAGES, *tables])


def format_frame(frame: pd.DataFrame) -> str:
    """Return any table in LaTeX; numbers have six significant digits."""
    numeric = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame]
    columns = [
        f"{'#' if is_number else ''}{name}"
        for name, is_number in zip(frame, numeric, strict=True)
    ]
    rows = [
        [TableCell(_shown(value)) for value in row]
        for row in frame.itertuples(index=False)
    ]
    caption = "Results of mmbench"
    return f"{PACKAGES}\n{format_table(Table('', columns, rows), caption, 'results')}"


def _shown(value: object) -> str:
    shown = f"{value:.{SIGNIFICANT}g}" if isinstance(value, float) else str(value)
    if isinstance(value, float):
        shown = re.sub(r"e([+-])0*(\d+)", r"e\1\2", shown).replace("e+", "e")
        shown = shown.replace("-", "−").replace("inf", "∞").replace("nan", "–")
    return " ".join(shown.split())


def _kind(table: Table, at: int) -> str:
    """Return the kind of a column: numbers, a line of text, or several lines."""
    if table.columns[at].startswith("#"):
        return "r"
    longest = max((len(row[at].text) for row in table.rows), default=0)
    if longest <= WIDE_CHARACTERS:
        return "l"
    width = 0.3 if len(table.columns) < MANY_COLUMNS else 0.18
    return rf">{{\raggedright\arraybackslash}}p{{{width}\linewidth}}"


def _line(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _cell(table: Table, row: Sequence[TableCell], at: int) -> str:
    cell = row[at]
    if table.columns[at].startswith("#"):
        text = _POWER.sub(lambda power: f"\0{power[1]}\1{power[2]}\2", cell.text)
        shown = escape(text)
        shown = re.sub(
            "\0(.*?)\1(.*?)\2",
            lambda power: rf"${power[1]}\times10^{{{power[2]}}}$".replace("$-$", "-"),
            shown,
        )
    else:
        shown = escape(cell.text)
        if cell.code:  # has no spaces at which a line may end
            shown = re.sub(r"(,|\[|\\_)", r"\1\\allowbreak{}", shown)
    return rf"\textbf{{{shown}}}" if cell.best else shown


def _with_full_stop(text: str) -> str:
    """Return a text on one line that ends a sentence."""
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."

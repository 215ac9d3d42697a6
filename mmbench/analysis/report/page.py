"""Page: sections to one static HTML file, with CSV files beside it."""

import re
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from mmbench.analysis.report import style
from mmbench.analysis.report.sections import SECTIONS
from mmbench.analysis.results import Results, labels_of, tasks_of
from mmbench.core.errors import StoreError

_HERE = Path(__file__).parent


def write_report(results: Results, out: Path, *, name: str, title: str) -> Path:
    """Write `index.html` and its CSV files.

    The page needs nothing but itself, and the same results give the same bytes.

    Args:
        results: what to report on.
        out: folder to write into; made when absent.
        name: of the suite.
        title: one line about it.

    Returns:
        The page.

    Raises:
        StoreError: when there are no results, or the folder cannot be written.
    """
    if results.frame.empty:
        raise StoreError(
            f"A report must have at least one cell; the store {results.store.folder} "
            "gave none. Run the suite into this store first."
        )
    results = _unambiguous(results)
    sections = [made for make in SECTIONS.values() if (made := make(results))]
    files = {"results.csv": results.frame}
    for section in sections:
        files |= section.files
    page = _page(results, sections, list(files), name, title)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file, table in files.items():
            table.to_csv(out / file, index=False, lineterminator="\n")
        target = out / "index.html"
        target.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StoreError(
            f"--out must be a folder that can be written; {out} gave "
            f"{type(error).__name__}: {error.strerror}."
        ) from error
    return target


def _page(
    results: Results, sections: list, files: list[str], name: str, title: str
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    looks = style.looks(labels_of(results))
    runs = len(results.frame[["key", "seed"]].drop_duplicates())
    return environment.get_template("page.html").render(
        name=name,
        title=title or name,
        sections=sections,
        files=files,
        looks=looks,
        swatches=style.swatches(looks),
        counts={
            "tasks": len(tasks_of(results)),
            "algorithms": len(looks),
            "cells": len(results.footers),
            "runs": runs,
            "at_work": len(results.at_work),
            "missing": results.missing,
            "wanted": results.wanted,
        },
        slug=_slug,
        breakable=_breakable,
        spoken=_spoken,
        css=_own("page.css"),
        js=_own("page.js"),
    )


def _own(file: str) -> Markup:
    """A file beside this one, to stand in the page as it is."""
    return Markup((_HERE / file).read_text("utf-8"))  # noqa: S704  # our own text


def _slug(text: str) -> str:
    """A heading as an address on the page."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _breakable(words: str) -> Markup:
    """Words of a description, with places where a line may break."""
    return Markup("<wbr>").join(re.split(r"(?=\[)|(?<=[,_])", words))


def _spoken(paragraph: str) -> Markup:
    """A paragraph whose words between backticks are code."""
    parts = paragraph.split("`")
    if len(parts) % 2 == 0:  # a backtick stands alone
        return escape(paragraph)
    code = Markup("<code>{}</code>")
    told = [code.format(one) if at % 2 else one for at, one in enumerate(parts)]
    return Markup("").join(told)


def _unambiguous(results: Results) -> Results:
    """The results with labels that name one cell of a task each.

    A store may hold cells of one label on one task with several settings or budgets;
    they get the beginning of their keys.
    """
    met: dict[tuple[str, str], list[str]] = {}
    for key, footer in results.footers.items():
        met.setdefault((footer["task"], footer["label"]), []).append(key)
    shared = [key for keys in met.values() if len(keys) > 1 for key in keys]
    if not shared:
        return results
    footers = {
        key: footer | {"label": f"{footer['label']} ({key[:6]})"}
        if key in shared
        else footer
        for key, footer in results.footers.items()
    }
    labels = pd.Series({key: footer["label"] for key, footer in footers.items()})
    frame = results.frame.assign(label=results.frame["key"].map(labels))
    return results._replace(frame=frame, footers=footers)

"""The page: whole, escaped, offline, and the same bytes each time."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from report_results import (
    DIGITS,
    VIEWS,
    only,
    texts_of,
    with_unfinished,
)

import mmbench
from mmbench.analysis.report.page import write_report
from mmbench.analysis.report.sections import SECTIONS
from mmbench.analysis.results import Results, gather
from mmbench.core.errors import StoreError
from mmbench.store.folder import Store


@pytest.mark.parametrize(
    "view", ["one cell", "a broken algorithm", "no metrics", "all at work"]
)
def test_page_is_written(view: str, results: Results, tmp_path: Path) -> None:
    """From whatever results, a page that parses."""
    seen = VIEWS[view](results)
    written = write_report(seen, tmp_path, name="view", title="")
    Page(written.read_text("utf-8"))


def test_page_has_all_sections(page: str) -> None:
    found = Page(page)
    assert found.anchors == [
        "leaderboard",
        "convergence",
        "outcomes",
        "samples",
        "portraits",
        "methods",
        "provenance",
    ]


class Page(HTMLParser):
    """What a page loads, links and names; raises where tags do not match."""

    VOID = ("meta", "link", "img", "br", "wbr", "hr", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.uses: list[str] = []
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        told = dict(attrs)
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in told:
            self.ids.append(told["id"])
        if tag == "section":
            self.anchors.append(told["id"])
        if tag == "a":
            self.links.append(told["href"])
        elif tag == "use":
            self.uses.append(told["href"])
        else:
            self.loads += [told[name] for name in ("src", "href") if name in told]

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another"


def test_page_needs_no_network(page: str) -> None:
    """Everything it loads is inlined; nothing but sources links outside."""
    found = Page(page)
    assert found.loads
    assert all(one.startswith("data:") for one in found.loads)
    assert not found.tags & {"iframe", "object", "embed", "base"}
    assert "@import" not in page
    assert all(one.startswith("#") for one in re.findall(r"url\(([^)]*)\)", page))
    outside = {one for one in found.links if "//" in one}
    assert "https://arxiv.org/abs/1711.00141" in outside
    assert all(one.startswith("https://") for one in outside)


def test_page_names_are_unique_and_lead_somewhere(page: str) -> None:
    """Also those inside its figures, of which there are many on one page."""
    found = Page(page)
    assert len(found.ids) == len(set(found.ids))
    inner = [one[1:] for one in (*found.links, *found.uses) if one.startswith("#")]
    inner += re.findall(r"url\(#([^)]*)\)", page)
    assert set(inner) <= set(found.ids)


def test_page_escapes_what_users_give(page: str) -> None:
    """Labels, titles, reasons and docstrings are text, in figures as in tables."""
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "All &amp; &lt;more&gt;" in page
    for raw in ("<b>soon", "<i>further", "<i>On breaking"):
        assert raw not in page
        assert raw.replace("<", "&lt;") in page.replace("&gt;", ">")


def test_links_beside_the_page_exist(page: str, report_folder: Path) -> None:
    """Each CSV that is linked is there, and the tidy table is whole."""
    beside = {one for one in Page(page).links if one.endswith(".csv")}
    assert beside == {path.name for path in (report_folder / "out").glob("*.csv")}
    assert {"leaderboard.csv", "results.csv", "outcomes.csv", "methods.csv"} <= beside


def test_csv_holds_the_tidy_table(
    page: str, report_folder: Path, results: Results
) -> None:
    assert page
    again = pd.read_csv(report_folder / "out" / "results.csv")
    assert list(again) == list(results.frame)
    assert len(again) == len(results.frame)
    assert again["distance"].to_numpy() == pytest.approx(
        results.frame["distance"].to_numpy(), nan_ok=True
    )


def test_same_results_give_the_same_bytes(page: str, report_folder: Path) -> None:
    """Read again from the store and written elsewhere, every file is the same."""
    assert page
    other = report_folder / "again"
    write_report(
        gather(Store(report_folder / "store")), other, name="all", title="All & <more>"
    )
    first = {path.name: path.read_bytes() for path in (report_folder / "out").iterdir()}
    second = {path.name: path.read_bytes() for path in other.iterdir()}
    assert first == second


def test_labels_that_name_two_cells_are_told_apart(tmp_path: Path) -> None:
    """A store may hold two budgets of one label; a row is one cell."""
    mmbench.run(["bilinear"], ["GDA = gda"], seeds=2, steps=4, store=tmp_path / "store")
    mmbench.run(["bilinear"], ["GDA = gda"], seeds=2, steps=8, store=tmp_path / "store")
    both = gather(Store(tmp_path / "store"))
    write_report(both, tmp_path / "out", name="two", title="Two")
    table = pd.read_csv(tmp_path / "out" / "leaderboard.csv")
    labels = table.loc[table["scope"] == "task", "label"]
    assert set(labels) == {f"GDA ({key[:6]})" for key in both.footers}


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="at least one cell"):
        write_report(gather(Store(tmp_path / "empty")), tmp_path, name="no", title="")


def test_folder_that_cannot_be_written_is_said(
    results: Results, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError, match="--out must be a folder"):
        write_report(results, tmp_path / "file", name="no", title="")


def test_long_labels_may_be_broken_anywhere(results: Results, tmp_path: Path) -> None:
    """Held in a box that the style sheet keeps narrow, they overprint no number."""
    written = write_report(only(results, label="GDA"), tmp_path, name="one", title="")
    text = written.read_text("utf-8")
    assert re.search(r'class="label"[^>]*><span class="named"><svg .*<span>GDA<', text)
    rule = re.search(r"\.named {([^}]*)}", text)
    assert rule
    assert "overflow-wrap: anywhere" in rule[1]
    assert "max-width" in rule[1]


def test_tidy_table_survives_a_comma_in_a_label(
    results: Results, tmp_path: Path
) -> None:
    """Labels may hold what separates columns."""
    seen = only(results, task="bilinear", label="GDA")
    named = Results(
        seen.frame.assign(label='a,"b"\nc'),
        {key: one | {"label": 'a,"b"\nc'} for key, one in seen.footers.items()},
        seen.store,
    )
    write_report(named, tmp_path, name="one", title="One")
    text = (tmp_path / "results.csv").read_text("utf-8")
    assert set(pd.read_csv(io.StringIO(text))["label"]) == {'a,"b"\nc'}


def test_what_is_not_there_yet_is_said(results: Results, tmp_path: Path) -> None:
    """At the top of the page, and how far each cell at work has come."""
    seen = with_unfinished(results, DIGITS)
    text = write_report(seen, tmp_path, name="x", title="").read_text("utf-8")
    assert "1 of these cells is unfinished" in text
    assert f"3 of {seen.wanted} cells have no results yet" in text
    assert "unfinished, step 7" in text
    made = SECTIONS["outcomes"](seen)
    assert made
    table = made.subsections[0].tables[1]
    assert texts_of(table) == [[DIGITS, "GDA", "0 of 5", "3", "7 of 12"]]
    whole = write_report(results, tmp_path, name="x", title="").read_text("utf-8")
    assert "unfinished" not in whole
    assert "no results yet" not in whole

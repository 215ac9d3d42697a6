"""Tests that the page is complete, escaped, offline and the same each time."""

import io
import re
import resource
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import PROVENANCE, PageReader, planned, put_by_hand
from hostile_text import CONTROL_CHARACTERS, LABELS
from report_results import DIGITS, VIEWS, only, section_of, texts_of, with_unfinished

import mmbench
from mmbench.analysis.report import page as page_module
from mmbench.analysis.report.page import write_report
from mmbench.analysis.report.sections import FILES, RANKED, SECTIONS
from mmbench.analysis.report.sections.base import Section, Subsection
from mmbench.analysis.results import Results, gather
from mmbench.core.errors import StoreError
from mmbench.core.printable import is_printable, printable
from mmbench.store.folder import Store


@pytest.mark.parametrize(
    "view",
    [
        *("one cell", "a broken algorithm", "no metrics"),
        pytest.param("all unfinished", marks=pytest.mark.slow),
    ],
)
def test_page_is_written(view: str, results: Results, tmp_path: Path) -> None:
    """Any results give a page that parses."""
    seen = VIEWS[view](results)
    written = write_report(seen, tmp_path, name="view", title="")
    Page(written.read_text("utf-8"))


def test_page_has_all_sections(page: str) -> None:
    found = Page(page)
    assert found.anchors == [
        "answer",
        "equal-cost",
        "leaderboard",
        "games",
        "convergence",
        "outcomes",
        "samples",
        "portraits",
        "methods",
        "provenance",
    ]


class Page(HTMLParser):
    """A parser of what a page loads, links and names; it checks that tags match."""

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
        values = dict(attrs)
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "section":
            self.anchors.append(values["id"])
        if tag == "a":
            self.links.append(values["href"])
        elif tag == "use":
            self.uses.append(values["href"])
        else:
            self.loads += [values[name] for name in ("src", "href") if name in values]

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another"


def test_page_needs_no_network(page: str) -> None:
    """Everything that the page loads is inline; only sources link to other sites."""
    found = Page(page)
    assert found.loads
    assert all(one.startswith("data:") for one in found.loads)
    assert not found.tags & {"iframe", "object", "embed", "base"}
    assert "@import" not in page
    assert all(one.startswith("#") for one in re.findall(r"url\(([^)]*)\)", page))
    external = {one for one in found.links if "//" in one}
    assert "https://arxiv.org/abs/1711.00141" in external
    assert all(one.startswith("https://") for one in external)


def test_ids_are_unique_and_links_have_targets(page: str) -> None:
    """This includes the ids inside the many figures of a page."""
    found = Page(page)
    assert len(found.ids) == len(set(found.ids))
    inner = [one[1:] for one in (*found.links, *found.uses) if one.startswith("#")]
    inner += re.findall(r"url\(#([^)]*)\)", page)
    assert set(inner) <= set(found.ids)


def test_page_escapes_what_users_give(page: str) -> None:
    """Labels, titles, reasons and docstrings are text in figures and tables."""
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "All &amp; &lt;more&gt;" in page
    for raw in ("<b>soon", "<i>further", "<i>On breaking"):
        assert raw not in page
        assert raw.replace("<", "&lt;") in page.replace("&gt;", ">")


def test_linked_csv_files_exist(page: str, report_folder: Path) -> None:
    """The page links exactly the CSV files that lie next to it."""
    linked = {one for one in Page(page).links if one.endswith(".csv")}
    assert linked == {path.name for path in (report_folder / "out").glob("*.csv")}
    assert {"leaderboard.csv", "results.csv", "outcomes.csv", "methods.csv"} <= linked


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


@pytest.mark.slow
def test_same_results_give_the_same_bytes(page: str, report_folder: Path) -> None:
    """Results read again and written to another folder give the same files."""
    assert page
    other = report_folder / "again"
    write_report(
        gather(Store(report_folder / "store")), other, name="all", title="All & <more>"
    )
    first = {path.name: path.read_bytes() for path in (report_folder / "out").iterdir()}
    second = {path.name: path.read_bytes() for path in other.iterdir()}
    assert first == second


def test_cells_of_the_same_label_get_different_labels(tmp_path: Path) -> None:
    """A store may hold two budgets of one label; each cell has a row of its own."""
    mmbench.run(["bilinear"], ["GDA = gda"], seeds=2, steps=4, store=tmp_path / "store")
    mmbench.run(["bilinear"], ["GDA = gda"], seeds=2, steps=8, store=tmp_path / "store")
    both = gather(Store(tmp_path / "store"))
    write_report(both, tmp_path / "out", name="two", title="Two")
    table = pd.read_csv(tmp_path / "out" / "leaderboard.csv")
    labels = table.loc[table["scope"] == "task", "label"]
    assert set(labels) == {"GDA (4 steps)", "GDA (8 steps)"}
    assert set(table["budget"]) == {"4 steps, 40 records", "8 steps, 40 records"}


def test_empty_results_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="at least one cell"):
        write_report(gather(Store(tmp_path / "empty")), tmp_path, name="no", title="")


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_an_error(
    results: Results, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError, match="--out must be a folder"):
        write_report(results, tmp_path / "file", name="no", title="")


def test_long_labels_may_be_broken_anywhere(page: str) -> None:
    """Labels stay in a narrow box, so that they never overprint a number."""
    assert re.search(r'class="label"[^>]*><span class="named"><svg .*<span>GDA<', page)
    rule = re.search(r"\.named {([^}]*)}", page)
    assert rule
    assert "overflow-wrap: anywhere" in rule[1]
    assert "max-width" in rule[1]


def test_tidy_table_survives_a_comma_in_a_label(
    results: Results, tmp_path: Path
) -> None:
    """Labels may hold the separators of columns and rows."""
    seen = only(results, task="bilinear", label="GDA")
    named = Results(
        seen.frame.assign(label='a,"b"\nc'),
        {key: one | {"label": 'a,"b"\nc'} for key, one in seen.footers.items()},
        seen.store,
    )
    write_report(named, tmp_path, name="one", title="One")
    text = (tmp_path / "results.csv").read_text("utf-8")
    assert set(pd.read_csv(io.StringIO(text))["label"]) == {'a,"b"\nc'}


def test_unfinished_and_missing_cells_are_reported(
    page: str, results: Results, tmp_path: Path
) -> None:
    """The page counts them at its top and shows the progress of unfinished cells."""
    seen = with_unfinished(results, DIGITS)
    text = write_report(seen, tmp_path, name="x", title="").read_text("utf-8")
    Page(text)
    assert "1 of these cells is unfinished" in text
    assert f"3 of {seen.wanted} cells have no results yet" in text
    assert "unfinished, step 7" in text
    made = section_of("outcomes", seen)
    assert made
    table = made.subsections[0].tables[1]
    assert texts_of(table) == [[DIGITS, "GDA", "0 of 5", "3", "7 of 12"]]
    assert "unfinished" not in page
    assert "no results yet" not in page


def test_indented_paragraphs_are_preformatted(results: Results, tmp_path: Path) -> None:
    """An indented paragraph of a docstring keeps its lines."""
    seen = only(results, task="bilinear", label="GDA")
    footers = {
        key: footer | {"method": footer["method"] | {"text": "Text:\n\n    a\n      b"}}
        for key, footer in seen.footers.items()
    }
    page = write_report(seen._replace(footers=footers), tmp_path, name="x", title="")
    assert "<p>Text:</p>\n<pre>a\n  b</pre>" in page.read_text("utf-8")


QUADRATICS = ("quadratic[c=2]", "quadratic[c=-2]", "quadratic[c=0.2]")
FOREIGN = (
    *LABELS,
    "=1+1",
    CONTROL_CHARACTERS,
    "@SUM(A1)",
    "-1+1",
    "+A1",
    "\t=1",
    "-0.5",
)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a page of a store with text that is no mere text."""
    folder = tmp_path_factory.mktemp("foreign")
    store = Store(folder / "store")
    for index, text in enumerate(FOREIGN):
        cell = planned(QUADRATICS[index % 3], f"gda[step_size={index + 1}]", 2)
        described = {"summary": text, "rule": text, "text": text, "sections": {}}
        documentation = described | {
            "arguments": {"step_size": text, text: text},
            "source": text,
            "link": "javascript:alert(1)" if index % 2 else f"https://{text}",
        }
        column = {"name": f"distance{text}", "title": text}
        put_by_hand(
            store,
            cell,
            {},
            steps=(0, 3),
            status=("error", "error"),
            reasons=(text, text),
            label=text,
            target=text,
            game=documentation,
            method=documentation | {"cost": text},
            provenance=PROVENANCE | {text: text},
            arrays={"path": np.ones((2, 2, 2))} if not index else {},
        )
        frame = store.frame(cell.key).assign(label=text)
        frame[column["name"]] = [4.0, 1.0, 3.0, 2.0]
        stored = store.require(cell.key)
        columns = [column | {"better": "lower", "scale": "log"}]
        footer = stored.footer | {"columns": columns}
        store.put(cell.key, frame, footer, stored.arrays())
    write_report(gather(store), folder / "out", name="foreign", title="\x1b[31m")
    return folder / "out"


def test_foreign_text_is_text_on_the_page(foreign: Path) -> None:
    """No tag, address or control character of a store becomes one of the page."""
    text = (foreign / "index.html").read_text("utf-8")
    found = Page(text)
    assert all(is_printable(line.replace("\t", "")) for line in text.split("\n"))
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert 'href="javascript:' not in text
    assert len(found.ids) == len(set(found.ids))
    page = PageReader(text)
    shown = set(page.table("outcomes", "Number of runs").column("Algorithm"))
    visible = {printable(one).replace("\n", " ") for one in FOREIGN}
    assert {one.replace("\n", " ").strip() for one in visible} == shown


def test_foreign_text_is_text_in_spreadsheets(foreign: Path) -> None:
    """No cell of a CSV file begins a formula, but for negative numbers."""
    for path in foreign.glob("*.csv"):
        content = path.read_text("utf-8")
        assert all(is_printable(line.replace("\t", "")) for line in content.split("\n"))
        read = pd.read_csv(path, dtype=str, keep_default_na=False, header=None)
        for value in read.to_numpy().ravel():
            begins_formula = re.match(r"\s*[=+@-]", value)
            assert not begins_formula or float(value) < 0, (path.name, value)
    outcomes = pd.read_csv(foreign / "outcomes.csv", keep_default_na=False)
    assert {"'=1+1", "'@SUM(A1)", "'-1+1", "'+A1", "'\t=1", "-0.5"} <= set(
        outcomes["label"]
    )


def test_specs_that_differ_in_a_sign_have_their_own_addresses(foreign: Path) -> None:
    ids = PageReader((foreign / "index.html").read_text("utf-8")).ids
    for section in ("leaderboard", "convergence"):
        for wanted in ("c-2", "c-minus-2", "c-0-2"):
            # Their targets differ too, and stand in their names.
            begin = f"{section}-quadratic-{wanted}-target-"
            assert any(one.startswith(begin) for one in ids)


def test_headings_without_letters_have_addresses() -> None:
    """Equal and empty headings are numbered."""
    titles = ("a", "A!", "汉字", "", "a-2")
    sections = [
        Section(title="T", anchor="x", subsections=[Subsection(one) for one in titles])
    ]
    assert page_module._anchors(sections) == {
        "x": ["x-a", "x-a-2", "x-2", "x-3", "x-a-2-2"]
    }


@pytest.mark.slow
def test_a_full_disk_leaves_the_former_page(results: Results, tmp_path: Path) -> None:
    """Page and tables change together or not at all."""
    few = only(results, label="GDA", task="bilinear")
    write_report(few, tmp_path, name="old", title="")
    old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = len(old["index.html"]) - 1  # the tables are smaller, and have room
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(StoreError, match="--out must be a folder"):
            write_report(results, tmp_path, name="new", title="")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old


def test_tables_of_a_former_page_go(results: Results, tmp_path: Path) -> None:
    """What lies next to the page belongs to it, or to the user."""
    few = only(results, label="GDA", task="bilinear")
    (tmp_path / "mine.csv").write_text("mine")
    write_report(only(results, task="bilinear"), tmp_path, name="two", title="")
    assert (tmp_path / "comparisons.csv").exists()
    write_report(few, tmp_path, name="one", title="")
    assert not (tmp_path / "comparisons.csv").exists()
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_all_tables_are_known(results: Results) -> None:
    """Those of a tuning are of results with a record, and tested with its section."""
    made = [section_of(name, results) for name in (*RANKED, *SECTIONS)]
    files = {file for section in made if section for file in section.files}
    of_tuning = {"tuning.csv", "tuning_curves.csv"}
    assert files | of_tuning | {"results.csv"} == set(FILES)

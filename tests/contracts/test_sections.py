"""Sections and page: from full, thin and broken results, the same bytes, offline."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

import mmbench
from mmbench.analysis.report import sections, style
from mmbench.analysis.report.page import write_report
from mmbench.analysis.report.sections import SECTIONS
from mmbench.analysis.report.sections.base import Section, Table, number
from mmbench.analysis.results import Results, gather
from mmbench.core.errors import StoreError
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite

TOYS = ("bilinear", "bilinear[box=5]", "quadratic")
GAUSSIANS = "four_gaussians[hidden=8,noise=4,batch=16]"
DIGITS = "digits01[hidden=8,batch=16]"
IMAGES = (
    "frechet_distance[features=digitscnn,count=20]",
    "classifier_score[features=digitscnn,count=20]",
)
HOSTILE = '<script>alert("x")</script> & $m^2$ …'

OUTSIDE = '''
from dataclasses import dataclass
from mmbench import Algorithm, Cost, Source


@dataclass(frozen=True, kw_only=True)
class Breaks(Algorithm):
    """Breaks <b>soon</b>."""

    source = Source(authors="A & B", year=2024, title="<i>On breaking</i>")

    @property
    def cost(self):
        return Cost(grad_x=1, grad_y=1)

    def init(self, oracle, z):
        return ()

    def step(self, oracle, z, state):
        raise ValueError("no <i>further</i> than this")
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with toys, a GAN of points, one of images, and a broken cell."""
    folder = tmp_path_factory.mktemp("report")
    store = folder / "store"
    mine = folder / "mine.py"
    mine.write_text(OUTSIDE, encoding="utf-8")
    few = {"seeds": 3, "steps": 12, "records": 4, "store": store}
    broken = f"{HOSTILE} = {mine}:Breaks"
    mmbench.run(TOYS, ["GDA = gda", "EG = extragradient", broken], **few)
    mmbench.run([GAUSSIANS], ["GDA = gda[step_size=0.001]"], **few)
    mmbench.run([DIGITS], ["GDA = gda[step_size=0.01,direction=adam]"], IMAGES, **few)
    mmbench.run(["dirac_gan"], ["GDA = gda"], **few | {"seeds": 9})
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return gather(Store(folder / "store"))


@pytest.fixture(scope="module")
def page(folder: Path, results: Results) -> str:
    """The page of everything."""
    written = write_report(results, folder / "out", name="all", title="All & <more>")
    assert written == folder / "out" / "index.html"
    return written.read_text("utf-8")


def only(results: Results, **wanted: str) -> Results:
    """The cells with that label or task."""
    footers = {
        key: footer
        for key, footer in results.footers.items()
        if all(footer[name] == value for name, value in wanted.items())
    }
    frame = results.frame[results.frame["key"].isin(footers)]
    return Results(frame.reset_index(drop=True), footers, results.store)


def thin(results: Results, seeds: int) -> Results:
    """The results of the first seeds only."""
    frame = results.frame[results.frame["seed"] < seeds]
    return results._replace(frame=frame.reset_index(drop=True))


def blank(results: Results) -> Results:
    """All metrics of the second run missing, and all of a column."""
    frame = results.frame.copy()
    metrics = frame.columns[frame.columns.get_loc("reason") + 1 : -1]
    frame.loc[frame["seed"] == 1, metrics] = np.nan
    frame["field_norm"] = np.nan
    return results._replace(frame=frame)


def without_metrics(results: Results) -> Results:
    """Tables that lack every metric column, as no target or metric would give."""
    metrics = results.frame.columns[results.frame.columns.get_loc("reason") + 1 : -1]
    footers = {
        key: footer | {"columns": [], "target": ""}
        for key, footer in results.footers.items()
    }
    return Results(results.frame.drop(columns=metrics), footers, results.store)


def untargeted(results: Results) -> Results:
    """Tasks that declare no target."""
    footers = {key: one | {"target": ""} for key, one in results.footers.items()}
    return results._replace(footers=footers)


def at_work(results: Results, *tasks: str) -> Results:
    """The cells of some tasks unfinished; of none named, of all."""
    keys = [
        key for key, one in results.footers.items() if not tasks or one["task"] in tasks
    ]
    far = {"planned": 5, "ended": 0, "runs": 3, "step": 7}
    footers = {
        key: one | ({"at_work": far, "ideal": {}} if key in keys else {})
        for key, one in results.footers.items()
    }
    running = results.frame["key"].isin(keys)
    frame = results.frame.assign(
        status=results.frame["status"].mask(running, "running")
    )
    # The last record is still to come.
    frame = frame[~running | (frame["step"] < 12)].reset_index(drop=True)
    arrays = {key: results.store.arrays(key) for key in keys}
    return Results(frame, footers, results.store, arrays, len(footers) + 3)


VIEWS = {
    "everything": lambda results: results,
    "one algorithm": lambda results: only(results, label="GDA"),
    "one cell": lambda results: only(results, label="GDA", task="bilinear"),
    "a broken algorithm": lambda results: only(results, label=HOSTILE),
    "one seed": lambda results: thin(results, 1),
    "missing values": blank,
    "no metrics": without_metrics,
    "no target": untargeted,
    "images only": lambda results: only(results, task=DIGITS),
    "some at work": lambda results: at_work(results, "bilinear", DIGITS),
    "all at work": at_work,
}


def test_every_section_is_listed() -> None:
    """A file that is missing from the dict would silently be left out."""
    here = Path(sections.__file__).parent
    files = {path.stem for path in here.glob("*.py")} - {"__init__", "base"}
    assert files == set(SECTIONS)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", SECTIONS)
def test_section_renders(name: str, view: str, results: Results) -> None:
    """A section with data, or none; rows as wide as their tables."""
    made = SECTIONS[name](VIEWS[view](results))
    if made is None:
        assert name in ("convergence", "modes", "portraits", "summary")
        assert name != "summary" or view == "all at work"
        return
    assert isinstance(made, Section)
    assert made.parts
    for part in made.parts:
        for table in part.tables:
            assert all(len(row) == len(table.columns) for row in table.rows)
        for figure in part.figures:
            assert figure.alt
            assert bool(figure.drawn) is not bool(figure.address)


@pytest.mark.parametrize(
    ("name", "task", "there"),
    [
        ("modes", "bilinear", False),
        ("modes", GAUSSIANS, True),
        ("modes", DIGITS, True),
        ("portraits", "bilinear", True),
        ("portraits", DIGITS, False),
    ],
)
def test_section_without_data_is_left_out(
    name: str, task: str, there: bool, results: Results
) -> None:
    assert (SECTIONS[name](only(results, task=task)) is not None) is there


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


def test_links_beside_the_page_exist(page: str, folder: Path) -> None:
    """Each CSV that is linked is there, and the tidy table is whole."""
    beside = {one for one in Page(page).links if one.endswith(".csv")}
    assert beside == {path.name for path in (folder / "out").glob("*.csv")}
    assert {"leaderboard.csv", "results.csv", "outcomes.csv", "methods.csv"} <= beside


def test_csv_holds_the_tidy_table(page: str, folder: Path, results: Results) -> None:
    assert page
    again = pd.read_csv(folder / "out" / "results.csv")
    assert list(again) == list(results.frame)
    assert len(again) == len(results.frame)
    assert again["distance"].to_numpy() == pytest.approx(
        results.frame["distance"].to_numpy(), nan_ok=True
    )


def test_same_results_give_the_same_bytes(page: str, folder: Path) -> None:
    """Read again from the store and written elsewhere, every file is the same."""
    assert page
    other = folder / "again"
    write_report(
        gather(Store(folder / "store")), other, name="all", title="All & <more>"
    )
    first = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    second = {path.name: path.read_bytes() for path in other.iterdir()}
    assert first == second


def test_a_broken_cell_stays_on_the_page(results: Results) -> None:
    """Its runs count as failures, and its reason is told."""
    summary = SECTIONS["summary"](results)
    outcomes = SECTIONS["outcomes"](results)
    assert summary
    assert outcomes
    table = summary.files["leaderboard.csv"].set_index(["scope", "task", "label"])
    row = table.loc["task", "bilinear", HOSTILE]
    assert (row["converged"], row["runs"]) == (0, 3)
    told = outcomes.files["outcomes.csv"].query("label == @HOSTILE")
    assert set(told["status"]) == {"error"}
    assert told["reason"].str.contains("no <i>further</i> than this").all()


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


def test_outside_task_has_paths_without_field(results: Results) -> None:
    """Its words cannot be built; its paths are drawn all the same."""
    seen = only(results, task="bilinear")
    footers = {key: one | {"task": "Mine[a=1]"} for key, one in seen.footers.items()}
    moved = Results(seen.frame.assign(task="Mine[a=1]"), footers, seen.store)
    made = SECTIONS["portraits"](moved)
    assert made
    assert any("without the field" in one for one in made.parts[0].prose)
    assert len(made.parts[0].figures) == 2  # the broken cell has no path


class Moved(Store):
    """A store whose paths went elsewhere."""

    def __init__(self, of: Results, **paths: np.ndarray) -> None:
        super().__init__(of.store.folder)
        self.paths = {
            key: paths[footer["label"]]
            for key, footer in of.footers.items()
            if footer["label"] in paths
        }

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        return {"path": self.paths[key]} if key in self.paths else {}


def portraits(results: Results, **paths: np.ndarray) -> list[str]:
    """Portraits on bilinear, with these paths in place of those of their labels."""
    seen = only(results, task="bilinear")
    made = SECTIONS["portraits"](seen._replace(store=Moved(seen, **paths)))
    assert made
    return [str(figure.drawn) for figure in made.parts[0].figures]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_points_that_are_not_finite_are_not_drawn(bad: float, results: Results) -> None:
    """A picture with them is the picture without them; without others it says so."""
    path = np.array([[[1.0, 2.0], [0.5, 1.0], [0.25, 0.5]]])
    holed = np.insert(path, [1, 3], [bad, 0.1], axis=1)  # one coordinate is enough
    lost = np.full_like(holed, bad)
    clean, _ = portraits(results, GDA=path, EG=path)
    drawn, empty = portraits(results, GDA=np.concatenate([holed, lost]), EG=lost)
    assert drawn == clean
    assert "no finite point" in empty
    alone = portraits(results, GDA=lost, EG=lost)
    assert all("no finite point" in one for one in alone)


@pytest.mark.parametrize(("least", "said"), [(0.0, True), (1e-20, True), (1e-9, False)])
def test_values_below_the_axis_are_owned_up_to(
    least: float, said: bool, results: Results
) -> None:
    seen = only(results, task="bilinear", label="GDA")
    ends = seen.frame["step"] == seen.frame["step"].max()
    distance = seen.frame["distance"].mask(ends, least)
    made = SECTIONS["convergence"](
        seen._replace(frame=seen.frame.assign(distance=distance))
    )
    assert made
    assert any("below 10⁻¹⁶" in one for one in made.prose) is said


def test_long_labels_may_be_broken_anywhere(results: Results, tmp_path: Path) -> None:
    """Held in a box that the style sheet keeps narrow, they overprint no number."""
    written = write_report(only(results, label="GDA"), tmp_path, name="one", title="")
    text = written.read_text("utf-8")
    assert re.search(r'class="label"[^>]*><span class="named"><svg .*<span>GDA<', text)
    rule = re.search(r"\.named {([^}]*)}", text)
    assert rule
    assert "overflow-wrap: anywhere" in rule[1]
    assert "max-width" in rule[1]


def test_looks_are_unlike_each_other() -> None:
    """And the first ten differ in colour."""
    found = style.looks([str(at) for at in range(200)])
    assert len({look[1:] for look in found.values()}) == 200
    assert len({look.colour for look in list(found.values())[:10]}) == 10


def test_figures_have_the_same_bytes_and_no_date() -> None:
    """SVG with a fixed salt, PNG without metadata."""

    def drawn() -> tuple[str, str]:
        with style.panel(2, 1) as (figure, axes):
            axes.plot([0, 1], [0, 1], marker="o", label="0.123456")
            axes.text(0, 0, "0.123456 & <b>")
            return style.svg(figure, "name"), style.png(figure)

    first, second = drawn(), drawn()
    assert first == second
    assert "0.123456 &amp; &lt;b&gt;" in first[0]
    assert "<metadata" not in first[0]
    assert "tEXt" not in first[1]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1234.0, "1\u202f234"),
        (0.00012345, "0.000123"),
        (1.5e-9, "1.5e−9"),
        (-2.25, "−2.25"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (2.5e7, "2.5e7"),
    ],
)
def test_numbers_as_one_reads_them(value: float, shown: str) -> None:
    assert number(value) == shown


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


# ---- images ----


def texts(table: Table) -> list[list[str]]:
    """What a table shows."""
    return [[cell.text for cell in row] for row in table.rows]


def pixels(address: str) -> np.ndarray:
    """The picture at an inlined address, from 0 to 1."""
    content = base64.b64decode(address.partition(",")[2])
    return matplotlib.image.imread(io.BytesIO(content), format="png")


class Sheets(Store):
    """A store with one sheet for all cells."""

    def __init__(self, of: Results, sheet: np.ndarray) -> None:
        super().__init__(of.store.folder)
        self.sheet = sheet

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        return {"sheet": self.sheet}


def sheet_of(results: Results, sheet: np.ndarray) -> np.ndarray:
    """What is shown of a sheet."""
    seen = only(results, task=DIGITS)
    made = SECTIONS["modes"](seen._replace(store=Sheets(seen, sheet)))
    assert made
    return pixels(made.parts[-1].figures[0].address)


def test_colour_sheets_are_shown_in_tens(results: Results) -> None:
    """Each pixel in its place and colour, to 64 levels; gaps are transparent."""
    rng = np.random.default_rng(0)
    sheet = rng.uniform(-1, 1, (2, 100, 32, 32, 3)).astype(np.float16)
    shown = sheet_of(results, sheet)
    assert shown.shape == (329, 329, 4)  # 10 of 32 pixels, 9 gaps; one run has room
    image = shown[33 * 4 : 33 * 4 + 32, 33 * 7 : 33 * 7 + 32]
    assert np.abs(image[..., :3] - (sheet[0, 47] + 1) / 2).max() < 1 / 64 + 1 / 255
    assert (image[..., 3] == 1).all()
    assert (shown[32, :, 3] == 0).all()
    assert (shown[:, 65, 3] == 0).all()


def test_sheets_hold_what_no_image_holds(results: Results) -> None:
    """Values beyond white and black are white and black; NaN is grey."""
    sheet = np.zeros((1, 4, 8, 8), dtype=np.float16)
    sheet[0, 0], sheet[0, 1], sheet[0, 2] = np.inf, -7, np.nan
    shown = sheet_of(results, sheet)
    assert shown.shape == (17, 17, 4)
    found = [shown[0, 0, 0], shown[0, 9, 0], shown[9, 0, 0]]
    assert found == pytest.approx([1, 0, 0.5], abs=1 / 64)


def test_small_images_of_several_runs_stand_side_by_side(results: Results) -> None:
    shown = sheet_of(results, np.ones((6, 100, 8, 8), dtype=np.float16))
    assert shown.shape == (89, 3 * 89 + 2 * 8, 4)


def test_a_colour_sheet_is_a_small_file(results: Results) -> None:
    """Smooth images, as a generator gives: a page of nine stays below two megabytes."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-1, 1, (1, 100, 8, 8, 3))
    smooth = coarse.repeat(4, axis=2).repeat(4, axis=3).astype(np.float16)
    seen = only(results, task=DIGITS)
    made = SECTIONS["modes"](seen._replace(store=Sheets(seen, smooth)))
    assert made
    assert len(made.parts[-1].figures[0].address) < 200_000


def test_what_real_images_get_stands_beside_the_numbers(results: Results) -> None:
    """In the figures, in the table and with the protocol."""
    seen = only(results, task=DIGITS)
    (footer,) = seen.footers.values()
    ideal = footer["ideal"]["fd_digitscnn_20"]
    curves = SECTIONS["convergence"](seen)
    assert curves
    drawn = [str(one.drawn) for part in curves.parts for one in part.figures]
    # One along three axes, the other by steps.
    assert sum("real images" in one for one in drawn) == 3 + 1
    summary = SECTIONS["summary"](seen)
    assert summary
    (table,) = [
        one
        for part in summary.parts
        for one in part.tables
        if "All metrics" in one.caption
    ]
    assert "#fd_digitscnn_20 ↓" in table.columns
    at = table.columns.index("#fd_digitscnn_20 ↓")
    real, gda = texts(table)
    assert (real[0], real[at]) == ("real images", number(ideal))
    last = seen.frame.groupby("seed").tail(1)["fd_digitscnn_20"]
    assert (gda[0], gda[at]) == ("GDA", number(last.median()))


def test_what_real_images_get_stands_in_the_heading(results: Results) -> None:
    """Where the metric that decides has such a number."""
    seen = only(results, task=DIGITS)
    footers = {
        key: one
        | {
            "target": "",
            "columns": [c for c in one["columns"] if c["name"].startswith("fd_")],
        }
        for key, one in seen.footers.items()
    }
    (footer,) = footers.values()
    made = SECTIONS["summary"](seen._replace(footers=footers))
    assert made
    said = f"(real images: {number(footer['ideal']['fd_digitscnn_20'])})"
    assert f"#Median fd_digitscnn_20 {said}" in made.parts[0].tables[0].columns


def test_how_it_was_measured_is_told(results: Results, page: str) -> None:
    """Network, digest, counts and the real images, from the stored protocol."""
    made = SECTIONS["methods"](results)
    assert made
    (part,) = [one for one in made.parts if one.title == "How it was measured"]
    rows = texts(part.tables[0])
    assert sorted(row[0] for row in rows) == sorted(IMAGES)
    (row,) = [row for row in rows if row[0] == IMAGES[0]]
    (footer,) = only(results, task=DIGITS).footers.values()
    digest = footer["protocols"][IMAGES[0]]["sha256"]
    ideal = number(footer["ideal"]["fd_digitscnn_20"])
    assert row[1:6] == ["digitscnn", digest[:12], "20", "all of “train”", "none"]
    assert "covariance: divisor n - 1" in row[6]
    assert row[7] == ideal
    assert f'title="{digest}"' in page
    assert any("FID, KID and IS only" in one for one in part.prose)


# ---- work that is not done ----


def test_what_is_not_there_yet_is_said(results: Results, tmp_path: Path) -> None:
    """At the top of the page, and how far each cell at work has come."""
    seen = at_work(results, DIGITS)
    text = write_report(seen, tmp_path, name="x", title="").read_text("utf-8")
    assert "1 of these cells is still at work" in text
    assert f"3 of {seen.wanted} cells are not there yet" in text
    assert "at work, step 7" in text
    made = SECTIONS["outcomes"](seen)
    assert made
    table = made.parts[0].tables[1]
    assert texts(table) == [[DIGITS, "GDA", "0 of 5", "3", "7 of 12"]]
    whole = write_report(results, tmp_path, name="x", title="").read_text("utf-8")
    assert "at work" not in whole
    assert "not there yet" not in whole


def test_a_cell_at_work_has_no_place_but_curves(results: Results) -> None:
    seen = at_work(results, DIGITS)
    summary, curves = SECTIONS["summary"](seen), SECTIONS["convergence"](seen)
    assert summary
    assert curves
    assert DIGITS not in set(summary.files["leaderboard.csv"]["task"])
    (part,) = [one for one in curves.parts if one.title == DIGITS]
    assert "“GDA” is at work, at step 7 of 12." in part.notes


def test_where_a_chain_goes_on_is_told(tmp_path: Path) -> None:
    """By the label of the cell before, in three places; by its words without it."""
    first = Grid(tasks=("bilinear",), algorithms=("checkpoint = gda",), seeds=2)
    then = replace(first, algorithms=("on = omd",), after="checkpoint", inherit="x")
    grids = (replace(first, steps=9, records=3), replace(then, steps=5, records=3))
    store = Store(tmp_path / "store")
    execute(plan(Suite(name="chain", grids=grids)), store)
    both = gather(store)
    said = "x starts at the end of “checkpoint”"
    summary, curves = SECTIONS["summary"](both), SECTIONS["convergence"](both)
    methods = SECTIONS["methods"](both)
    assert summary
    assert curves
    assert methods
    assert f"“on” {said}." in summary.parts[-1].notes
    assert any(one.startswith(f"“on” {said}") for one in curves.parts[0].notes)
    told = [table for part in methods.parts for table in part.tables]
    assert [
        row[-1] for table in told if "Start" in table.columns for row in texts(table)
    ] == [said]
    alone = SECTIONS["convergence"](only(both, label="on"))
    assert alone
    assert (
        alone.parts[0].notes[0].startswith("“on” x starts at the end of “GDA, 9 steps”")
    )

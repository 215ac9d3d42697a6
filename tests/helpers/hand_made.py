"""Stored cells whose every number is written by hand, and a reader of pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd

from mmbench.core.description import name_of, text
from mmbench.engine.cell import Cell
from mmbench.runner.footer import describe_cell
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite

PROVENANCE = {"mmbench": "0.1", "torch": "2.0", "device": "cpu", "processor": "A"}
VOID = ("meta", "link", "img", "br", "wbr", "hr", "input")


def planned(task: str, algorithm: str, seeds: int, **settings: Any) -> Cell:
    """Return the cell of a task and a labelled algorithm."""
    grid = Grid(tasks=(task,), algorithms=(algorithm,), seeds=seeds, **settings)
    (cell,) = plan(Suite(name="hand-made", grids=(grid,)))
    return cell


def put_by_hand(
    store: Store,
    cell: Cell,
    columns: Mapping[str, Sequence[Sequence[float]]],
    *,
    steps: Sequence[int],
    status: Sequence[str],
    stopped_at: Sequence[int] | None = None,
    seconds: Sequence[Sequence[float]] | None = None,
    counts: Mapping[str, Sequence[Sequence[int]]] = {},
    reasons: Sequence[str] | None = None,
    arrays: Mapping[str, np.ndarray] = {},
    **footer: Any,
) -> None:
    """Store a cell with the numbers given; each table is of runs by records.

    Args:
        store: where the cell goes.
        cell: what is described.
        columns: metrics; the cell's other metrics are left out.
        steps: steps of the records.
        status: how each run ended.
        stopped_at: when; the last record if None.
        seconds: training time; zero if None.
        counts: gradients and products that were spent; zero where absent.
        reasons: of each run; empty if None.
        arrays: paths and sample sheets.
        footer: entries that replace those of the cell's footer.
    """
    runs, records = len(cell.seeds), len(steps)

    def flat(values: Any) -> np.ndarray:
        table = np.zeros((runs, records)) if values is None else np.asarray(values)
        assert table.shape == (runs, records)
        return table.reshape(-1)

    def per_run(values: Sequence[Any]) -> np.ndarray:
        return np.repeat(np.asarray(values), records)

    counted = ("grad_x", "grad_y", "hvps", "values", "samples")
    last = [steps[-1]] * runs
    frame = pd.DataFrame(
        {
            "task": text(cell.task),
            "algorithm": name_of(type(cell.algorithm)),
            "label": cell.label,
            "seed": per_run(cell.seeds),
            "step": np.tile(np.asarray(steps), runs),
            **{name: flat(counts.get(name)).astype(int) for name in counted},
            "cell_seconds": flat(seconds).astype(float),
            "status": per_run(status),
            "stopped_at": per_run(last if stopped_at is None else stopped_at),
            "reason": per_run([""] * runs if reasons is None else reasons),
            **{name: flat(values).astype(float) for name, values in columns.items()},
        }
    )
    described = describe_cell(cell)
    # Without it, records may be at other steps than a run's.
    described["cell"] = {**described["cell"]}
    del described["cell"]["records"]
    described["columns"] = [
        column for column in described["columns"] if column["name"] in columns
    ]
    outcome = {
        "width": 512,
        "backend": "eager",
        "arrays": sorted(arrays),
        "outcomes": {name: list(status).count(name) for name in sorted(set(status))},
        "reason": next(filter(None, reasons or ()), ""),
        "ideal": {},
        "provenance": PROVENANCE,
        "environments": [{"mmbench": "0.1", "torch": "2.0"}],
        "limits": {"memory": None, "timeout": None},
    }
    store.put(cell.key, frame, described | outcome | footer, dict(arrays))


@dataclass
class ReadTable:
    """A table of a page, as text.

    Attributes:
        section: anchor of its section.
        heading: heading of its subsection.
        caption: its caption.
        columns: headings of its columns.
        rows: texts of its cells.
        sorts: what its cells are sorted by; None where that is the text.
    """

    section: str
    heading: str
    caption: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    sorts: list[list[str | None]] = field(default_factory=list)

    def column(self, name: str, number: int = 0) -> list[str]:
        """Return the texts of a column; several may have one name."""
        places = [at for at, column in enumerate(self.columns) if column == name]
        return [row[places[number]] for row in self.rows]

    def sort_column(self, name: str, number: int = 0) -> list[str | None]:
        """Return what the cells of a column are sorted by."""
        places = [at for at, column in enumerate(self.columns) if column == name]
        return [row[places[number]] for row in self.sorts]


class PageReader(HTMLParser):
    """A reader of what a page shows: its tables, its prose and its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[ReadTable] = []
        self.paragraphs: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self._section = self._heading = self._caption = ""
        self._text: list[str] | None = None
        self._is_caption = False
        self.feed(page)

    def table(self, section: str, caption: str = "", heading: str = "") -> ReadTable:
        """Return the one table with this beginning of its caption and this heading."""
        (found,) = [
            table
            for table in self.tables
            if table.section == section
            and table.caption.startswith(caption)
            and bool(caption) == bool(table.caption)
            and heading in (table.heading, "")
        ]
        return found

    def handle_starttag(self, tag: str, attrs: list) -> None:
        """Begin to gather text where it stands for something."""
        values = dict(attrs)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "section":
            self._section, self._heading, self._caption = values["id"], "", ""
        elif tag == "div" and not values:  # a subsection
            self._heading = self._caption = ""
        elif tag == "a":
            self.links.append(values["href"])
        elif tag == "table":
            table = ReadTable(self._section, self._heading, self._caption)
            self.tables.append(table)
            self._caption = ""
        elif tag == "tr" and self.tables:
            self.tables[-1].rows.append([])
            self.tables[-1].sorts.append([])
        if tag in ("h3", "p", "summary", "th", "td"):
            self._text = []
        self._is_caption = tag == "summary" or values.get("class") == "caption"
        if tag == "td":
            self.tables[-1].sorts[-1].append(values.get("data-sort"))

    def handle_endtag(self, tag: str) -> None:
        """Keep the text that was gathered."""
        text = "".join(self._text or ()).strip()
        if tag == "h3":
            self._heading = text
        elif tag in ("p", "summary"):
            self._caption = text if self._is_caption else ""
            self.paragraphs.append(text)
        elif tag == "th":
            self.tables[-1].columns.append(text)
        elif tag == "td":
            self.tables[-1].rows[-1].append(text)
        elif tag == "thead":
            self.tables[-1].rows.clear()
            self.tables[-1].sorts.clear()

    def handle_data(self, data: str) -> None:
        """Gather text."""
        if self._text is not None:
            self._text.append(data)

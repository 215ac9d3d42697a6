"""Provenance: who computed the cells, and with what."""

from typing import Any

import pandas as pd

from mmbench.analysis.report.sections.base import (
    Section,
    Subsection,
    Table,
    TableCell,
    number,
)
from mmbench.analysis.results import Results

PROSE = (
    "A cell is one task and one algorithm with all its seeds; its key is a digest of "
    "that description and of the version of the code, and the address of its results. "
    "Width is the number of runs computed side by side, seconds the training time of "
    "all runs."
)


def section(results: Results) -> Section:
    """Machines and versions, then one row for each cell."""
    machines: dict[str, dict[str, Any]] = {}
    rows = []
    for key, footer in results.footers.items():
        told = footer["provenance"]
        machine = "; ".join(f"{name}={value}" for name, value in told.items())
        machines.setdefault(machine, told)
        first, last = footer["seeds"]
        rows.append(
            {
                "key": key,
                "task": footer["task"],
                "label": footer["label"],
                "seeds": f"{first} to {last}",
                "runs": footer["runs"],
                "steps": footer["steps"],
                "dtype": _numbers(footer),
                "width": footer["width"],
                "machine": list(machines).index(machine) + 1,
                "seconds": _seconds(results.frame, key),
            }
        )
    cells = pd.DataFrame(rows)
    return Section(
        title="Provenance",
        anchor="provenance",
        prose=(PROSE,),
        parts=[Subsection(tables=[_machines(machines), _cells(cells)])],
        files={"cells.csv": cells.merge(_versions(machines), on="machine")},
    )


def _numbers(footer: dict[str, Any]) -> str:
    """In what the runs were computed, products within a step included."""
    precision = footer["cell"].get("precision", "exact")
    return (
        footer["dtype"] if precision == "exact" else f"{footer['dtype']}, {precision}"
    )


def _seconds(frame: pd.DataFrame, key: str) -> float:
    """Training time of a cell: its chunks have one clock each."""
    cell = frame[frame["key"] == key]
    ends = cell.groupby("seed")["cell_seconds"].max()
    return float(ends.drop_duplicates().sum())


def _versions(machines: dict[str, dict[str, Any]]) -> pd.DataFrame:
    told = [{"machine": at, **one} for at, one in enumerate(machines.values(), start=1)]
    return pd.DataFrame(told)


def _machines(machines: dict[str, dict[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for told in machines.values() for name in told))
    rows = [
        [
            TableCell(name),
            *(TableCell(str(told.get(name, ""))) for told in machines.values()),
        ]
        for name in names
    ]
    columns = ["", *(f"Machine {at}" for at in range(1, len(machines) + 1))]
    return Table("Commit, versions and machine.", columns, rows)


def _cells(cells: pd.DataFrame) -> Table:
    rows = [
        [
            TableCell(row["key"], code=True),
            TableCell(row["task"], code=True),
            TableCell(row["label"], label=True),
            TableCell(row["seeds"]),
            TableCell(str(row["runs"]), row["runs"]),
            TableCell(number(row["steps"]), row["steps"]),
            TableCell(row["dtype"]),
            TableCell(str(row["width"]), row["width"]),
            TableCell(f"{row['seconds']:.2f}", row["seconds"]),
            TableCell(str(row["machine"]), row["machine"]),
        ]
        for row in cells.to_dict("records")
    ]
    numbers = ["#Runs", "#Steps", "Numbers", "#Width", "#Seconds", "#Machine"]
    columns = ["Key", "Task", "Algorithm", "Seeds", *numbers]
    return Table("Cells.", columns, rows, folded=True)

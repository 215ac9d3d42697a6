"""The provenance: the machines and versions that computed the cells."""

from typing import Any

import pandas as pd

from mmbench.analysis.numbers import number
from mmbench.analysis.report.sections.base import (
    Section,
    Subsection,
    Table,
    TableCell,
    listing,
)
from mmbench.analysis.results import Footer, Results

PROSE = (
    "A cell is one algorithm on one task with all its seeds. Its key is a digest of "
    "that description and of the version of the code, and its results are stored "
    "under this key. “Width” is the number of runs that were computed together, and "
    "“Seconds” is the training time of all runs."
)


def section(results: Results) -> Section:
    """List the machines with their versions, and the cells."""
    machines: dict[str, dict[str, Any]] = {}
    rows = []
    by_key = dict(list(results.frame.groupby("key", sort=False)))
    for key, footer in results.footers.items():
        provenance = footer["provenance"]
        machine = "; ".join(f"{name}={value}" for name, value in provenance.items())
        machines.setdefault(machine, provenance)
        first, last = footer["seeds"]
        rows.append(
            {
                "key": key,
                "task": footer["task"],
                "label": footer["label"],
                "seeds": f"{first} to {last}",
                "runs": footer["runs"],
                "steps": footer["steps"],
                "dtype": _precision(footer),
                "width": footer["width"],
                "machine": list(machines).index(machine) + 1,
                "seconds": seconds_of(by_key[key], footer["width"]),
            }
        )
    cells = pd.DataFrame(rows)
    return Section(
        title="Provenance",
        anchor="provenance",
        prose=(PROSE,),
        subsections=[
            Subsection(tables=[_machines_table(machines)]),
            listing(_cells_table(cells), "cells.csv"),
        ],
        files={"cells.csv": cells.merge(_versions(machines), on="machine")},
    )


def _precision(footer: Footer) -> str:
    """Describe the floating-point type, and the precision of products if it is less."""
    precision = footer["cell"].get("precision", "exact")
    return (
        footer["dtype"] if precision == "exact" else f"{footer['dtype']}, {precision}"
    )


def seconds_of(cell: pd.DataFrame, width: int) -> float:
    """Return the training time of a cell; all runs of a chunk have the same time.

    Args:
        cell: the rows of the cell.
        width: number of runs in a chunk, but for the last.
    """
    ends = cell.groupby("seed", sort=False)["cell_seconds"].max().to_numpy()
    return float(
        sum(ends[first : first + width].max() for first in range(0, len(ends), width))
    )


def _versions(machines: dict[str, dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {"machine": index, **provenance}
        for index, provenance in enumerate(machines.values(), start=1)
    )


def _machines_table(machines: dict[str, dict[str, Any]]) -> Table:
    names = dict.fromkeys(
        name for provenance in machines.values() for name in provenance
    )
    rows = [
        [
            TableCell(name),
            *(TableCell(str(values.get(name, ""))) for values in machines.values()),
        ]
        for name in names
    ]
    columns = ["Property", *(f"Machine {at}" for at in range(1, len(machines) + 1))]
    return Table("Machines, and the versions of the software on them.", columns, rows)


def _cells_table(cells: pd.DataFrame) -> Table:
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
    computed = ["#Runs", "#Steps", "Precision", "#Width", "#Seconds", "#Machine"]
    columns = ["Key", "Task", "Algorithm", "Seeds", *computed]
    return Table("List of all cells", columns, rows, folded=True)

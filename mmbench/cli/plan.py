"""mmbench plan: the cells of a suite, and which of them are stored."""

import json
from collections import Counter
from pathlib import Path

import click

from mmbench.cli import print_stdout
from mmbench.cli._selection import Selection, selection_options, store_option

KEY_DIGITS = 8  # enough to distinguish cells on a screen


@click.command("plan", short_help="Show the cells of a suite and which are stored.")
@selection_options
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(selection: Selection, store: Path, as_json: bool) -> None:
    """Show the cells of SUITE, or of a grid, and which of them are stored.

    SUITE is the name of a built-in suite or a path to a suite.toml.
    """
    from mmbench.core.cost import amount
    from mmbench.core.description import text
    from mmbench.runner.lookup import is_stored
    from mmbench.store.folder import Store

    kept = Store(store)
    cells = selection.cells
    stored = {cell.key: is_stored(cell, kept) for cell in cells}
    waiting = [cell for cell in cells if not stored[cell.key]]
    work = Counter[str]()  # steps, and units of budgets
    for cell in waiting:
        work[cell.unit if cell.budget else "steps"] += len(cell.seeds) * cell.steps
    if as_json:
        document = {
            "suite": selection.suite.name,
            "title": selection.suite.title,
            "store": str(store),
            "waiting": len(waiting),
            "run_steps": work["steps"],
            "run_costs": {unit: work[unit] for unit in work if unit != "steps"},
            "cells": [
                {
                    "key": cell.key,
                    "task": text(cell.task),
                    "algorithm": text(cell.algorithm),
                    "label": cell.label,
                    "first_seed": cell.seeds[0],
                    "runs": len(cell.seeds),
                    "steps": cell.steps,
                    "budget": cell.budget,
                    "unit": cell.unit if cell.budget else "steps",
                    "records": len(cell.schedule),
                    "dtype": cell.dtype,
                    "metrics": [text(metric) for metric in cell.metrics],
                    "stored": stored[cell.key],
                }
                for cell in cells
            ],
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    from mmbench.cli._console import pluralize, print_table

    budgets = {
        cell.key: amount(cell.budget, cell.unit)
        if cell.budget
        else pluralize(cell.steps, "step")
        for cell in cells
    }
    rows = [
        (
            cell.key[:KEY_DIGITS],
            text(cell.task),
            cell.label,
            f"{len(cell.seeds)} x {budgets[cell.key]}",
            "stored" if stored[cell.key] else "",
        )
        for cell in cells
    ]
    columns = ("key", "task", "algorithm", "runs", "")
    print_table(columns, rows, right=("runs",))
    total = " and ".join(
        pluralize(count, unit.removesuffix("s")) for unit, count in work.items()
    )
    print_stdout(
        f"{pluralize(len(cells), 'cell')}: {len(cells) - len(waiting)} in {store}, "
        f"{len(waiting)} to compute ({total or '0 steps'} of single runs)."
    )

"""mmbench plan: the cells of a suite, before they are computed."""

import json
from pathlib import Path

import click

from mmbench.cli._selection import Selection, selecting, storing

SHORT = 8  # digits of a key that tell cells apart on a screen


@click.command("plan", short_help="Show the cells of a suite and which are stored.")
@selecting
@storing
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(selection: Selection, store: Path, as_json: bool) -> None:
    """Show the cells of SUITE, or of a grid, and which the store has.

    SUITE is the name of a built-in suite or a path to a suite.toml.
    """
    from mmbench.core.description import text
    from mmbench.runner.lookup import is_stored
    from mmbench.store.folder import Store

    kept = Store(store)
    cells = selection.cells
    stored = {cell.key: is_stored(cell, kept) for cell in cells}
    waiting = [cell for cell in cells if not stored[cell.key]]
    work = sum(len(cell.seeds) * cell.steps for cell in waiting)
    if as_json:
        document = {
            "suite": selection.suite.name,
            "title": selection.suite.title,
            "store": str(store),
            "waiting": len(waiting),
            "run_steps": work,
            "cells": [
                {
                    "key": cell.key,
                    "task": text(cell.task),
                    "algorithm": text(cell.algorithm),
                    "label": cell.label,
                    "first_seed": cell.seeds[0],
                    "runs": len(cell.seeds),
                    "steps": cell.steps,
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
    from mmbench.cli._console import console, counted, show, table

    screen = console()
    rows = table(
        "key", "task", "algorithm", "runs x steps", "", right=("runs x steps",)
    )
    for cell in cells:
        rows.add_row(
            cell.key[:SHORT],
            text(cell.task),
            cell.label,
            f"{len(cell.seeds)} x {cell.steps}",
            "stored" if stored[cell.key] else "",
        )
    show(screen, rows)
    screen.print(
        f"{counted(len(cells), 'cell')}: {len(cells) - len(waiting)} in {store}, "
        f"{len(waiting)} to compute ({counted(work, 'step')} of single runs)."
    )

"""How often the projection state is seen: the table of reports/README.md.

    python benchmarks/icr_projection.py STORE RUNS.parquet
    python benchmarks/icr_projection.py RUNS.parquet

The first line takes the end of each run of suite `icr_projection` from a store, whose
cells record all 6000 steps and so take 250 MB, and writes it with each cell's
provenance, the file's metadata. Both lines print the table.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmbench.analysis.paired_test import sign_flip
from mmbench.analysis.stats import proportion_interval
from mmbench.store.folder import Store

# Game, step size, tolerance on the first coordinate, and steps of the longest stay.
SPEC, WIDE = "icr_projection", "icr_projection[deviation=1]"
RULES = (
    (SPEC, "0.2", "0.05", 200),
    (SPEC, "0.1", "0.1", 500),
    (SPEC, "0.1", "0.05", 500),
    (SPEC, "0.1", "0.05", 750),
    (SPEC, "0.3", "0.1", 400),
    (WIDE, "0.2", "0.1", 400),
    (WIDE, "0.3", "0.1", 1000),
    (SPEC, "0.02", "0.05", 1000),
    # A rule that was chosen before any run, at each step size.
    (SPEC, "0.2", "0.02", 1000),
    (SPEC, "0.1", "0.02", 1000),
    (SPEC, "0.3", "0.02", 1000),
)
METHODS = ("GDA", "CGD")
# Controls of gradient steps alone, with the first rule.
CONTROLS = ("icr_projection[scaling=(1,1)]", "icr_projection[scaling=(100,1)]")


def main() -> None:
    """Write the runs of a store, if one is given, and print the table."""
    *store, runs = map(Path, sys.argv[1:])
    if store:
        pq.write_table(collect(Store(*store)), runs)
    print("\n".join(table(pd.read_parquet(runs))))


def collect(store: Store) -> pa.Table:
    """Return the last record of each run, with the provenance of each cell."""
    frames, provenance = [], {}
    for key in store:
        files = store.require(key)
        frame = files.frame.assign(key=key)
        frames.append(frame[frame.step == frame.step.max()])
        provenance[key] = files.footer["provenance"]
    joined = pd.concat(frames).sort_values(["task", "label", "seed"])
    made = pa.Table.from_pandas(joined, preserve_index=False)
    text = json.dumps(provenance, sort_keys=True)
    return made.replace_schema_metadata({**made.schema.metadata, "mmbench": text})


def table(runs: pd.DataFrame) -> Iterator[str]:
    """Yield the lines of the table, of the rules whose cells were computed."""
    cells = dict(iter(runs.groupby(["task", "label"])))
    rules = [one for one in RULES if (one[0], f"CGD {one[1]}") in cells]
    pairs = [
        [cells[task, f"{method} {size}"] for method in METHODS]
        for task, size, _, _ in rules
    ]
    found = [
        [cell[f"theta_1_longest_within_{within}"].to_numpy() >= steps for cell in pair]
        for pair, (_, _, within, steps) in zip(pairs, rules, strict=True)
    ]
    # McNemar's exact test.
    p = holm(np.concatenate([sign_flip((cgd * 1 - gda)[None]) for gda, cgd in found]))
    yield (
        "| game, step size | tolerance, steps | GDA | CGD | only GDA, only CGD | p "
        "| median steps in all: GDA, CGD |"
    )
    yield "|---|---|---|---|---|---|---|"
    for rule, pair, (gda, cgd), value in zip(rules, pairs, found, p, strict=True):
        task, size, within, steps = rule
        options = task.removeprefix(SPEC).strip("[]")
        total = [cell[f"theta_1_steps_within_{within}"].median() for cell in pair]
        yield (
            f"| {', '.join(filter(None, (options, size)))} | {within}, {steps} "
            f"| {share(gda)} | {share(cgd)} "
            f"| {(gda & ~cgd).sum()}, {(cgd & ~gda).sum()} | {value:.1g} "
            f"| {total[0]:.0f}, {total[1]:.0f} |"
        )
    for task in CONTROLS:
        if (task, "GDA 0.2") in cells:
            cell = cells[task, "GDA 0.2"]
            held = cell["theta_1_longest_within_0.05"].to_numpy() >= 200
            total = cell["theta_1_steps_within_0.05"].median()
            options = task.removeprefix(SPEC).strip("[]")
            yield (
                f"| {options}, 0.2 | 0.05, 200 | {share(held)} | | | | {total:.0f} |"
            )


def holm(p: np.ndarray) -> np.ndarray:
    """Adjust p values by Holm's method."""
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def share(found: np.ndarray) -> str:
    """Return a number of runs, with the interval of the proportion in percent."""
    ends = proportion_interval(float(found.sum()), len(found))
    low, high = (100 * float(end) for end in ends)
    return f"{found.sum()} of {len(found)}, [{low:.0f}, {high:.0f}]"


if __name__ == "__main__":
    main()

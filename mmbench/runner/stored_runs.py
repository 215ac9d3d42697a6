"""Runs of a cell that the store has already, in cells of other seeds.

The bits of a run depend on its description, on versions and machine, and on the chunk
in which it is computed. So a run is taken from a stored cell that differs in its seeds
alone, was computed under the same circumstances and has the same chunk. Games of two
numbers have no products, whose rounding depends on the place in a chunk; their runs are
taken one by one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

from mmbench.core.capability import Capability
from mmbench.core.code_files import is_of_mmbench
from mmbench.core.description import canonical, digest, nested
from mmbench.core.errors import MmbenchError
from mmbench.core.placement import Placement
from mmbench.core.run_settings import KEEPING
from mmbench.core.status import Status
from mmbench.engine.cell import ENGINE_VERSION, Cell
from mmbench.engine.recording import SHOWN
from mmbench.engine.run_cell import width_of
from mmbench.engine.trajectory import join_recordings
from mmbench.runner.footer import describe_cell, describe_outcome
from mmbench.runner.lookup import is_complete
from mmbench.runner.provenance import (
    differences,
    environments,
    provenance,
    same_code,
    same_environment,
)
from mmbench.runner.shards import recording_of
from mmbench.store.descriptions import beginning, descriptions
from mmbench.store.folder import Store
from mmbench.store.stored_files import StoredFiles

_FAILURES = set(Status.cell_failures())


class Shard(NamedTuple):
    """A part of a cell, by seeds.

    Args:
        cell: the cell with fewer seeds.
        source: key of a stored cell that has its runs; empty where they have to be
            computed.
    """

    cell: Cell
    source: str = ""


class Division(NamedTuple):
    """How a cell is divided into runs that are stored and runs that are not.

    Args:
        shards: its parts in the order of its seeds.
        compiled: whether the stored runs were compiled, as the others must be.
    """

    shards: list[Shard]
    compiled: bool

    @property
    def missing(self) -> list[Cell]:
        """The parts that have to be computed."""
        return [shard.cell for shard in self.shards if not shard.source]


def find_candidates(cells: Iterable[Cell], store: Store) -> dict[str, list[str]]:
    """Find stored cells that differ from others in their seeds alone.

    What a file describes is not checked here.

    Args:
        cells: cells that are not stored.
        store: the store.

    Returns:
        Key of a cell to the keys of such stored cells; cells without any are left out.
    """
    wanted: dict[str, list[str]] = {}
    beginnings: set[bytes] = set()
    for cell in cells:
        described = canonical(cell)
        wanted.setdefault(_text_without_seeds(described), []).append(cell.key)
        beginnings.add(beginning(described))
    found: dict[str, list[str]] = {}
    for key, description in descriptions(store, beginnings) if wanted else ():
        for one in wanted.get(_text_without_seeds(description), ()):
            found.setdefault(one, []).append(key)
    return found


def _text_without_seeds(description: Any) -> str:
    """Return the JSON of a described cell without the seeds of it and its chain."""
    return json.dumps(_without_seeds(description), sort_keys=True)


def _without_seeds(description: Any) -> Any:
    if not isinstance(description, dict):
        return description
    rest = {name: one for name, one in description.items() if name != "seeds"}
    return rest | ({"after": _without_seeds(rest["after"])} if "after" in rest else {})


def divide(
    cell: Cell, candidates: Sequence[str], store: Store, placement: Placement
) -> Division | None:
    """Divide a cell into runs that stored cells have and runs to compute.

    Args:
        cell: a cell that is not stored.
        candidates: keys of stored cells, as `find_candidates` returns them.
        store: where these are.
        placement: where the missing runs are computed.

    Returns:
        None where no run can be taken, or none would be saved.
    """
    width = width_of(cell, placement)
    unit = 1 if _is_elementwise(cell) else width
    chunks = _chunks(cell.seeds, unit)
    usable: list[tuple[str, bool, set[tuple[int, ...]]]] = []
    for key in candidates:
        stored = store.read(key)
        if stored and _is_usable(cell, stored, width, placement):
            given = _available(cell, stored.footer, unit).intersection(chunks)
            usable.append((key, _is_compiled(stored.footer), given))
    usable.sort(key=lambda one: -len(one[2]))
    usable = [one for one in usable if one[2] and one[1] == usable[0][1]]
    if not usable:
        return None
    owners = [next((key for key, _, has in usable if c in has), "") for c in chunks]
    shards = []
    for key, group in groupby(zip(owners, chunks, strict=True), lambda pair: pair[0]):
        seeds = tuple(seed for _, chunk in group for seed in chunk)
        shards.append(Shard(replace(cell, seeds=seeds), key))
    division = Division(shards, usable[0][1])
    needed = sum(len(_chunks(one.seeds, width)) for one in division.missing)
    return division if needed <= len(_chunks(cell.seeds, width)) else None


def _is_elementwise(cell: Cell) -> bool:
    """Return whether a run's bits depend on neither its place in a chunk nor mates."""
    return Capability.PLANE in cell.task.gives and all(
        is_of_mmbench(type(member)) for member in nested(cell)
    )


def _chunks(seeds: Sequence[int], length: int) -> list[tuple[int, ...]]:
    return [tuple(seeds[at : at + length]) for at in range(0, len(seeds), length)]


def _available(
    cell: Cell, footer: Mapping[str, Any], unit: int
) -> set[tuple[int, ...]]:
    """Return the chunks of a stored cell that another one may take.

    Of the first runs of a cell, paths and samples are stored as well.
    """
    seeds = footer["cell"]["seeds"]
    lacking: set[int] = set()
    if footer.get("arrays"):
        lacking = set(cell.seeds[:SHOWN]) - set(seeds[:SHOWN])
    return {chunk for chunk in _chunks(seeds, unit) if lacking.isdisjoint(chunk)}


def _is_usable(
    cell: Cell, stored: StoredFiles, width: int, placement: Placement
) -> bool:
    """Return whether runs of a stored cell are as they would be computed here.

    They must have the iterates that are asked for, and its metrics or the iterates of
    all records, of which they are measured.
    """
    if not stored.is_readable:
        return False
    footer = stored.footer
    origin, here = footer["provenance"], provenance(str(placement.device))
    measured = footer["metrics"].values()
    is_measured = all(digest(metric) in measured for metric in cell.metrics)
    return (
        stored.key == digest((ENGINE_VERSION, footer["cell"]))
        and is_complete(cell, footer)
        and _FAILURES.isdisjoint(footer["outcomes"])
        and not footer["reason"]
        and footer["width"] == width
        and (is_measured or footer.get("kept") == "all")
        and placement.compiled in (None, _is_compiled(footer))
        and not differences(origin, here)
        and same_code(origin, here)
        and all(map(same_environment, environments(footer)))
    )


def _is_compiled(footer: Mapping[str, Any]) -> bool:
    return footer.get("backend") == "compiled"


def take_runs(shard: Shard, store: Store, parts: Store) -> bool:
    """Store a shard from the runs of a stored cell.

    Metrics that this lacks are left to be measured from the iterates of all records.

    Args:
        shard: the shard, with its source.
        store: where the source is.
        parts: where the shard goes.

    Returns:
        Whether they could be taken; not where the source is damaged or gone, or its
        runs start elsewhere.
    """
    try:
        stored = store.require(shard.source)
        footer, cell = stored.footer, shard.cell
        if not _has_same_starts(cell, footer, store):
            return False
        measured = footer["metrics"].values()
        metrics = tuple(one for one in cell.metrics if digest(one) in measured)
        if metrics != cell.metrics:
            cell = replace(cell, metrics=metrics, keep=KEEPING[-1])
        names = {column.name for column in cell.columns}
        ideal = footer.get("ideal", {}).items()
        scores = {name: score for name, score in ideal if name in names}
        recording = recording_of(cell, stored)
        trajectory = join_recordings(cell, [recording], footer["width"], scores)
        described = describe_cell(cell) | describe_outcome(trajectory)
        parts.put(
            cell.key,
            trajectory.frame(cell),
            footer | described | {"environments": environments(footer)},
            trajectory.arrays,
            trajectory.iterates,
        )
    except MmbenchError:
        return False
    return True


def _has_same_starts(cell: Cell, footer: Mapping[str, Any], store: Store) -> bool:
    """Return whether stored runs start where those of a cell do, if in a chain.

    Raises:
        MmbenchError: when the end of a cell before cannot be read.
    """
    if cell.after is None:
        return True
    before = footer["cell"]["after"]
    ends = (
        (digest((ENGINE_VERSION, before)), before["seeds"]),
        (cell.after.key, cell.after.seeds),
    )
    starts = []
    for key, seeds in ends:
        row = {seed: at for at, seed in enumerate(seeds)}
        iterates = store.require(key).iterates()
        if not iterates or not row.keys() >= set(cell.seeds):
            return False
        starts.append(iterates["z"][-1][[row[seed] for seed in cell.seeds]].tobytes())
    return starts[0] == starts[1]

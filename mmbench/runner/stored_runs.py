"""Runs of a cell that the store has already, in cells of other seeds.

The bits of a run depend on its description, on versions and machine, and on the chunk
in which it is computed. So a run is taken from a stored cell that differs in its seeds
alone, was computed under the same circumstances and has the same chunk. Games of two
numbers have no products, whose rounding depends on the place in a chunk; their runs are
taken one by one.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
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
from mmbench.runner.continuation import (
    checkpoint_after,
    is_compiled,
    why_not_continued,
)
from mmbench.runner.footer import describe_cell, describe_outcome
from mmbench.runner.lookup import is_complete
from mmbench.runner.provenance import (
    differences,
    environments,
    provenance,
    same_code,
    same_environment,
)
from mmbench.runner.shards import recording_of, states_of
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
        step: number of the last step that this cell has of its runs, from where they go
            on; 0 where it has all steps.
    """

    cell: Cell
    source: str = ""
    step: int = 0

    @property
    def is_stored(self) -> bool:
        """Whether nothing of it has to be computed."""
        return bool(self.source) and not self.step


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
        return [shard.cell for shard in self.shards if not shard.is_stored]


def find_candidates(cells: Iterable[Cell], store: Store) -> dict[str, list[str]]:
    """Find stored cells that differ from others in seeds, or have fewer steps.

    What a file describes is not checked here.

    Args:
        cells: cells that are not stored.
        store: the store.

    Returns:
        Key of a cell to the keys of such stored cells; cells without any are left out.
    """
    wanted: dict[str, list[Cell]] = {}
    beginnings: set[bytes] = set()
    for cell in cells:
        described = canonical(cell)
        wanted.setdefault(_text_of_runs(described), []).append(cell)
        beginnings.add(beginning(described))
    found: dict[str, list[str]] = {}
    for key, description in descriptions(store, beginnings) if wanted else ():
        for one in wanted.get(_text_of_runs(description), ()):
            lengths = [(one.steps, one.records)]
            lengths.append((description.get("steps"), description.get("records")))
            if lengths[0] == lengths[1] or lengths[0][0] > lengths[1][0]:
                found.setdefault(one.key, []).append(key)
    return found


def _text_of_runs(description: Any) -> str:
    """Return the JSON of a described cell without seeds, steps and records.

    The seeds of its chain are left out as well.
    """
    runs = without_seeds(description)
    lengths = ("steps", "records")
    rest = {name: one for name, one in runs.items() if name not in lengths}
    return json.dumps(rest, sort_keys=True)


def without_seeds(description: Any) -> Any:
    """Return a described cell without its seeds, and those of its chain."""
    if not isinstance(description, dict):
        return description
    rest = {name: one for name, one in description.items() if name != "seeds"}
    return rest | ({"after": without_seeds(rest["after"])} if "after" in rest else {})


def divide(
    cell: Cell,
    candidates: Sequence[str],
    store: Store,
    placement: Placement,
    on_anew: Callable[[str], None] = lambda _: None,
) -> Division | None:
    """Divide a cell into runs that stored cells have and runs to compute.

    Where they have no runs of as many steps, it goes on from the states of one with
    fewer steps.

    Args:
        cell: a cell that is not stored.
        candidates: keys of stored cells, as `find_candidates` returns them.
        store: where these are.
        placement: where the missing runs are computed.
        on_anew: called with a sentence where a state is stored that cannot be used.

    Returns:
        None where no run can be taken, or none would be saved.
    """
    width = width_of(cell, placement)
    found = [stored for key in candidates if (stored := store.read(key))]
    readable = [stored for stored in found if stored.is_readable]
    same = [one for one in readable if one.footer["cell"]["steps"] == cell.steps]
    shorter = [one for one in readable if one not in same]
    return _with_stored_runs(cell, same, width, placement) or _after_stored_steps(
        cell, shorter, width, placement, on_anew
    )


def _with_stored_runs(
    cell: Cell, found: Sequence[StoredFiles], width: int, placement: Placement
) -> Division | None:
    """Divide a cell by runs of as many steps; arguments as those of `divide`."""
    # States are those of whole chunks.
    unit = 1 if _is_elementwise(cell) and not cell.keep_state else width
    chunks = _chunks(cell.seeds, unit)
    usable: list[tuple[str, bool, set[tuple[int, ...]]]] = []
    for stored in found:
        if _is_usable(cell, stored, width, placement):
            given = _available(cell, stored.footer, unit).intersection(chunks)
            usable.append((stored.key, is_compiled(stored.footer), given))
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


def _after_stored_steps(
    cell: Cell,
    found: Sequence[StoredFiles],
    width: int,
    placement: Placement,
    on_anew: Callable[[str], None],
) -> Division | None:
    """Let chunks of a cell go on from stored states; arguments as those of `divide`.

    Each is a shard of its own, and so has a checkpoint of its own.
    """
    chunks = _chunks(cell.seeds, width)
    with_state = [one for one in found if "state" in one.footer["files"]]
    sentence = ""
    for stored in sorted(with_state, key=lambda one: -one.footer["cell"]["steps"]):
        seeds, step = stored.footer["cell"]["seeds"], stored.footer["cell"]["steps"]
        begun = set(_chunks(seeds, width)).intersection(chunks)
        if not begun:
            continue
        first = replace(cell, seeds=min(begun))
        if why := (
            why_not_continued(cell, stored, width, placement)
            if _is_computed_as_here(stored, width, placement)
            else "it was computed in another way, by other code or on another machine"
        ) or _why_not_begun(first, stored, placement):
            sentence = sentence or (
                f"{cell.label} on {cell.task} starts anew, not from step {step:,} of "
                f"{stored.key}: {why}."
            )
            continue
        shards = []
        for is_begun, group in groupby(chunks, key=begun.__contains__):
            parts = list(group)
            if is_begun:
                shards += [
                    Shard(replace(cell, seeds=part), stored.key, step) for part in parts
                ]
            else:
                rest = tuple(seed for part in parts for seed in part)
                shards.append(Shard(replace(cell, seeds=rest)))
        return Division(shards, is_compiled(stored.footer))
    if sentence:
        on_anew(sentence)
    return None


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
    """Return whether runs of a stored cell may be taken.

    They must be as they would be computed here, have the iterates that are asked for,
    and its metrics or the iterates of all records, of which they are measured.
    """
    footer = stored.footer
    measured = footer["metrics"].values()
    is_measured = all(digest(metric) in measured for metric in cell.metrics)
    return (
        is_complete(cell, footer)
        and (is_measured or footer.get("kept") == "all")
        and _is_computed_as_here(stored, width, placement)
    )


def _is_computed_as_here(stored: StoredFiles, width: int, placement: Placement) -> bool:
    """Return whether runs of a stored cell are as they would be computed here."""
    footer = stored.footer
    origin, here = footer["provenance"], provenance(str(placement.device))
    return (
        stored.key == digest((ENGINE_VERSION, footer["cell"]))
        and _FAILURES.isdisjoint(footer["outcomes"])
        and not footer["reason"]
        and footer["width"] == width
        and placement.compiled in (None, is_compiled(footer))
        and not differences(origin, here)
        and same_code(origin, here)
        and all(map(same_environment, environments(footer)))
    )


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
            trajectory.columns_of_table(cell),
            footer | described | {"environments": environments(footer)},
            trajectory.arrays,
            trajectory.iterates,
            states_of(cell, stored) if cell.keep_state else None,
        )
    except MmbenchError:
        return False
    return True


def _why_not_begun(cell: Cell, stored: StoredFiles, placement: Placement) -> str:
    """Return why a chunk cannot go on from its stored state; "" if it can."""
    try:
        (chunk,) = states_of(cell, stored).values()
        checkpoint_after(cell, chunk.tobytes(), placement)
    except MmbenchError:
        return "its state lacks what is asked for or is that of another cell"
    return ""


def begin(shard: Shard, store: Store, parts: Store, placement: Placement) -> None:
    """Write the checkpoint from which a shard goes on, unless it has one.

    Where that fails, as its source is damaged or gone or its runs start elsewhere, the
    shard starts anew.

    Args:
        shard: the shard, with its source and step.
        store: where the source is.
        parts: where the shard goes.
        placement: where it is computed.
    """
    cell, slot = shard.cell, parts.slot(shard.cell.key)
    if slot.read() is not None:
        return
    with suppress(MmbenchError):
        stored = store.require(shard.source)
        if _has_same_starts(cell, stored.footer, store):
            (chunk,) = states_of(cell, stored).values()
            parts.check_writable()
            slot.write(checkpoint_after(cell, chunk.tobytes(), placement))


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

"""Cells of a new method under the conditions of results that are there already.

Nothing of the results is computed again. A method joins them by cells of the same
tasks, budgets, records, seeds and metrics, in the same versions of all of these. Its
hyperparameters are given, not tuned on record, so that it joins the default track.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from mmbench.algorithms.base import Algorithm
from mmbench.core.description import digest
from mmbench.core.errors import DescriptionError
from mmbench.core.serialization import from_canonical
from mmbench.engine.cell import ENGINE_VERSION, Cell

Footer = dict[str, Any]

# Fields of a cell that are those of the method that joins, or of how it is kept.
_OF_METHOD = ("class", "version", "algorithm", "label", "keep", "keep_state")


class Joining(NamedTuple):
    """A method's cells among results.

    Args:
        cells: one for each task and budget of the results.
        compared: keys of the results that have the conditions of one of the cells.
        left_out: sentences on the results that the method cannot join.
    """

    cells: list[Cell]
    compared: list[str]
    left_out: list[str]


def join(results: Iterable[Footer], algorithm: Algorithm, label: str) -> Joining:
    """Return the cells by which a method joins results.

    Of cells that differ in their seeds alone, those with the most seeds count.

    Args:
        results: the footers of the cells that it joins.
        algorithm: the method.
        label: its name among them.
    """
    groups: dict[str, list[Footer]] = {}  # conditions to the footers of cells
    for footer in results:
        alone = {"algorithm": None, "seeds": None, "track": _track_of(footer)}
        groups.setdefault(digest((footer["cell"] | alone,)), []).append(footer)
    joining = Joining([], [], [])
    for footers in groups.values():
        widest = max(footers, key=lambda footer: footer["runs"])
        try:
            joining.cells.append(_cell_like(widest, algorithm, label))
        except DescriptionError as error:
            joining.left_out.append(f"{widest['task']} is left out: {error}")
            continue
        joining.compared.extend(footer["key"] for footer in footers)
    return joining


def _cell_like(footer: Footer, algorithm: Algorithm, label: str) -> Cell:
    """Return a method's cell under the conditions of a stored one.

    Raises:
        DescriptionError: when this mmbench does not compute under these conditions, or
            the method does not fit them.
    """
    if _track_of(footer) != "default":
        raise DescriptionError(
            f"{footer['label']} must be of the default track for others to join it; it "
            "is the winner of a tuning."
        )
    if digest((ENGINE_VERSION, footer["cell"])) != footer["key"]:
        raise DescriptionError(
            f"{footer['label']} must have the key of its description in this mmbench; "
            "another version computed it."
        )
    if footer["cell"].get("after"):
        raise DescriptionError(
            f"{footer['label']} must start where its task says for others to join it; "
            "it goes on where another cell ended."
        )
    fields = {
        name: from_canonical(value, {})
        for name, value in _description(footer).items()
        if name not in _OF_METHOD
    }
    return Cell(algorithm=algorithm, label=label, **fields)


def _description(footer: dict[str, Any]) -> dict[str, Any]:
    """Return a stored cell as JSON values, as far as its file has them."""
    return footer.get("description", footer["cell"])


def _track_of(footer: dict[str, Any]) -> str:
    return str(_description(footer).get("track", "default"))

"""The catalogue of algorithms in the documentation, with what the gate found of each.

Rows of algorithms that are new, or whose summary, cost, source or prediction changed,
are made anew by `pytest tests/golden --regenerate`; the others stay as they are. Delete
the file to check all algorithms again.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from mmbench.algorithms import ALGORITHMS
from mmbench.core.docstrings import doc_of
from mmbench.testing.gate import SHORT_SPECS, run_gate
from mmbench.testing.theory import PREDICTIONS, TOLERANCE

CATALOGUE = Path(__file__).parents[2] / "docs" / "catalogue.md"
HEAD = """# Catalogue of algorithms

What `mmbench check algorithms` found of each algorithm with its default options, when
its row was last made: its contract, its counted cost, whether runs depend on their
neighbours, and whether a replay is equal, on small games of each kind. *Theory* is
the largest relative error of the spectral radii of its steps on linear games
(bilinear, the quadratic of implicit competitive regularization, g1 and g2) against
predictions that are derived by hand from the published rule, in
`mmbench/testing/theory.py`; up to 1e-9 passes. Costs are oracle calls of a step:
gradients ∇x and ∇y, Hessian products and values.

| algorithm | what it does | cost of a step | source | checks | theory |
|---|---|---|---|---|---|
"""
NO_PREDICTION = "no prediction"


def facts(name: str) -> str:
    """The columns of an algorithm's row that come from its code."""
    method = ALGORITHMS.build(name)
    source = type(method).source
    cells = (
        f"[{name}](../mmbench/algorithms/{Path(type(method).__module__).suffix[1:]}.py)",
        doc_of(type(method)).summary.rstrip("."),
        str(method.cost),
        f"{source.authors} {source.year}" if source else "",
    )
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def findings(name: str) -> str:
    """The columns of an algorithm's row that the gate fills."""
    found = list(run_gate(ALGORITHMS.build(SHORT_SPECS.get(name, name))))
    counts = Counter(one.result for one in found)
    checks = ", ".join(
        f"{counts[one]} {one}" for one in ("passed", "failed") if counts[one]
    )
    theory = found[-1]
    assert theory.check == "theory"
    of = theory.details.removeprefix("relative error of ")
    shown = f"{theory.figure:.0e}, {of}" if name in PREDICTIONS else NO_PREDICTION
    return f" {checks} | {shown} |"


def rows() -> dict[str, str]:
    """The rows of the catalogue, by name."""
    lines = CATALOGUE.read_text("utf-8").splitlines() if CATALOGUE.exists() else []
    found = (re.match(r"\| \[(\w+)\]", line) for line in lines)
    return {one[1]: one.string for one in found if one}


def is_current(name: str, row: str) -> bool:
    """Whether a row has the facts of its algorithm, and what its gate must find."""
    checks, theory = row.removesuffix(" |").split(" | ")[-2:]
    if name not in PREDICTIONS:
        predicted = theory == NO_PREDICTION and checks == "4 passed"
    else:
        error = re.match(r"(\S+), \d+ radii", theory)
        predicted = bool(error) and float(error[1]) <= TOLERANCE
        predicted = predicted and checks == "5 passed"
    return row.startswith(f"{facts(name)} ") and predicted


def test_the_catalogue_is_current(regenerate: bool) -> None:
    """Each algorithm has a row, in the order of the registry, and passes its gate."""
    made = rows()
    if regenerate:
        made = {
            name: made[name]
            if name in made and is_current(name, made[name])
            else facts(name) + findings(name)
            for name in ALGORITHMS
        }
        text = HEAD + "".join(f"{row}\n" for row in made.values())
        CATALOGUE.write_text(text, "utf-8")
    again = "run pytest tests/golden --regenerate"
    assert list(made) == list(ALGORITHMS), again
    assert CATALOGUE.read_text("utf-8").startswith(HEAD), again
    for name, row in made.items():
        assert is_current(name, row), f"{row}: {again}"


@pytest.mark.parametrize(
    ("old", "new"),
    [("5 passed", "4 passed, 1 failed"), ("e-16", "e-08"), ("ascent", "descent")],
)
def test_a_row_that_is_not_current_is_seen(old: str, new: str) -> None:
    """A failed check, an error above the tolerance and another summary are seen."""
    row = f"{facts('gda')} 5 passed | 2e-16, 8 radii |"
    assert is_current("gda", row)
    assert not is_current("gda", row.replace(old, new))

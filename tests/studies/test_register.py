"""The register of claims: frozen, complete, and about cells that exist."""

from collections import Counter
from pathlib import Path

import pytest

from mmbench.analysis.verdicts import rule_digest
from mmbench.runner.plan import plan
from mmbench.studies.base import Claim
from mmbench.studies.register import (
    _TUPLES,
    CLAIMS,
    FROZEN,
    MOST_RANDOM,
)
from mmbench.suites import SUITES

ROOT = Path(__file__).parents[2]
CELLS = {
    name: {(str(cell.task), cell.label) for cell in plan(SUITES[name])}
    for name in {one.suite for claim in CLAIMS.values() for one in claim.variants}
}


def test_claims_are_as_they_were_registered() -> None:
    """No claim was changed after it was frozen, and none was left out."""
    assert {name: rule_digest(claim) for name, claim in CLAIMS.items()} == FROZEN


def test_names_are_unique() -> None:
    """Each claim is listed under its own name, once."""
    names = [claim.name for part in _TUPLES for claim in part]
    assert names == list(CLAIMS)


def test_no_statement_is_lost() -> None:
    """Every one of the documents' 88 statements is a claim, or part of one."""
    numbers = {number for claim in CLAIMS.values() for number in claim.numbers}
    assert numbers == set(range(1, 89))


def test_levels_are_frozen() -> None:
    """No document has more random claims than its level was divided by."""
    counts = Counter(claim.paper for claim in CLAIMS.values() if claim.is_random)
    assert all(counts[paper] <= most for paper, most in MOST_RANDOM.items())


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_variants_name_cells(claim: Claim) -> None:
    """Each variant's runs are cells of its suite."""
    for variant in claim.variants:
        for label in filter(None, (variant.label, variant.against)):
            assert (variant.task, label) in CELLS[variant.suite]


@pytest.mark.parametrize(
    "path", sorted({one.negative for one in CLAIMS.values() if one.negative})
)
def test_second_implementations_exist(path: str) -> None:
    """The tests that claims name are there."""
    assert (ROOT / path).is_file()

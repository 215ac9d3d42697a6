"""Verdicts: what follows from which runs, by each kind of claim."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmbench.analysis import verdicts
from mmbench.analysis.results import Results
from mmbench.analysis.verdicts import Verdict, cells_of, of_claims, published_records
from mmbench.core.description import canonical
from mmbench.studies.base import Bound, Claim, Origin, Rule, Variant
from mmbench.suites.base import Grid, Suite

SUITE = Suite(
    name="tiny",
    grids=(
        Grid(
            tasks=("bilinear", "quadratic"),
            algorithms=("A = gda", "B = omd"),
            seeds=50,
            first_seed=5000,
            steps=10,
            records=2,
        ),
        Grid(
            tasks=("dirac_gan[start_at=(1,1)]",),
            algorithms=("A = gda",),
            seeds=1,
            first_seed=5000,
            steps=10,
            records=2,
        ),
    ),
)
RULE = Rule(name="near", bounds=(Bound(column="distance", at_most=1),))
LONGER_THAN_ONE = Rule(name="far", bounds=(Bound(column="distance", at_least=1),))
LONGER = Rule(name="more", column="distance")


@pytest.fixture(autouse=True)
def _suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "SUITES", {"tiny": SUITE})
    verdicts.cells_of_suite.cache_clear()


def variant(
    name: str = "one",
    origin: Origin = "text",
    task: str = "bilinear",
    against: str = "",
) -> Variant:
    """Return a variant of which method A is counted."""
    return Variant(
        name=name, origin=origin, suite="tiny", task=task, label="A", against=against
    )


def claim(kind: str, *variants: Variant, **changes: object) -> Claim:
    """Return a claim of a kind."""
    fields: dict[str, object] = {
        "numbers": (1,),
        "name": "tiny",
        "paper": "icr",
        "place": "here",
        "statement": "It is near.",
        "kind": kind,
        "variants": variants or (variant(),),
        "rules": (RULE,),
        "negative": "tests/x.py",
    }
    return Claim(**(fields | changes))  # type: ignore[arg-type]


def results(*cells: tuple[str, str, list[float]], step: int = 10) -> Results:
    """Return results of cells: task, label, and each run's distance at the end."""
    frames, footers = [], {}
    for task, label, values in cells:
        one = verdicts.cells_of_suite("tiny")[task, label]
        one = replace(one, seeds=tuple(range(5000, 5000 + len(values))))
        frames += [
            pd.DataFrame(
                {"key": one.key, "seed": one.seeds, "step": at, "distance": shown}
            )
            for at, shown in ((0, [9.0] * len(values)), (step, values))
        ]
        footers[one.key] = {"cell": canonical(one), "runs": len(values)}
    return Results(pd.concat(frames, ignore_index=True), footers, None)


def near(count: int, runs: int) -> list[float]:
    """Return distances of which so many are near, spread over the runs."""
    at = np.floor(np.arange(count) * runs / max(count, 1)).astype(int)
    return list(np.where(np.isin(np.arange(runs), at), 0.5, 2.0))


def judged(one: Claim, *cells: tuple[str, str, list[float]]) -> Verdict:
    """Return the verdict on a claim by the given cells."""
    return verdicts.verdict_on(one, results(*cells))


@pytest.mark.parametrize(
    ("count", "runs", "verdict", "seen"),
    [
        (34, 50, "inconclusive", 50),  # 68 %, and an interval of 45 to 86
        (136, 200, "reproduced", 200),
        (10, 50, "not reproduced", 50),
        (20, 100, "not reproduced", 50),  # at the first look, of which 10 are near
        (50, 50, "not reproduced", 50),  # a share above the published one differs too
        (158, 200, "inconclusive", 200),  # of 79 %, whose interval leaves the margin
        (30, 49, "not run yet", 0),
    ],
)
def test_share(count: int, runs: int, verdict: str, seen: int) -> None:
    """A share is reproduced within its margin, refuted where intervals do not meet."""
    found = judged(claim("share", share=0.68), ("bilinear", "A", near(count, runs)))
    assert found.verdict == verdict
    last = found.tested[0].last
    assert (last.runs if last else 0) == seen


@pytest.mark.parametrize(
    ("count", "runs", "verdict"),
    [
        (50, 50, "inconclusive"),
        (200, 200, "reproduced"),
        (49, 50, "not reproduced"),
    ],
)
def test_every(count: int, runs: int, verdict: str) -> None:
    """One run refutes “every”; only many runs without a failure show it."""
    found = judged(claim("every"), ("bilinear", "A", near(count, runs)))
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("count", "verdict"),
    [(45, "reproduced"), (25, "inconclusive"), (5, "not reproduced")],
)
def test_most(count: int, verdict: str) -> None:
    """“Most” asks for an interval above one half."""
    found = judged(claim("most"), ("bilinear", "A", near(count, 50)))
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (near(50, 50), near(0, 50), "reproduced"),
        (near(0, 50), near(50, 50), "not reproduced"),
        (near(25, 50), near(25, 50), "inconclusive"),
    ],
)
def test_more_by_a_rule(first: list[float], second: list[float], verdict: str) -> None:
    """Runs of the same seed are compared by whether they keep the rule."""
    found = judged(
        claim("more", variant(against="B")),
        ("bilinear", "A", first),
        ("bilinear", "B", second),
    )
    assert found.verdict == verdict


def test_more_by_a_value() -> None:
    """A value that is not a number is less than any other, and equal to itself."""
    first, second = [2.0] * 49 + [np.nan], [1.0] * 48 + [np.nan] * 2
    found = judged(
        claim("more", variant(against="B"), rules=(LONGER,)),
        ("bilinear", "A", first),
        ("bilinear", "B", second),
    )
    last = found.tested[0].last
    assert last
    assert last.estimate == pytest.approx(49 / 50)
    assert found.verdict == "reproduced"


def test_a_gap_that_is_too_small() -> None:
    """A difference that is surely positive, and less than half the gap, refutes."""
    one = claim("more", variant(against="B"), gap=2.0, rules=(LONGER,))
    values = [3.0 if value < 1 else 1.0 for value in near(60, 200)]
    found = judged(one, ("bilinear", "A", values), ("bilinear", "B", [1.0] * 200))
    assert found.verdict == "not reproduced"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([0.1] * 50, "reproduced"), ([0.1] * 49 + [np.nan], "not reproduced")],
)
def test_always(values: list[float], verdict: str) -> None:
    """What is certain given its start is decided by all runs, without an interval."""
    found = judged(claim("always"), ("bilinear", "A", values))
    assert found.verdict == verdict
    last = found.tested[0].last
    assert last
    assert last.error == 0


def test_a_variant_with_one_start_hides_no_other() -> None:
    """All starts of each variant are looked at, though another variant has one."""
    alone = "dirac_gan[start_at=(1,1)]"
    both = claim("always", variant("drawn"), variant("fixed", task=alone))
    found = judged(both, ("bilinear", "A", near(49, 50)), (alone, "A", [0.5]))
    assert [one.last and one.last.runs for one in found.tested] == [50, 1]
    assert found.verdict == "depends on the variant"
    assert found.why == "Not reproduced with “drawn”; reproduced with “fixed”."


def test_a_negative_verdict_needs_a_second_implementation() -> None:
    """Without one, runs that refute a claim leave it open."""
    found = judged(claim("always", negative=""), ("bilinear", "A", [2.0] * 50))
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("origins", "verdict"),
    [
        (("text", "code"), "depends on the variant"),
        (("ours", "ours"), "not comparable"),
        (("text", "ours"), "not comparable"),
        (("ours", "text"), "not comparable"),
    ],
)
def test_variants_that_disagree(origins: tuple[Origin, Origin], verdict: str) -> None:
    """Named variants make a verdict that depends; unnamed ones leave none."""
    one = claim(
        "always",
        variant("first", origins[0]),
        variant("second", origins[1], "quadratic"),
    )
    found = judged(one, ("bilinear", "A", [0.1] * 50), ("quadratic", "A", [2.0] * 50))
    assert found.verdict == verdict
    assert "first" in found.why or "second" in found.why


def test_variants_that_agree() -> None:
    """One verdict holds for all variants."""
    one = claim("always", variant("a"), variant("b", "ours", "quadratic"))
    found = judged(one, ("bilinear", "A", [0.1] * 50), ("quadratic", "A", [0.1] * 50))
    assert found.verdict == "reproduced"


def test_other_rules_decide_nothing() -> None:
    """A rule beside the first one is reported, and turns no verdict."""
    far = Rule(name="far", bounds=(Bound(column="distance", at_least=1),))
    found = judged(claim("always", rules=(RULE, far)), ("bilinear", "A", [0.1] * 50))
    assert found.verdict == "reproduced"
    assert found.tested[0].others[0].conclusion == "not reproduced"
    assert found.flips


def test_a_rule_at_a_step() -> None:
    """A bound reads the value at its own step."""
    early = Rule(name="at 0", bounds=(Bound(column="distance", at_most=1, step=5),))
    one = claim("always", rules=(early,))
    shown = results(("bilinear", "A", [2.0] * 50), step=5)
    assert verdicts.verdict_on(one, shown).verdict == "not reproduced"
    shown.frame.loc[shown.frame["step"] == 5, "distance"] = 0.5
    assert verdicts.verdict_on(one, shown).verdict == "reproduced"


def test_what_is_published_gives_the_same_verdict() -> None:
    """Of cells that differ in seeds alone those with most runs are kept, thinned."""
    one = claim("share", share=0.68)
    shown = results(("bilinear", "A", near(34, 50)), ("bilinear", "A", near(136, 200)))
    kept = of_claims(shown, [one])
    assert list(kept.footers.values()) == list(shown.footers.values())[1:]
    thinned = kept._replace(frame=published_records([one])(kept.frame))
    assert set(thinned.frame["step"]) == {10}
    assert verdicts.verdict_on(one, thinned) == verdicts.verdict_on(one, shown)


def test_cells_have_fresh_seeds_in_order() -> None:
    """More runs add seeds after those that are there."""
    (first,), (more,) = (cells_of(claim("most"), runs) for runs in (50, 100))
    assert more.seeds[:50] == first.seeds
    assert first.seeds[0] == 5000


def test_the_digest_covers_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rule or another step size is seen; a note is not."""
    one = claim("most")
    before = verdicts.rule_digest(one)
    assert verdicts.rule_digest(claim("most", note="It may be.")) == before
    assert verdicts.rule_digest(claim("most", rules=(LONGER_THAN_ONE,))) != before
    grid, *others = SUITE.grids
    faster = replace(grid, algorithms=("A = gda[step_size=0.2]", "B = omd"))
    changed = {"tiny": replace(SUITE, grids=(faster, *others))}
    monkeypatch.setattr(verdicts, "SUITES", changed)
    verdicts.cells_of_suite.cache_clear()
    assert verdicts.rule_digest(one) != before

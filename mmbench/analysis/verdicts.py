"""Verdicts on claims of papers: what stored runs say, at levels fixed in advance."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from mmbench.analysis.computations import COMPUTATIONS
from mmbench.analysis.results import Results
from mmbench.analysis.stats import difference_interval, proportion_interval
from mmbench.core.description import canonical
from mmbench.engine.cell import Cell
from mmbench.runner.plan import plan
from mmbench.runner.stored_runs import without_seeds
from mmbench.studies.base import EVERY_RUN, LOOKS, Claim, Rule, Variant
from mmbench.studies.register import level_of_look
from mmbench.suites import SUITES

Conclusion = Literal["reproduced", "not reproduced", "inconclusive"]
NOT_RUN = "not run yet"


class Look(NamedTuple):
    """What the first runs say by one rule.

    Args:
        runs: number of runs, or of pairs of runs.
        estimate: share of the runs that keep the rule, or difference of shares.
        low: lower end of its interval; NaN where nothing is random.
        high: upper end.
        error: one less the interval's nominal coverage.
        conclusion: what follows for the claim.
    """

    runs: int
    estimate: float
    low: float
    high: float
    error: float
    conclusion: Conclusion


class Tested(NamedTuple):
    """One variant of a claim.

    Args:
        variant: the settings.
        looks: one for each number of runs at which a verdict was sought; empty where
            too few runs are there.
        others: what the other rules of counting say of the same runs, rule by rule.
        runs: number of runs that are there.
        shares: of two methods, the two shares whose difference each rule estimates,
            the rule that decides first; empty for one method.
    """

    variant: Variant
    looks: tuple[Look, ...]
    others: tuple[Look, ...]
    runs: int
    shares: tuple[tuple[float, ...], ...] = ()

    @property
    def last(self) -> Look | None:
        """The look that decides."""
        return self.looks[-1] if self.looks else None

    @property
    def conclusion(self) -> str:
        """The conclusion, or that too few runs are there."""
        return self.looks[-1].conclusion if self.looks else NOT_RUN


class Verdict(NamedTuple):
    """The verdict on a claim.

    Args:
        claim: the claim.
        verdict: "reproduced", "not reproduced", "inconclusive", "depends on the
            variant", "not comparable", "not run at scale", "not testable" or "not run
            yet".
        why: a sentence.
        tested: what each variant says.
    """

    claim: Claim
    verdict: str
    why: str
    tested: tuple[Tested, ...] = ()

    @property
    def open_variants(self) -> tuple[Variant, ...]:
        """The variants that more runs could decide."""
        return tuple(
            one.variant
            for one in self.tested
            if one.conclusion in ("inconclusive", NOT_RUN)
        )

    @property
    def flips(self) -> bool:
        """Whether a variant or a rule of counting contradicts another."""
        found = {
            look.conclusion
            for one in self.tested
            if one.last
            for look in (one.last, *one.others)
        }
        return {"reproduced", "not reproduced"} <= found


def verdict_on(claim: Claim, results: Results) -> Verdict:
    """Return the verdict that results give.

    Args:
        claim: the claim.
        results: stored results, of which those of the claim's cells are read.
    """
    if claim.kind == "none":
        return Verdict(claim, claim.reason or "", claim.note)
    if claim.kind == "formula":
        found = COMPUTATIONS[claim.computation]()
        return Verdict(
            claim,
            "reproduced" if found.holds else "not reproduced",
            f"{found.measured[:1].upper()}{found.measured[1:]}",
        )
    runs = Runs(results)
    tested = tuple(_test(claim, variant, runs) for variant in claim.variants)
    verdict, why = _headline(tested)
    if claim.kind == "every" and verdict == "not reproduced":
        counts = [
            f"{round((1 - look.estimate) * look.runs)} of {look.runs}"
            for one in tested
            if (look := one.last) and look.estimate < 1
        ]
        why = f"{why} {' and '.join(counts)} runs do not keep the rule.".strip()
    return Verdict(claim, verdict, why, tested)


# What is added for the reader, and may be mended after the freeze.
_WORDS = {"note", "flags", "place"}


def rule_digest(claim: Claim) -> str:
    """Return the digest of all that decides a claim, which results carry.

    It covers the cells with all their settings but the number of runs, the looks and
    the levels.
    """
    deciding = {
        "claim": {
            name: one for name, one in canonical(claim).items() if name not in _WORDS
        },
        "cells": [_text(canonical(cell)) for cell in cells_of(claim)],
        "rules": [LOOKS, EVERY_RUN, level_of_look(claim)],
    }
    document = json.dumps(deciding, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(document.encode()).hexdigest()[:24]


def cells_of(
    claim: Claim,
    runs: int | None = None,
    variants: Sequence[Variant] | None = None,
) -> list[Cell]:
    """Return the cells that a claim is decided by, each once.

    Args:
        claim: the claim.
        runs: number of runs of each; None for those of the suites.
        variants: those of its variants whose cells are returned; None for all.
    """
    found: dict[str, Cell] = {}
    for variant in claim.variants if variants is None else variants:
        for label in filter(None, (variant.label, variant.against)):
            cell = _cell(variant, label)
            if runs:
                first = cell.seeds[0]
                cell = replace(cell, seeds=tuple(range(first, first + runs)))
            found[cell.key] = cell
    return list(found.values())


def looks_of(claim: Claim) -> tuple[int, ...]:
    """Return the numbers of runs at which a verdict is sought; none without runs."""
    if claim.is_random:
        return LOOKS
    counts = [len(cell.seeds) for cell in cells_of(claim)]
    return (min(counts),) if counts else ()


def published_records(
    claims: Iterable[Claim],
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return the function that keeps the records which the claims' rules read.

    Args:
        claims: the claims.
    """
    wanted = {
        bound.step
        for claim in claims
        for rule in claim.rules
        for bound in rule.bounds
        if bound.step
    }

    def records(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[rows["step"].isin(wanted | {rows["step"].max()})]

    return records


def cells_of_suites(claims: Iterable[Claim]) -> list[Cell]:
    """Return all cells of the suites that decide on claims about random runs.

    Those that no claim names are controls, and changes of one ingredient.
    """
    suites = dict.fromkeys(
        variant.suite
        for claim in claims
        if claim.is_random
        for variant in claim.variants
    )
    return [cell for suite in suites for cell in cells_of_suite(suite).values()]


def of_claims(results: Results, claims: Sequence[Claim]) -> Results:
    """Return the results that claims are decided by, of each cell those of most runs.

    The other cells of their suites are there as well.

    Args:
        results: stored results.
        claims: the claims.
    """
    runs = Runs(results)
    cells = [cell for claim in claims for cell in cells_of(claim)]
    cells += cells_of_suites(claims)
    keys = dict.fromkeys(key for cell in cells if (key := runs.key(cell)))
    footers = {key: results.footers[key] for key in keys}
    frame = results.frame[results.frame["key"].isin(footers)].reset_index(drop=True)
    return results._replace(frame=frame, footers=footers, unfinished={})


# ---- runs ----


class Runs:
    """The runs of stored cells, by what the cells describe.

    Args:
        results: stored results; of cells that differ in their seeds alone, those with
            most of them are read.
    """

    def __init__(self, results: Results) -> None:
        self._frame = results.frame
        self._keys: dict[str, str] = {}
        most: dict[str, int] = {}
        for key, footer in results.footers.items():
            if key in results.unfinished:
                continue
            text = _text(footer["cell"])
            if footer["runs"] > most.get(text, 0):
                most[text], self._keys[text] = footer["runs"], key

    def key(self, cell: Cell) -> str | None:
        """Return the key of the stored cell with most runs; None if there is none."""
        return self._keys.get(_text(canonical(cell)))

    def rows(self, cell: Cell) -> pd.DataFrame:
        """Return the rows of a cell's runs; none if it is not stored."""
        key = self.key(cell)
        if key is None:
            return pd.DataFrame(columns=["seed", "step"])
        return self._frame[self._frame["key"] == key]


def _text(described: Mapping) -> str:
    """Return the JSON of a described cell without its seeds."""
    return json.dumps(without_seeds(described), sort_keys=True)


@cache
def cells_of_suite(suite: str) -> dict[tuple[str, str], Cell]:
    """Return the cells of a suite by their tasks and labels."""
    return {(str(cell.task), cell.label): cell for cell in plan(SUITES[suite])}


def _cell(variant: Variant, label: str) -> Cell:
    """Return the cell of one of a variant's methods."""
    return cells_of_suite(variant.suite)[variant.task, label]


# ---- one variant ----


def _test(claim: Claim, variant: Variant, runs: Runs) -> Tested:
    """Look at the runs of a variant until they are conclusive, or there are no more."""
    tables = [
        runs.rows(_cell(variant, label))
        for label in filter(None, (variant.label, variant.against))
    ]
    seeds: list[int] = sorted(set.intersection(*(set(one["seed"]) for one in tables)))
    kept = [_kept(rule, tables, seeds) for rule in claim.rules]
    # Those of the first method, less those of the second where there are two.
    outcomes = [one[0] - sum(one[1:]) for one in kept]
    looks: list[Look] = []
    # A variant may have fewer starts than another, such as the source's own one.
    for count in looks_of(replace(claim, variants=(variant,))):
        if len(seeds) < count:
            break
        looks.append(look_at(claim, outcomes[0][:count]))
        if looks[-1].conclusion != "inconclusive":
            break
    seen = looks[-1].runs if looks else 0
    others = [look_at(claim, one[:seen]) for one in outcomes[1:]] if seen else []
    shares = [
        tuple(float(one[:seen].mean()) for one in pair)
        for pair in kept
        if seen and len(pair) == 2
    ]
    return Tested(variant, tuple(looks), tuple(others), len(seeds), tuple(shares))


def _kept(
    rule: Rule, tables: Sequence[pd.DataFrame], seeds: Sequence[int]
) -> list[Float[np.ndarray, " runs"]]:
    """Return what a rule says of each seed, for each method.

    Returns:
        1 or 0 for a run that keeps the rule or does not; by a rule without bounds, 1
        for the method whose value is the larger one.
    """
    if rule.bounds:
        return [_keeps(rule, rows, seeds).astype(float) for rows in tables]
    values = [_column(rows, rule.column, 0, seeds) for rows in tables]
    first, second = (np.nan_to_num(one, nan=-np.inf) for one in values)
    return [(first > second).astype(float), (first < second).astype(float)]


def _keeps(
    rule: Rule, rows: pd.DataFrame, seeds: Sequence[int]
) -> Bool[np.ndarray, " runs"]:
    """Return the runs that keep all bounds of a rule; a NaN keeps none."""
    kept = np.ones(len(seeds), bool)
    for bound in rule.bounds:
        values = _column(rows, bound.column, bound.step, seeds)
        if bound.at_least is not None:
            kept &= values >= bound.at_least
        if bound.at_most is not None:
            kept &= values <= bound.at_most
    return kept


def _column(
    rows: pd.DataFrame, column: str, step: int, seeds: Sequence[int]
) -> Float[np.ndarray, " runs"]:
    """Return the values of a column at a step, in the order of the seeds."""
    if rows.empty:
        return np.full(len(seeds), np.nan)
    there = rows[rows["step"] == (step or rows["step"].max())]
    return there.set_index("seed")[column].reindex(list(seeds)).to_numpy(float)


def look_at(claim: Claim, outcomes: Float[np.ndarray, " runs"]) -> Look:
    """Return what follows from the outcomes of some runs, by the claim's kind."""
    runs, estimate, error = len(outcomes), float(outcomes.mean()), level_of_look(claim)
    if claim.kind == "always":
        conclusion: Conclusion = "reproduced" if estimate == 1 else "not reproduced"
        low = high = np.nan
    elif claim.kind == "more":
        low, high = difference_interval([outcomes], error)
        conclusion = _conclude(
            low > 0 and estimate >= claim.gap / 2, high < claim.gap / 2
        )
    else:
        low, high = map(float, proportion_interval(outcomes.sum(), runs, error))
        if claim.share is not None:
            least, most = claim.share - claim.margin, claim.share + claim.margin
            conclusion = _conclude(
                least <= low and high <= most, high < least or low > most
            )
        elif claim.kind == "most":
            conclusion = _conclude(low > 0.5, high < 0.5)
        else:
            conclusion = _conclude(estimate == 1 and low >= EVERY_RUN, estimate < 1)
    if conclusion == "not reproduced" and not claim.negative:
        conclusion = "inconclusive"
    return Look(runs, estimate, low, high, error, conclusion)


def _conclude(is_reproduced: bool, is_refuted: bool) -> Conclusion:
    if is_reproduced:
        return "reproduced"
    return "not reproduced" if is_refuted else "inconclusive"


# ---- all variants ----


def _headline(tested: Sequence[Tested]) -> tuple[str, str]:
    """Return the verdict of all variants together, and why.

    What text and code name decides; where they disagree, the verdict says so. A setting
    that neither names, and that turns a verdict, leaves nothing to compare with.
    """
    named = [one for one in tested if one.variant.origin != "ours"]
    ours = [one for one in tested if one.variant.origin == "ours"]
    verdict, why = _joint(named or ours, "depends on the variant")
    if not named and verdict == "depends on the variant":
        return "not comparable", f"It depends on what no source states: {why}"
    turned = [
        one
        for one in ours
        if {one.conclusion, verdict} == {"reproduced", "not reproduced"}
    ]
    if named and turned:
        names = _names(turned)
        return "not comparable", f"It is {verdict}, and {turned[0].conclusion} {names}."
    return verdict, why


def _joint(tested: Sequence[Tested], where_both: str) -> tuple[str, str]:
    """Return what variants say together, and which says what."""
    by_conclusion: dict[str, list[Tested]] = {}
    for one in tested:
        by_conclusion.setdefault(one.conclusion, []).append(one)
    parts = [f"{words} {_names(those)}" for words, those in by_conclusion.items()]
    text = "; ".join(parts)
    why = f"{text[0].upper()}{text[1:]}."
    if len(by_conclusion) == 1:
        return next(iter(by_conclusion)), why if len(tested) > 1 else ""
    if {"reproduced", "not reproduced"} <= set(by_conclusion):
        return where_both, why
    if NOT_RUN in by_conclusion:
        return NOT_RUN, why
    return "inconclusive", why


def _names(tested: Sequence[Tested]) -> str:
    names = [f"“{one.variant.name}”" for one in tested]
    return "with " + ", ".join(names)

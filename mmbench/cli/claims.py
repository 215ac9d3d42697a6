"""mmbench claims: what papers claim, and the verdicts that runs give."""

import json
import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mmbench.cli import WorkError, print_stderr, print_stdout
from mmbench.cli._numbers import Folder
from mmbench.cli._published import find_published
from mmbench.cli._resource_options import (
    data_dir_option,
    resource_options,
    sigterm_as_interrupt,
)
from mmbench.cli._selection import DEFAULT_STORE
from mmbench.core.errors import (
    DescriptionError,
    MmbenchError,
    StoreError,
    near_names,
    unknown_name,
)
from mmbench.runner.limits import Limits, Workers
from mmbench.studies.base import LOOKS, Claim, Variant

if TYPE_CHECKING:  # they import torch and pandas
    import mmbench.analysis.results
    import mmbench.analysis.verdicts

REGISTERED = "claims.json"  # in a folder of results: the digests of their claims

EXAMPLES = """\b
Examples:
  mmbench claims
  mmbench claims mangoubi-four-modes
  mmbench claims --suite claims_toys --run
  mmbench claims icr-cgd-longer --run --runs 100
"""


@click.command(
    "claims",
    short_help="Print what papers claim, and the verdicts of runs.",
    epilog=EXAMPLES,
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--suite",
    metavar="NAME",
    help="Only claims that runs of this suite decide; claims_toys takes minutes.",
)
@click.option("--run", "runs_them", is_flag=True, help="Run what is missing first.")
@click.option(
    "--runs",
    type=click.Choice([str(count) for count in LOOKS]),
    default=str(LOOKS[0]),
    show_default=True,
    help="With --run, the most runs of each method; more are made where fewer are "
    "inconclusive.",
)
@click.option(
    "--store",
    type=Folder(file_okay=False),
    help="Folder of the results.  [default: mmbench-results with --run, else the "
    "published results of a checkout]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--publish",
    "published",
    type=Folder(file_okay=False),
    metavar="FOLDER",
    help="Add the results that decide to those in FOLDER, and write the page of all "
    "verdicts.",
)
@data_dir_option
@resource_options
def command(
    names: tuple[str, ...],
    suite: str | None,
    runs_them: bool,
    runs: str,
    store: Path | None,
    as_json: bool,
    published: Path | None,
    data_dir: Path | None,
    workers: Workers,
    limits: Limits,
) -> None:
    """Print the verdicts on the claims NAME, or on all.

    A claim is a statement of a paper with the runs and the rule that decide on it,
    registered before the first run. With names, each claim is printed in full. With
    --run, what is missing is computed first, in the order of the register; claims
    about random runs are looked at after 50, 100 and 200 runs, until a look is
    conclusive.
    """
    from mmbench.studies.register import CLAIMS

    for name in names:
        if name not in CLAIMS:
            near = near_names(name, CLAIMS)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise DescriptionError(
                f"Unknown claim {name!r}.{hint} `mmbench claims` lists all."
            )
    chosen = [CLAIMS[name] for name in names] if names else list(CLAIMS.values())
    _check_options(names, suite, runs_them, runs, as_json, published)
    if suite:
        chosen = _of_suite(suite, chosen)
    if store is None:
        there = None if runs_them else find_published("reports/claims", REGISTERED)
        store = there or DEFAULT_STORE
    if runs_them:
        _run(chosen, int(runs), store, data_dir, workers, limits)
    results = _read(store, chosen)
    from mmbench.analysis.verdicts import verdict_on

    if published:
        results = _with_published(results, published, chosen)
    verdicts = [verdict_on(claim, results) for claim in chosen]
    if published:
        _publish(verdicts, results, published)
        return
    if as_json:
        print_stdout(json.dumps([_as_json(one) for one in verdicts], indent=2))
    elif names:
        for one in verdicts:
            click.echo("\n".join(_in_full(one)) + "\n")
    else:
        _print_table(verdicts)


def _check_options(
    names: tuple[str, ...],
    suite: str | None,
    runs_them: bool,
    runs: str,
    as_json: bool,
    published: Path | None,
) -> None:
    """Check that the options fit each other.

    Raises:
        DescriptionError: when one would have no effect.
    """
    if runs_them and published:
        raise DescriptionError(
            "--run must stand without --publish: run into a store first, then publish "
            f"from it; got {published}."
        )
    if as_json and published:
        raise DescriptionError("--json must stand without --publish; got both.")
    if not runs_them and _was_given("runs"):
        raise DescriptionError(
            f"--runs must stand with --run; got --runs {runs} alone."
        )
    if published and (names or suite):
        raise DescriptionError(
            f"--publish must stand without names and --suite, since the page shows all "
            f"claims; got {' '.join([*names, *filter(None, [suite])])}."
        )


def _was_given(option: str) -> bool:
    """Return whether the user gave an option."""
    source = click.get_current_context().get_parameter_source(option)
    return source is ParameterSource.COMMANDLINE


def _of_suite(suite: str, claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims that runs of a suite decide.

    Raises:
        MmbenchError: when there are none.
    """
    from mmbench.studies.register import CLAIMS

    by_suite: dict[str, list[Claim]] = {}
    for claim in claims:
        for name in dict.fromkeys(one.suite for one in claim.variants):
            by_suite.setdefault(name, []).append(claim)
    if suite not in by_suite and len(claims) < len(CLAIMS):
        raise DescriptionError(
            f"The named claims must be decided by runs of {suite}; none of them is."
        )
    if suite not in by_suite:
        raise unknown_name("suite of claims", suite, by_suite)
    return by_suite[suite]


# ---- results ----


def _read(store: Path, claims: Sequence[Claim]) -> "mmbench.analysis.results.Results":
    """Return the results in a folder, made under the claims as they are registered.

    Raises:
        StoreError: when a claim was changed since its runs were made.
    """
    from mmbench.analysis.published import is_published, read_published
    from mmbench.analysis.results import Gathered, collected
    from mmbench.store.folder import Store

    if store == DEFAULT_STORE and not store.exists():
        return collected({})
    _check_registered(store, claims)
    if not _registered(store) and store.is_dir():
        print_stderr(
            f"Note: {store} has no {REGISTERED}: it is not known by which rules its "
            "runs were to be counted."
        )
    if is_published(store):
        return read_published(store)
    return Gathered(Store(store)).read_planned(_planned(claims)).results()


def _with_published(
    results: "mmbench.analysis.results.Results", folder: Path, claims: Sequence[Claim]
) -> "mmbench.analysis.results.Results":
    """Return results with those that a folder has already, which are published again.

    Of cells that differ in their seeds alone, verdicts read the one with most runs.
    """
    import pandas as pd

    from mmbench.analysis.published import is_published, read_published

    if not is_published(folder):
        return results
    _check_registered(folder, claims)
    there = read_published(folder)
    new = {key: one for key, one in there.footers.items() if key not in results.footers}
    rows = there.frame[there.frame["key"].isin(new)]
    # An empty table has no types, which the others would lose.
    frames = [one for one in (results.frame, rows) if len(one)] or [rows]
    return results._replace(
        frame=pd.concat(frames, ignore_index=True),
        footers=results.footers | new,
    )


def _planned(claims: Sequence[Claim]) -> list[Any]:
    """Return all cells of claims, with each number of runs at which they are looked.

    The other cells of their suites are there as well.
    """
    from mmbench.analysis.verdicts import cells_of, cells_of_suites

    cells = [
        cell
        for claim in claims
        for count in (LOOKS if claim.is_random else [None])
        for cell in cells_of(claim, count)
    ]
    cells += [
        replace(cell, seeds=tuple(range(cell.seeds[0], cell.seeds[0] + count)))
        for cell in cells_of_suites(claims)
        for count in LOOKS
    ]
    return list({cell.key: cell for cell in cells}.values())


def _check_registered(store: Path, claims: Sequence[Claim]) -> None:
    from mmbench.analysis.verdicts import rule_digest

    registered = _registered(store)
    for claim in claims:
        then = registered.get(claim.name)
        if then not in (None, rule_digest(claim)):
            raise StoreError(
                f"The claim {claim.name} must be as it was registered when its runs "
                f"were made; {store / REGISTERED} has another digest of it."
            )


def _registered(store: Path) -> dict[str, str]:
    """Return the digests of the claims whose runs a folder holds."""
    file = store / REGISTERED
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise StoreError(f"{file} must be JSON; it is not.") from error
    if not isinstance(found, dict):
        raise StoreError(f"{file} must hold the digest of each claim; it does not.")
    return found


def _register(store: Path, claims: Sequence[Claim]) -> None:
    """Note the digests of claims before their first runs."""
    from mmbench.analysis.verdicts import rule_digest
    from mmbench.core.files import write_atomically

    _check_registered(store, claims)
    noted = _registered(store) | {claim.name: rule_digest(claim) for claim in claims}
    store.mkdir(parents=True, exist_ok=True)
    content = json.dumps(noted, indent=2, sort_keys=True) + "\n"
    write_atomically(store / REGISTERED, [content.encode()])


def _run(
    claims: Sequence[Claim],
    most: int,
    store: Path,
    data_dir: Path | None,
    workers: Workers,
    limits: Limits,
) -> None:
    """Compute what claims lack, look by look."""
    from mmbench.analysis.published import is_published
    from mmbench.analysis.verdicts import cells_of, looks_of, verdict_on
    from mmbench.cli._progress import make_progress
    from mmbench.core.placement import Placement, pick_device
    from mmbench.runner.execute import execute
    from mmbench.store.folder import Store

    if is_published(store):
        raise DescriptionError(
            "--store must be no folder of published results with --run; got "
            f"{store}. Run into a store, then add to them by --publish."
        )
    tested = [claim for claim in claims if claim.variants]
    _register(store, tested)
    placement = Placement(device=pick_device("auto"), data_dir=data_dir, compiled=None)
    kept = Store(store)
    for look in range(len(LOOKS)):
        wanted: dict[str, Any] = {}
        for claim in tested:
            counts = [n for n in looks_of(claim) if not claim.is_random or n <= most]
            if look >= len(counts):
                continue
            runs = counts[look] if claim.is_random else None
            is_open = None  # all variants
            if look:
                is_open = verdict_on(claim, _read(store, [claim])).open_variants
            cells = cells_of(claim, runs, is_open)
            wanted |= {cell.key: cell for cell in cells}
        if not wanted:
            return
        progress = make_progress(stderr=True)
        with closing(progress), sigterm_as_interrupt():
            try:
                execute(
                    list(wanted.values()),
                    kept,
                    placement,
                    progress,
                    limits=limits,
                    workers=workers,
                )
            except MmbenchError as error:
                if not progress.begun:
                    raise
                raise WorkError(str(error)) from error


def _publish(
    verdicts: "Sequence[mmbench.analysis.verdicts.Verdict]",
    results: "mmbench.analysis.results.Results",
    folder: Path,
) -> None:
    from mmbench.analysis.published import publish, read_published
    from mmbench.analysis.report.claims import write_claims
    from mmbench.analysis.verdicts import of_claims, published_records

    claims = [one.claim for one in verdicts]
    publish(of_claims(results, claims), folder, published_records(claims))
    _register(folder, [claim for claim in claims if claim.variants])
    for path in write_claims(verdicts, read_published(folder), folder):
        print_stderr(f"Written: {path}")


# ---- output ----


def _print_table(verdicts: "Sequence[mmbench.analysis.verdicts.Verdict]") -> None:
    from mmbench.analysis.report.claims import runs_in_words
    from mmbench.cli._console import print_table

    rows = [
        (one.claim.name, one.verdict, runs_in_words(one), one.claim.published)
        for one in verdicts
    ]
    print_table(("claim", "verdict", "runs", "published"), rows, right={"runs"})


def _in_full(verdict: "mmbench.analysis.verdicts.Verdict") -> Iterator[str]:
    """Yield the lines of one claim."""
    from mmbench.analysis.numbers import percent
    from mmbench.analysis.report.claims import look_in_words, verdict_in_words
    from mmbench.studies.register import level_of_look

    claim = verdict.claim
    yield claim.name
    facts = {
        "statement": claim.statement,
        "source": f"{claim.paper}, {claim.place}",
        "published": claim.published,
        "verdict": f"{verdict_in_words(verdict)}. {verdict.why}".strip(),
        "note": claim.note if claim.note != verdict.why else "",
    }
    for name, text in facts.items():
        if text:
            lines = textwrap.wrap(f"{name}: {text}", 78, subsequent_indent="  ")
            yield from (f"  {line}" for line in lines)
    if len(claim.rules) > 1 and any(one.last for one in verdict.tested):
        yield "  the first rule of counting decides; the others are shown beside it"
    for one in verdict.tested:
        yield f"  {one.variant.name} ({one.variant.origin}), {one.runs} runs"
        if one.last:
            yield from _methods_of_shares(claim, one.variant)
            looks = one.last, *one.others
            pairs = one.shares or [()] * len(looks)
            for rule, look, shares in zip(claim.rules, looks, pairs, strict=True):
                words = look_in_words(look, claim)
                if shares:
                    words = f"{' less '.join(map(percent, shares))}, {words}"
                yield f"    {rule.name}: {words}, {look.conclusion}"
    if claim.is_random and verdict.tested:
        yield f"  intervals at {100 * (1 - level_of_look(claim)):.2f} %"


def _methods_of_shares(claim: Claim, variant: Variant) -> Iterator[str]:
    """Yield what the two shares of a claim about two methods are of."""
    label, against = variant.label, variant.against
    if claim.kind == "more" and claim.rules[0].bounds:
        yield f"    share of runs of {label}, less that of {against}:"
    elif claim.kind == "more":
        yield (
            f"    share of pairs of runs in which {label} has more, less that in which "
            f"{against} has:"
        )


def _as_json(verdict: "mmbench.analysis.verdicts.Verdict") -> dict[str, Any]:
    """Return a verdict as JSON values; what is not a number is null."""
    from mmbench.analysis.report.claims import table_of_verdicts
    from mmbench.analysis.verdicts import rule_digest
    from mmbench.core.description import canonical

    looks = table_of_verdicts([verdict]).to_dict("records") if verdict.tested else []
    own = ("variant", "rule", "role", "runs", "estimate", "low", "high", "error")
    return {
        "claim": canonical(verdict.claim),
        "digest": rule_digest(verdict.claim),
        "verdict": verdict.verdict,
        "why": verdict.why,
        "looks": [
            {name: _finite(look.get(name)) for name in (*own, "conclusion")}
            for look in looks
            if "rule" in look
        ],
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

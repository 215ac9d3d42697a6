"""The sections of the page of claims: verdicts, and what each is made of."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmbench.analysis import stats
from mmbench.analysis.export import to_csv
from mmbench.analysis.numbers import number, percent, percents
from mmbench.analysis.plot.claims import forest, strip
from mmbench.analysis.published import CELLS, RUNS
from mmbench.analysis.report.markdown import as_markdown
from mmbench.analysis.report.page import prepare, render
from mmbench.analysis.report.sections import provenance
from mmbench.analysis.report.sections.base import (
    Figure,
    Section,
    Subsection,
    Table,
    TableCell,
)
from mmbench.analysis.results import Results
from mmbench.analysis.style import on_white
from mmbench.analysis.verdicts import (
    Look,
    Runs,
    Tested,
    Verdict,
    cells_of,
    cells_of_suite,
)
from mmbench.core.files import write_together
from mmbench.studies.base import Claim
from mmbench.studies.counting import DIGITS, MODES
from mmbench.studies.register import MOST_RANDOM, level_of_look

TITLE = "What papers on min-max methods claim, and what runs say"
PICTURE = "Picture"  # heading of the intervals of a claim's variants
PAPERS = {
    "icr": "Implicit competitive regularization, the paper",
    "icr-blog": "Implicit competitive regularization, the article",
    "mangoubi-blog": "A convergent algorithm for training GANs, the article",
    "rosca-lecture": "A lecture on GANs",
}
SOURCES = {
    "icr": "Schäfer, Zheng and Anandkumar 2020, Implicit competitive regularization in "
    "GANs.",
    "icr-blog": "The authors' article about the same work.",
    "mangoubi-blog": "Mangoubi, Sachdeva and Vishnoi 2020, Training GANs: from theory "
    "to practice.",
    "rosca-lecture": "Rosca 2022, a lecture on generative adversarial networks.",
}
VERDICTS = (
    "Each claim was registered before its first run: the runs that test it, one rule "
    "by which a run counts, the numbers of runs at which a verdict is sought (50, 100 "
    "and 200), and what follows from which interval. Runs have seeds that no earlier "
    "experiment had.",
    "“Reproduced” means that the interval of our estimate is where the claim says; "
    "“not reproduced”, that it is elsewhere; “inconclusive”, that it is too wide to "
    "tell. “Depends on the variant” means that settings which the text or the "
    "authors’ code name disagree; “not comparable”, that the answer turns on a setting "
    "that neither states. “Not run at scale” means that the claim is about networks "
    "or lengths that were not computed.",
)
DETAILS = (
    "How verdicts are reached",
    "The headlines “reproduced” and “not reproduced” on random runs of one document "
    "are wrong with a probability of about 5 % at most, together: each of its claims "
    "has 5 % divided by the number of claims that its register has room for ("
    + ", ".join(f"{paper} {most}" for paper, most in MOST_RANDOM.items())
    + "), a third of that at each look. The verdicts on single variants, and headlines "
    "that rest on their disagreement, have that level each and err more often "
    "together. An interval says its level.",
    "A share is reproduced if its interval lies within 10 points of the published one "
    "(15 where the number of published runs is not stated, and half the width of the "
    "published share’s own interval where that is more), and not reproduced if the two "
    "do not meet. “In every run” needs a lower end of 95 %, and one run refutes it. "
    "“More than another method” compares runs of the same seed: the interval of the "
    "difference lies above zero, and the estimate is at least half of the published "
    "gap (20 points where none is published); it is not reproduced if the upper end is "
    "below that half. What is certain given its start is decided by all runs.",
    "A counting rule is no setting: the first one decides, and the others stand beside "
    "it. A claim is “not reproduced” only where a test holds our method against a "
    "second implementation.",
)


def sections_of_claims(verdicts: Sequence[Verdict], results: Results) -> list[Section]:
    """Return the sections of the page.

    Args:
        verdicts: one for each claim.
        results: the results that they are of.
    """
    by_paper: dict[str, list[Verdict]] = {}
    for one in verdicts:
        by_paper.setdefault(one.claim.paper, []).append(one)
    return [
        _summary(verdicts),
        *(_of_paper(paper, those, results) for paper, those in by_paper.items()),
        *filter(None, [_mode_counts(results), _digit_counts(results)]),
        provenance.section(results),
    ]


def _summary(verdicts: Sequence[Verdict]) -> Section:
    """Count the verdicts of each document."""
    kinds = [
        "misprint" if "misprint" in one.claim.flags else one.verdict for one in verdicts
    ]
    counts = pd.crosstab([one.claim.paper for one in verdicts], kinds)
    rows = [
        [
            TableCell(PAPERS[str(paper)]),
            *(TableCell(str(count), float(count)) for count in row),
            TableCell(str(row.sum()), float(row.sum())),
        ]
        for paper, row in counts.iterrows()
    ]
    columns = ["Document", *(f"#{name}" for name in counts.columns), "#all"]
    return Section(
        title="Verdicts",
        anchor="verdicts",
        prose=VERDICTS,
        details=DETAILS,
        subsections=[Subsection(tables=[Table("", columns, rows)])],
        files={"verdicts.csv": table_of_verdicts(verdicts)},
    )


def table_of_verdicts(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return one row for each claim, variant, rule and look."""
    rows = []
    for verdict in verdicts:
        claim = verdict.claim
        of_claim = {
            "claim": claim.name,
            "numbers": " ".join(map(str, claim.numbers)),
            "document": claim.paper,
            "place": claim.place,
            "statement": claim.statement,
            "kind": claim.kind,
            "published": claim.published,
            "verdict": verdict.verdict,
            "why": verdict.why,
            "flags": " ".join(claim.flags),
        }
        looks = [look for one in verdict.tested for look in _rows(claim, one)]
        rows += [of_claim | look for look in looks or [{}]]
    return pd.DataFrame(rows)


def _rows(claim: Claim, tested: Tested) -> list[dict[str, object]]:
    looks = [(claim.rules[0].name, "decides", look) for look in tested.looks]
    looks += [
        (rule.name, "beside it", look)
        for rule, look in zip(claim.rules[1:], tested.others, strict=False)
    ]
    return [
        {
            "variant": tested.variant.name,
            "origin": tested.variant.origin,
            "method": tested.variant.label,
            "against": tested.variant.against,
            "rule": rule,
            "role": role,
            **look._asdict(),
        }
        for rule, role, look in looks
    ]


def runs_in_words(verdict: Verdict) -> str:
    """Return the numbers of runs that decided."""
    counts = sorted({one.last.runs for one in verdict.tested if one.last})
    return " to ".join(str(count) for count in dict.fromkeys(counts[:1] + counts[-1:]))


def write_claims(
    verdicts: Sequence[Verdict], results: Results, folder: Path
) -> list[Path]:
    """Write the page of claims, as HTML and as Markdown.

    The same results give the same bytes.

    Args:
        verdicts: one for each claim.
        results: the published results that they are of.
        folder: where `index.html`, `README.md` and `verdicts.csv` are written.

    Returns:
        Paths of the files.
    """
    sections = sections_of_claims(verdicts, results)
    files = {name: one for part in sections for name, one in part.files.items()}
    names = [*files, RUNS, CELLS]
    pictures = {
        figure.alt: (f"pictures/{part.title}.svg", figure.svg)
        for section in sections
        for part in section.subsections
        for figure in part.figures
    }
    contents = {
        "index.html": render(prepare(results), sections, names, "claims", TITLE),
        "README.md": as_markdown(
            TITLE, sections, {alt: name for alt, (name, _) in pictures.items()}
        ),
    } | {name: on_white(svg) for name, svg in pictures.values()}
    written = {folder / name: text.encode() for name, text in contents.items()}
    written |= {folder / name: to_csv(table) for name, table in files.items()}
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    write_together(written)
    return list(written)


# ---- one document ----


def _of_paper(paper: str, verdicts: Sequence[Verdict], results: Results) -> Section:
    rows = [
        [
            TableCell(one.claim.name, code=True),
            TableCell(statement_in_words(one.claim)),
            TableCell(verdict_in_words(one)),
            TableCell(one.claim.published or "–"),
            TableCell(estimate_in_words(one) or ("" if one.tested else one.why) or "–"),
            _picture(one),
            TableCell(_command(one.claim), code=True),
        ]
        for one in verdicts
    ]
    columns = ["Claim", "Statement", "Verdict", "Published", "Ours", PICTURE, "Command"]
    return Section(
        title=PAPERS[paper],
        anchor=paper,
        prose=(SOURCES[paper],),
        subsections=[
            Subsection(tables=[Table("", columns, rows)]),
            *(
                _of_claim(one, _seconds(one.claim, results))
                for one in verdicts
                if any(tested.last for tested in one.tested)
            ),
        ],
    )


def _picture(verdict: Verdict) -> TableCell:
    """Return the variants' intervals beside what was published, as a small picture."""
    if not (verdict.claim.is_random and any(one.last for one in verdict.tested)):
        return TableCell("–")
    return TableCell(estimate_in_words(verdict), svg=strip(verdict))


def _command(claim: Claim) -> str:
    """Return the command that computes what a claim is decided by."""
    return f"mmbench claims {claim.name}" + (" --run" if claim.variants else "")


def _seconds(claim: Claim, results: Results) -> float:
    """Return the training time of a claim's cells, some of which others share."""
    runs = Runs(results)
    keys = filter(None, map(runs.key, cells_of(claim)))
    return sum(
        provenance.seconds_of(
            results.frame[results.frame["key"] == key], results.footers[key]["width"]
        )
        for key in keys
    )


def _of_claim(verdict: Verdict, seconds: float) -> Subsection:
    """Show what the variants of a claim say, and by which rules."""
    claim = verdict.claim
    prose = [
        f"{statement_in_words(claim)} Source: “{claim.place}”."
        + (f" Published: {claim.published}." if claim.published else ""),
        f"Verdict: {verdict_in_words(verdict)}. {verdict.why}".strip(),
        f"    {_command(claim)}",
    ]
    notes = [
        f"A run counts by: {claim.rules[0].name}."
        if claim.rules[0].bounds
        else f"Compared by: {claim.rules[0].name}.",
        *([claim.note] if claim.note else []),
    ]
    if claim.kind == "more" and claim.rules[0].column:
        notes.append(
            "The estimate is the share of seeds of which the first method has more, "
            "less the share of which the other has."
        )
    if claim.is_random:
        level = 100 * (1 - level_of_look(claim))
        notes.append(f"Intervals are at {level:.2f} %.")
    notes.append(f"Training took {number(round(seconds, 1))} s.")
    seen = [one for one in verdict.tested if one.last]
    figures = []
    if seen and claim.is_random:
        title = f"What the variants of {claim.name} say"
        figures.append(Figure(title, svg=forest(verdict), width=560))
    tables = [_table_of_variants(claim, seen)] if seen else []
    return Subsection(
        title=claim.name, prose=prose, notes=notes, figures=figures, tables=tables
    )


def _table_of_variants(claim: Claim, tested: Sequence[Tested]) -> Table:
    """Return what each variant says by each rule: the multiverse of a claim."""
    columns = ["Variant", "Stated in", "#Runs", *(rule.name for rule in claim.rules)]
    rows = [
        [
            TableCell(one.variant.name),
            TableCell(one.variant.origin),
            TableCell(str(one.last.runs), float(one.last.runs)),
            *(_cell_of(look, claim) for look in (one.last, *one.others)),
        ]
        for one in tested
        if one.last
    ]
    return Table("The first rule decides.", columns, rows)


def _cell_of(look: Look, claim: Claim) -> TableCell:
    shade = {"reproduced": 0.35, "not reproduced": 0.9}.get(look.conclusion)
    words = f"{look_in_words(look, claim)}, {look.conclusion}"
    return TableCell(words, look.estimate, shade=shade)


def statement_in_words(claim: Claim) -> str:
    """Return the statement; what follows from the document's own is marked."""
    return claim.statement if claim.numbers else f"{claim.statement} (Our question.)"


def verdict_in_words(verdict: Verdict) -> str:
    """Return the verdict, with the flags of its source."""
    flags = f" ({', '.join(verdict.claim.flags)})" if verdict.claim.flags else ""
    return f"{verdict.verdict}{flags}"


def look_in_words(look: Look, claim: Claim) -> str:
    """Return an estimate of a claim, with its interval where it has one."""
    if claim.kind == "more":
        ends = percents(look.low, look.high).replace(" %", "")
        return f"{percent(look.estimate).replace(' %', '')} points ({ends})"
    share = percent(look.estimate)
    if share == "100 %" and look.estimate < 1:
        share = f"{100 * look.estimate:.1f} %"
    if not look.error:
        return f"{share} of {look.runs}"
    return f"{share} ({percents(look.low, look.high)})"


def estimate_in_words(verdict: Verdict) -> str:
    """Return what our runs give, one part for each variant."""
    parts = [
        f"{one.variant.name}: {look_in_words(one.last, verdict.claim)}"
        if len(verdict.tested) > 1
        else look_in_words(one.last, verdict.claim)
        for one in verdict.tested
        if one.last
    ]
    return "; ".join(parts)


# ---- all cells of an experiment ----


def _mode_counts(results: Results) -> Section | None:
    """Show how many runs have how many modes, by each rule and iteration."""
    rows = []
    for name, there in _cells_of("claims_four_gaussians", results):
        last = there[there["step"] == there["step"].max()]
        for rule, column in MODES.items():
            counts = [
                _histogram(there[there["step"] == step][column], 4)
                for step in (500, 1000, 1500)
            ]
            lost = f"{column}_forgotten"
            forgotten = f"{np.median(last[lost]):g}" if lost in last else "–"
            full = int((last[column] >= 4).sum())
            rows.append(
                [
                    TableCell(name),
                    TableCell(rule),
                    TableCell(str(len(last)), float(len(last))),
                    *map(TableCell, counts),
                    TableCell(_share(full, len(last)), full / len(last)),
                    TableCell(forgotten),
                ]
            )
    if not rows:
        return None
    columns = ["Method", "Rule", "#Runs", "At 500", "At 1000", "At 1500"]
    columns += ["Four modes at 1500", "#Times a mode was lost"]
    return Section(
        title="Four Gaussians, all methods",
        anchor="four-gaussians",
        prose=(
            "Number of runs with 0, 1, 2, 3 and 4 modes at three iterations, the share "
            "of runs with four at the last with its interval at 95 %, and the median "
            "number of the 30 records at which a mode was lost. A name such as "
            "“notebook, accepts lower” says which ingredient of which rule is changed.",
        ),
        subsections=[Subsection(tables=[Table("", columns, rows)])],
    )


def _digit_counts(results: Results) -> Section | None:
    """Show how many runs have both digits, by each rule, over iterations."""
    rows = []
    for name, there in _cells_of("claims_mnist01", results):
        runs = there["seed"].nunique()
        for rule, column in DIGITS.items():
            rows.append(
                [
                    TableCell(name),
                    TableCell(rule),
                    TableCell(str(runs), float(runs)),
                    *(
                        TableCell(_share(int((at[column] >= 2).sum()), runs))
                        for step in (300, 500, 1000, 2000)
                        for at in (there[there["step"] == step],)
                    ),
                ]
            )
    if not rows:
        return None
    columns = ["Method", "Rule", "#Runs", *(f"At {n}" for n in (300, 500, 1000, 2000))]
    return Section(
        title="Zeros and ones of MNIST, all methods",
        anchor="mnist01",
        prose=(
            "Share of the runs whose generator makes both digits, with its interval at "
            "95 %.",
        ),
        subsections=[Subsection(tables=[Table("", columns, rows)])],
    )


def _cells_of(suite: str, results: Results) -> list[tuple[str, pd.DataFrame]]:
    """Return the name and the rows of each cell of a suite that is there."""
    runs = Runs(results)
    found = []
    for (task, label), cell in cells_of_suite(suite).items():
        rows = runs.rows(cell)
        if len(rows):
            options = task.partition("[")[2].rstrip("]")
            found.append((f"{label}, {options}" if options else label, rows))
    return found


def _histogram(values: pd.Series, most: int) -> str:
    counts = np.bincount(values.fillna(0).astype(int), minlength=most + 1)
    return ", ".join(map(str, counts))


def _share(count: int, runs: int) -> str:
    low, high = stats.proportion_interval(count, runs)
    return f"{percent(count / runs)} ({percents(float(low), float(high))})"

"""Claims of papers as data: the statement, the runs that test it, and the rule."""

import math
from dataclasses import dataclass
from typing import Literal

from mmbench.core.description import Description
from mmbench.core.domains import Count, Finite, Natural
from mmbench.core.errors import DescriptionError
from mmbench.suites._claims import FIRST_LOOK

# Numbers of runs at which a verdict on random runs is sought.
LOOKS = (FIRST_LOOK, 100, 200)
PAPER_LEVEL = 0.05  # the error of all verdicts on random runs of one paper together
EVERY_RUN = 0.95  # the share of runs that "in every run" must at least hold in
GAP = 0.2  # the difference of shares that counts where a claim states none

Kind = Literal["share", "every", "most", "more", "always", "formula", "none"]
Origin = Literal["text", "code", "mixed", "ours"]
Flag = Literal[
    "source-underpowered",
    "source-ambiguous",
    "release-differs-from-paper",
    "misprint",
]
Reason = Literal["not run at scale", "not comparable", "not testable"]


@dataclass(frozen=True, kw_only=True)
class Bound(Description):
    """A bound that a column of one run must keep.

    Args:
        column: name of a column of results.
        at_least: the least value.
        at_most: the greatest value.
        step: the recorded step; 0 for the last.
    """

    column: str
    at_least: Finite | None = None
    at_most: Finite | None = None
    step: Natural = 0

    def __str__(self) -> str:
        parts = []
        if self.at_least is not None:
            parts.append(f"≥ {self.at_least:g}")
        if self.at_most is not None:
            parts.append(f"≤ {self.at_most:g}")
        at = f" at step {self.step}" if self.step else ""
        return f"{self.column} {' and '.join(parts)}{at}"


@dataclass(frozen=True, kw_only=True)
class Rule(Description):
    """How one run is counted: by bounds that it keeps, or by the value of a column.

    Args:
        name: what the rule counts, in a few words.
        bounds: bounds that a run must keep, all of them, to count; a value that is
            not a number keeps none. None are given where values are compared.
        column: the column whose values two methods are compared by; greater is more.
    """

    name: str
    bounds: tuple[Bound, ...] = ()
    column: str = ""

    def check(self) -> None:
        """Raise `DescriptionError` when fields do not fit each other."""
        if bool(self.bounds) == bool(self.column):
            raise DescriptionError(
                f"Rule.bounds or Rule.column must be given, not both; got {self.name}."
            )


@dataclass(frozen=True, kw_only=True)
class Variant(Description):
    """The settings of one test of a claim.

    Args:
        name: what is particular about them.
        origin: where they are stated: in the authors' text, in released code, "mixed"
            where each part is in one of them and the whole in neither, "ours" where a
            part is in none.
        suite: name of the suite that has the cells.
        task: spec of the task, as the suite has it.
        label: label of the method whose runs are counted.
        against: label of the method that it is compared with; empty for none.
    """

    name: str
    origin: Origin
    suite: str
    task: str
    label: str
    against: str = ""


@dataclass(frozen=True, kw_only=True)
class Claim(Description):
    """A statement of a paper, and how runs decide on it.

    Kinds of claims, and when one is reproduced:

        share    random runs: the share of runs that keep the rule is the published one.
                 The interval lies within the margin of it
        most     random runs: more than half of the runs keep the rule. The interval
                 lies above one half
        every    random runs: every run keeps the rule. None fails, and the interval
                 lies above 95 %; one run that fails refutes it
        more     random runs: the method has more than the one against which it is
                 compared, seed by seed. The interval of the difference lies above 0,
                 and the difference is at least half the gap
        always   runs that only their starts tell apart: all runs keep the rule
        formula  no runs: a computation
        none     not tested, for a reason

    Args:
        numbers: its places in the list of the documents' 88 statements; none where the
            statement follows from one of them, as that an ingredient does it.
        name: name on the command line, such as "mangoubi-four-modes".
        paper: short name of the document: "icr", "icr-blog", "mangoubi-blog" or
            "rosca-lecture".
        place: where in the document.
        statement: the claim in our words.
        kind: how it is tested.
        published: the published figure in words, such as "17 of 20"; empty for none.
        share: the published share, for "share".
        published_runs: number of runs behind it; 0 where it is not stated.
        gap: the published difference of two shares, for "more"; `GAP` where a claim
            states none.
        variants: the settings under which it is tested.
        rules: rules of counting; the first is the primary one, which decides.
        computation: name of a computation, for "formula".
        negative: the test that holds the methods against a second implementation,
            without which no claim is "not reproduced"; empty for none.
        flags: "source-underpowered", "source-ambiguous", "release-differs-from-paper",
            or "misprint" for a formula as it is printed.
        reason: why it is not tested, for "none".
        note: a sentence for the reader.
    """

    numbers: tuple[Count, ...]
    name: str
    paper: Literal["icr", "icr-blog", "mangoubi-blog", "rosca-lecture"]
    place: str
    statement: str
    kind: Kind
    published: str = ""
    share: Finite | None = None
    published_runs: Natural = 0
    gap: Finite = GAP
    variants: tuple[Variant, ...] = ()
    rules: tuple[Rule, ...] = ()
    computation: str = ""
    negative: str = ""
    flags: tuple[Flag, ...] = ()
    reason: Reason | None = None
    note: str = ""

    def check(self) -> None:
        """Raise `DescriptionError` when fields do not fit each other."""
        has_runs = self.kind not in ("formula", "none")
        wanted = {
            "variants": has_runs,
            "rules": has_runs,
            "computation": self.kind == "formula",
            "reason": self.kind == "none",
            "share": self.kind == "share",
            **({"negative": True} if self.kind == "formula" else {}),
        }
        for name, is_wanted in wanted.items():
            if (getattr(self, name) not in (None, (), "")) != is_wanted:
                raise DescriptionError(
                    f"Claim.{name} must {'' if is_wanted else 'not '}be given where "
                    f"kind={self.kind}; see {self.name}."
                )
        if any(bool(one.against) != (self.kind == "more") for one in self.variants):
            raise DescriptionError(
                "Variant.against must be given where kind=more, and only there; see "
                f"{self.name}."
            )
        if any(one.column for one in self.rules) and self.kind != "more":
            raise DescriptionError(
                f"Rule.column must be left out unless kind=more; see {self.name}."
            )

    @property
    def is_random(self) -> bool:
        """Whether its verdict can err by chance."""
        return self.kind in ("share", "most", "every", "more")

    @property
    def margin(self) -> float:
        """The distance from the published share within which ours counts as equal.

        It is 10 points, or half the width of the published share's own interval at
        95 % where that is more (the normal one); 15 points where the number of
        published runs is not stated.
        """
        if not self.published_runs or self.share is None:
            return 0.15
        deviation = math.sqrt(self.share * (1 - self.share) / self.published_runs)
        return max(0.1, 1.96 * deviation)

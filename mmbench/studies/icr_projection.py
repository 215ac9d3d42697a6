"""Claims of Schäfer, Zheng and Anandkumar about the ICR projection, in both texts."""

from mmbench.studies.base import Bound, Claim, Rule, Variant
from mmbench.studies.counting import SECOND_IMPLEMENTATIONS

_STAY = "theta_1_longest_within_0.05"
_PAPER = "icr_projection"
_WIDE = "icr_projection[deviation=1]"
_EQUAL, _BLOG = "icr_projection[scaling=(1,1)]", "icr_projection[scaling=(100,1)]"


def _longest(within: str, at_least: int) -> Rule:
    return Rule(
        name=f"a stay of {at_least} steps within {within}",
        bounds=(Bound(column=f"theta_1_longest_within_{within}", at_least=at_least),),
    )


def _variants(
    task: str, words: str, step_sizes: tuple[str, ...], method: str, against: str = ""
) -> tuple[Variant, ...]:
    """Return one method at several step sizes, which no source states."""
    return tuple(
        Variant(
            name=f"{words}, step size {step_size}",
            origin="ours",
            suite="claims_projection",
            task=task,
            label=f"{method} {step_size}",
            against=f"{against} {step_size}" if against else "",
        )
        for step_size in step_sizes
    )


def _compared(method: str, against: str) -> tuple[Variant, ...]:
    narrow = ("0.1", "0.2") if against != "SimGD" else ("0.1", "0.2", "0.02", "0.3")
    found = _variants(_PAPER, "deviation 0.5", narrow, method, against)
    if against != "SimGD":
        return found
    return (
        *found,
        *_variants(_WIDE, "deviation 1", ("0.1", "0.2"), method, against),
        *_variants(
            _BLOG, "the blog's factors", ("0.02", "0.1", "0.2"), method, against
        ),
    )


_LONGER = (
    Rule(name="the longest stay within 0.05", column=_STAY),
    Rule(name="the longest stay within 0.02", column="theta_1_longest_within_0.02"),
    Rule(name="all steps within 0.05", column="theta_1_steps_within_0.05"),
    _longest("0.02", 1000),
    _longest("0.05", 200),
)
_SHOWN = (_longest("0.05", 200), _longest("0.02", 1000))
_NOT_STATED = "No source states the step sizes, the start or the rule of counting."

# In the order of their importance, in which runs are added.
PROJECTION = (
    Claim(
        numbers=(13, 31, 32),
        name="icr-cgd-longer",
        paper="icr",
        place="Section 4; blog, ICR as projection",
        statement="Competitive steps hold the projected coordinate longer than "
        "simultaneous gradient steps from the same start.",
        kind="more",
        published="17 of 20 runs show the projection state, against 13 of 20",
        variants=_compared("CGD", "SimGD"),
        rules=_LONGER,
        negative=SECOND_IMPLEMENTATIONS,
        flags=("source-underpowered", "source-ambiguous"),
        note=_NOT_STATED,
    ),
    Claim(
        numbers=(),
        name="icr-cgd-longer-than-extragradient",
        paper="icr",
        place="Section 4",
        statement="Competitive steps hold the projected coordinate longer than "
        "extragradient does, which knows no opponent.",
        kind="more",
        variants=_compared("CGD", "extragradient"),
        rules=_LONGER,
        negative=SECOND_IMPLEMENTATIONS,
        note="A cheaper explanation that the paper does not test.",
    ),
    Claim(
        numbers=(),
        name="icr-cgd-longer-than-consensus",
        paper="icr",
        place="Section 4",
        statement="Competitive steps hold the projected coordinate longer than "
        "consensus optimisation does.",
        kind="more",
        variants=_compared("CGD", "consensus"),
        rules=_LONGER,
        negative=SECOND_IMPLEMENTATIONS,
        note="A cheaper explanation that the paper does not test.",
    ),
    Claim(
        numbers=(29,),
        name="icr-projection-seen",
        paper="icr",
        place="Figure 7",
        statement="With factors (1, 0.01), simultaneous gradient steps hold the first "
        "coordinate near 2 for long.",
        kind="most",
        variants=(
            *_variants(_PAPER, "deviation 0.5", ("0.1", "0.2", "0.02", "0.3"), "SimGD"),
            *_variants(_WIDE, "deviation 1", ("0.1", "0.2"), "SimGD"),
        ),
        rules=_SHOWN,
        negative=SECOND_IMPLEMENTATIONS,
        flags=("source-ambiguous",),
        note=_NOT_STATED,
    ),
    Claim(
        numbers=(12,),
        name="icr-blog-projection-seen",
        paper="icr-blog",
        place="ICR as projection",
        statement="With factors (100, 1), simultaneous gradient steps hold the first "
        "coordinate near 2 for long.",
        kind="most",
        variants=_variants(
            _BLOG, "the blog's factors", ("0.02", "0.1", "0.2"), "SimGD"
        ),
        rules=_SHOWN,
        negative=SECOND_IMPLEMENTATIONS,
        flags=("source-ambiguous",),
        note=_NOT_STATED,
    ),
    Claim(
        numbers=(28,),
        name="icr-equal-factors-cycle",
        paper="icr",
        place="Figure 7",
        statement="With equal factors the iterates cycle: neither coordinate is held.",
        kind="most",
        variants=_variants(_EQUAL, "equal factors", ("0.1", "0.2"), "SimGD"),
        rules=(
            Rule(
                name="no stay of more than 100 steps within 0.05",
                bounds=(Bound(column=_STAY, at_most=100),),
            ),
        ),
        negative=SECOND_IMPLEMENTATIONS,
        note="The paper shows one run. The rule reads the first coordinate alone.",
    ),
    Claim(
        numbers=(30,),
        name="icr-metric-projection",
        paper="icr",
        place="Section 4",
        statement="What simultaneous gradient steps hold is near the projection of the "
        "data by the discriminator's metric, (2, 1.359).",
        kind="most",
        variants=_variants(_PAPER, "deviation 0.5", ("0.1", "0.2"), "SimGD"),
        rules=(
            Rule(
                name="θ ends within 5 % of (2, 1.359)",
                bounds=(
                    Bound(column="theta_1", at_least=1.9, at_most=2.1),
                    Bound(column="theta_2", at_least=1.291, at_most=1.427),
                ),
            ),
        ),
        negative=SECOND_IMPLEMENTATIONS,
        flags=("source-ambiguous",),
        note="Both coordinates at the end of 6000 steps. In 20 runs, the second was at "
        "0.45 to 1.18 during the longest stay, which the discriminator's metric, of "
        "weight 0.01, hardly tells from 1.359.",
    ),
)

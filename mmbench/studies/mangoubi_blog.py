"""Claims of Mangoubi, Sachdeva and Vishnoi's article on training GANs."""

from mmbench.studies._toys import (
    COMPUTED,
    RATES,
    ends_within,
    grows,
    on_toys,
    stays_beyond,
)
from mmbench.studies.base import Bound, Claim, Flag, Origin, Rule, Variant
from mmbench.studies.counting import (
    DIGITS,
    LOSES_MODES,
    MODES,
    SECOND_IMPLEMENTATIONS,
)

_GAUSSIANS, _DIGITS = "claims_four_gaussians", "claims_mnist01"
_RELEASED, _UNIFORM = "four_gaussians", "four_gaussians[weights=uniform]"
_TESTED = "tests/algorithms/test_accept_reject.py"


def _modes(name: str, step: int, **bounds: float) -> tuple[Rule, ...]:
    """Return the rules of counting modes, the visual one first.

    Args:
        name: what is counted.
        step: the iteration; 0 for the last, 1500.
        bounds: bounds on the number of modes.
    """
    return tuple(
        Rule(
            name=f"{name}, {rule}", bounds=(Bound(column=column, step=step, **bounds),)
        )
        for rule, column in MODES.items()
    )


def _modes_over_time(name: str, **bounds: float) -> tuple[Rule, ...]:
    """Return the rules at iteration 1500, then the first of them at 1000 and 500."""
    earlier = [
        rule
        for step in (1000, 500)
        for rule in _modes(f"{name} at {step}", step, **bounds)[:2]
    ]
    return (*_modes(name, 0, **bounds), *earlier)


def _on_gaussians(
    name: str, origin: Origin, task: str, label: str, against: str = ""
) -> Variant:
    return Variant(
        name=name,
        origin=origin,
        suite=_GAUSSIANS,
        task=task,
        label=label,
        against=against,
    )


def _accept_reject(against: str = "") -> tuple[Variant, ...]:
    """Return accept-reject by text and by notebook, on both weights of the modes.

    Args:
        against: label of the method that each is compared with.
    """
    return (
        _on_gaussians(
            "the text's rule, equal weights", "text", _UNIFORM, "text", against
        ),
        _on_gaussians(
            "the notebook's rule and weights", "code", _RELEASED, "notebook", against
        ),
        _on_gaussians(
            "the text's rule, the notebook's weights",
            "mixed",
            _RELEASED,
            "text",
            against,
        ),
        _on_gaussians(
            "the notebook's rule, equal weights",
            "mixed",
            _UNIFORM,
            "notebook",
            against,
        ),
    )


def _gaussian_method(label: str) -> tuple[Variant, ...]:
    """Return one method on both weights of the modes."""
    return (
        _on_gaussians("equal weights", "text", _UNIFORM, label),
        _on_gaussians("the notebook's weights", "code", _RELEASED, label),
    )


def _on_digits(name: str, origin: Origin, label: str, against: str = "") -> Variant:
    return Variant(
        name=name,
        origin=origin,
        suite=_DIGITS,
        task="mnist01",
        label=label,
        against=against,
    )


def _digits_at(step: int) -> tuple[Rule, ...]:
    """Return the rules by which both digits are there at an iteration."""
    return (
        *(
            Rule(
                name=f"both digits at {step}, {rule}",
                bounds=(Bound(column=column, at_least=2, step=step),),
            )
            for rule, column in DIGITS.items()
        ),
        Rule(
            name=f"both digits at {step}, 5 to 95 % ones among accepted images",
            bounds=(
                Bound(column="digit_share_1", at_least=0.05, at_most=0.95, step=step),
            ),
        ),
    )


_DIGITS_OVER_TIME = (
    *_digits_at(1000),
    *(_digits_at(step)[0] for step in (300, 500, 2000)),
)
_BOTH_DIGIT_RULES = (
    _on_digits("the notebook's rule", "code", "notebook"),
    _on_digits("the text's rule", "text", "text"),
)
_FLAGS: tuple[Flag, ...] = ("source-ambiguous", "release-differs-from-paper")

# In the order of their importance, in which runs are added.
DECISIVE = (
    Claim(
        numbers=(62,),
        name="mangoubi-four-modes",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Accept-reject has learned all four Gaussians in 68 % of the runs.",
        kind="share",
        published="68 % of an unstated number of runs",
        share=0.68,
        variants=_accept_reject(),
        rules=_modes_over_time("four modes", at_least=4),
        negative=_TESTED,
        flags=_FLAGS,
        note="The text accepts a proposal when f falls; the notebook when it does not.",
    ),
    Claim(
        numbers=(),
        name="mangoubi-test-keeps-modes",
        paper="mangoubi-blog",
        place="Our first-order algorithm",
        statement="The accept-reject test is what keeps the modes: with random "
        "rejections at the same rate fewer runs have all four.",
        kind="more",
        variants=(
            _on_gaussians(
                "the notebook's rule and weights",
                "code",
                _RELEASED,
                "notebook",
                "notebook, at random",
            ),
            _on_gaussians(
                "the text's rule, the notebook's weights",
                "mixed",
                _RELEASED,
                "text",
                "text, at random",
            ),
        ),
        rules=_modes_over_time("four modes", at_least=4),
        negative=_TESTED,
        flags=_FLAGS,
        note="The text says that the test prevents cycling; no control was run there.",
    ),
    Claim(
        numbers=(),
        name="mangoubi-more-than-gda6",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Accept-reject has learned all four Gaussians in more runs than "
        "descent-ascent with as many steps of the discriminator.",
        kind="more",
        variants=_accept_reject("GDA(6)"),
        rules=_modes_over_time("four modes", at_least=4),
        negative=_TESTED,
        flags=_FLAGS,
        note="There it is compared with one step of the discriminator alone.",
    ),
    Claim(
        numbers=(61,),
        name="mangoubi-gda-one-mode",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Descent-ascent has learned one Gaussian of four in all runs.",
        kind="every",
        published="100 % of an unstated number of runs",
        variants=_gaussian_method("GDA(1)"),
        rules=_modes_over_time("at most one mode", at_most=1),
        negative=SECOND_IMPLEMENTATIONS,
        flags=("source-ambiguous",),
        note="A run whose samples are near no mode has none and counts; that all have "
        "exactly one is mangoubi-gda-exactly-one-mode.",
    ),
    Claim(
        numbers=(62,),
        name="mangoubi-three-modes",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Accept-reject has learned three Gaussians of four in 26 % of the "
        "runs.",
        kind="share",
        published="26 % of an unstated number of runs",
        share=0.26,
        variants=_accept_reject(),
        rules=_modes_over_time("three modes", at_least=3, at_most=3),
        negative=_TESTED,
        flags=_FLAGS,
    ),
    Claim(
        numbers=(63,),
        name="mangoubi-more-than-gda",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Accept-reject has learned all four Gaussians in more runs than "
        "descent-ascent.",
        kind="more",
        published="68 % against none",
        gap=0.68,
        variants=_accept_reject("GDA(1)"),
        rules=_modes_over_time("four modes", at_least=4),
        negative=_TESTED,
        flags=_FLAGS,
    ),
    Claim(
        numbers=(52, 63),
        name="mangoubi-gda-cycles",
        paper="mangoubi-blog",
        place="Convergence problems with current algorithms",
        statement="Descent-ascent cycles between two or more Gaussians.",
        kind="most",
        published="tended to",
        variants=_gaussian_method("GDA(1)"),
        rules=LOSES_MODES,
        negative=SECOND_IMPLEMENTATIONS,
    ),
    Claim(
        numbers=(),
        name="mangoubi-avoids-cycling",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Accept-reject avoids cycling between the Gaussians.",
        kind="most",
        variants=_accept_reject(),
        rules=(
            Rule(
                name="a mode is lost at no more than one record",
                bounds=(Bound(column="modes_forgotten", at_most=1),),
            ),
            Rule(
                name="the same by 1 % within 0.35",
                bounds=(Bound(column="modes_lenient_forgotten", at_most=1),),
            ),
        ),
        negative=_TESTED,
        flags=_FLAGS,
    ),
    Claim(
        numbers=(64,),
        name="mangoubi-digits",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Accept-reject makes both digits at iteration 1000 in 86 % of the "
        "runs.",
        kind="share",
        published="86 % of an unstated number of runs",
        share=0.86,
        variants=_BOTH_DIGIT_RULES,
        rules=_DIGITS_OVER_TIME,
        negative=_TESTED,
        flags=_FLAGS,
        note="People looked at the images there; here a classifier does.",
    ),
    Claim(
        numbers=(64,),
        name="mangoubi-digits-gda",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Descent-ascent makes both digits at iteration 1000 in 23 % of the "
        "runs.",
        kind="share",
        published="23 % of an unstated number of runs",
        share=0.23,
        variants=(_on_digits("the notebook's settings", "code", "GDA(1)"),),
        rules=_DIGITS_OVER_TIME,
        negative=SECOND_IMPLEMENTATIONS,
        flags=("source-ambiguous",),
    ),
    Claim(
        numbers=(64,),
        name="mangoubi-digits-more-than-gda",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Accept-reject makes both digits at iteration 1000 in more runs than "
        "descent-ascent.",
        kind="more",
        published="86 % against 23 %",
        gap=0.63,
        variants=(
            _on_digits("the notebook's rule", "code", "notebook", "GDA(1)"),
            _on_digits("the text's rule", "text", "text", "GDA(1)"),
        ),
        rules=_DIGITS_OVER_TIME,
        negative=_TESTED,
        flags=_FLAGS,
    ),
    Claim(
        numbers=(),
        name="mangoubi-test-keeps-digits",
        paper="mangoubi-blog",
        place="Our first-order algorithm",
        statement="The accept-reject test is what keeps both digits: with random "
        "rejections at the same rate fewer runs have both at iteration 1000.",
        kind="more",
        variants=(
            _on_digits(
                "the notebook's rule", "code", "notebook", "notebook, at random"
            ),
        ),
        rules=_DIGITS_OVER_TIME,
        negative=_TESTED,
        flags=_FLAGS,
    ),
    Claim(
        numbers=(65,),
        name="mangoubi-digits-kept",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Accept-reject makes both digits early on and does not stop making "
        "either.",
        kind="most",
        variants=_BOTH_DIGIT_RULES,
        rules=(
            Rule(
                name="both digits at 1000 and 2000, none lost before",
                bounds=(
                    Bound(column="digits_any", at_least=2, step=1000),
                    Bound(column="digits_any", at_least=2),
                    Bound(column="digits_any_forgotten", at_most=0),
                ),
            ),
        ),
        negative=_TESTED,
        flags=_FLAGS,
    ),
    Claim(
        numbers=(53,),
        name="mangoubi-gda-forgets-zeros",
        paper="mangoubi-blog",
        place="Convergence problems with current algorithms",
        statement="Descent-ascent makes both digits, then stops making one for long.",
        kind="most",
        variants=(_on_digits("the notebook's settings", "code", "GDA(1)"),),
        rules=(
            Rule(
                name="a digit is lost, and at 1000 one is missing",
                bounds=(
                    Bound(column="digits_any_forgotten", at_least=1),
                    Bound(column="digits_any", at_most=1, step=1000),
                ),
            ),
        ),
        negative=SECOND_IMPLEMENTATIONS,
    ),
    Claim(
        numbers=(66,),
        name="mangoubi-unrolled-cycles",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Unrolled descent-ascent cycles between the Gaussians.",
        kind="most",
        variants=(
            _on_gaussians("the notebook's weights", "code", _RELEASED, "unrolled(6)"),
        ),
        rules=LOSES_MODES,
        negative=SECOND_IMPLEMENTATIONS,
    ),
)

_BOX = "bilinear[box=5]"

# What follows was registered later, and is about games that take seconds.
FURTHER = (
    Claim(
        numbers=(61,),
        name="mangoubi-gda-exactly-one-mode",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="Descent-ascent has learned exactly one Gaussian in all runs.",
        kind="every",
        published="100 % of an unstated number of runs",
        variants=_gaussian_method("GDA(1)"),
        rules=_modes("one mode", 0, at_least=1, at_most=1),
        negative=SECOND_IMPLEMENTATIONS,
        flags=("source-ambiguous",),
        note="Registered after the first 50 runs were seen, in which the generator is "
        "often between modes: to the eye such a run may have learned the last one.",
    ),
    Claim(
        numbers=(50,),
        name="mangoubi-box-gda",
        paper="mangoubi-blog",
        place="Figures 1 and 3",
        statement="On xy within [−5, 5]², descent-ascent does not converge, from "
        "almost any start.",
        kind="always",
        published="shown",
        variants=(
            on_toys("as printed, steps of 1", "text", _BOX, "SimGD 1"),
            on_toys("simultaneous steps of 0.1", "ours", _BOX, "SimGD 0.1"),
            on_toys(
                "alternating steps of 0.1, as in words",
                "text",
                _BOX,
                "alternating 0.1",
            ),
        ),
        rules=(stays_beyond(0.05),),
        negative=RATES,
        flags=("source-ambiguous",),
        note="In words the players alternate; the printed rule is simultaneous.",
    ),
    Claim(
        numbers=(51,),
        name="mangoubi-printed-steps",
        paper="mangoubi-blog",
        place="Gradient descent-ascent and variants",
        statement="With the steps of 1 that are printed, neither descent-ascent nor "
        "optimistic mirror descent converges on xy.",
        kind="always",
        variants=(
            on_toys("descent-ascent", "text", "bilinear", "SimGD 1"),
            on_toys("optimistic mirror descent", "text", "bilinear", "OMD 1"),
        ),
        rules=(grows(1.3),),
        negative=RATES,
        note="The rules are printed without step sizes; the closed forms are √2 and "
        "1.932 a step.",
    ),
    Claim(
        numbers=(54,),
        name="mangoubi-why-cycles",
        paper="mangoubi-blog",
        place="Convergence problems with current algorithms",
        statement="Descent-ascent cycles because the discriminator forgets a mode that "
        "the generator has left.",
        kind="none",
        reason="not testable",
        note="A cause, without a rule that would tell it from another. The metric "
        "mode_logits shows the discriminator at each mode over time.",
    ),
    Claim(
        numbers=(55,),
        name="mangoubi-ascent-raises-f",
        paper="mangoubi-blog",
        place="Our first-order algorithm",
        statement="With h the value of f after gradient ascent of y, f(x + v, y) is at "
        "most h(x + v, y), and h(x, y) is f(x, y) where y is stationary; so whoever "
        "lowers h lowers f.",
        kind="formula",
        computation="ascent_raises_f",
        negative=COMPUTED,
        note="The chain ends in f(x, v) in print, which is no point of the game.",
    ),
    Claim(
        numbers=(56,),
        name="mangoubi-random-steps",
        paper="mangoubi-blog",
        place="Our first-order algorithm",
        statement="In many dimensions a normal random step is almost orthogonal to the "
        "steepest descent of h.",
        kind="formula",
        computation="random_steps_are_orthogonal",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(57,),
        name="mangoubi-gradient-may-raise-h",
        paper="mangoubi-blog",
        place="Our first-order algorithm",
        statement="A step of x along −∇ₓ f may raise h.",
        kind="formula",
        computation="gradient_may_raise_h",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(58,),
        name="mangoubi-guarantee",
        paper="mangoubi-blog",
        place="Our first-order algorithm",
        statement="Accept-reject finds a local min-max equilibrium in polynomial time "
        "from any start, whenever f is bounded and has Lipschitz gradients.",
        kind="none",
        reason="not testable",
        note="A theorem about all such games; no number of runs decides it.",
    ),
    Claim(
        numbers=(59,),
        name="mangoubi-box-search",
        paper="mangoubi-blog",
        place="Figure 3",
        statement="On xy within [−5, 5]², their search ends at the line of global "
        "min-max points, x = 0.",
        kind="every",
        published="shown",
        variants=(
            on_toys(
                "steps and margin of the authors' later code", "code", _BOX, "search"
            ),
        ),
        rules=(ends_within(0.25), ends_within(0.1)),
        negative="tests/theory/test_accept_reject_search.py",
        flags=("source-ambiguous",),
        note="With a margin of 0.03 a proposal must lower |x| by 0.006, so that the "
        "search stops near the line, not on it. Of 200 runs one stopped early, at "
        "0.26: twenty rejections in a row happen by chance. That every run must end "
        "there is our reading of one animation.",
    ),
    Claim(
        numbers=(60,),
        name="mangoubi-search-stops",
        paper="mangoubi-blog",
        place="Figure 3",
        statement="That search stops only after many proposals in a row that did not "
        "lower f.",
        kind="formula",
        computation="search_stops_after_rejections",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(67,),
        name="mangoubi-cifar10",
        paper="mangoubi-blog",
        place="So, how does our algorithm perform in practice?",
        statement="On CIFAR10 the Fréchet inception distance shows the progress of "
        "accept-reject.",
        kind="none",
        reason="not comparable",
        note="The article gives no number; the notebook takes features of another "
        "network than the usual one.",
    ),
    Claim(
        numbers=(68,),
        name="mangoubi-cost",
        paper="mangoubi-blog",
        place="Introduction; conclusion",
        statement="A step of accept-reject costs at most twice as many gradients as "
        "one of descent-ascent that moves the discriminator as often.",
        kind="formula",
        published="competitive in terms of time and memory",
        computation="cost_of_accept_reject",
        negative=COMPUTED,
        flags=("source-ambiguous",),
        note="Counted at the settings of both experiments; memory is not measured. "
        "There it is compared with descent-ascent of one discriminator step, which is "
        "cheaper than one of six.",
    ),
    Claim(
        numbers=(68,),
        name="mangoubi-memory",
        paper="mangoubi-blog",
        place="Introduction; conclusion",
        statement="A run of accept-reject keeps at most twice as many numbers from one "
        "step to the next as one of descent-ascent with the same moments.",
        kind="formula",
        published="competitive in terms of time and memory",
        computation="memory_of_accept_reject",
        negative=COMPUTED,
        flags=("source-ambiguous",),
        note="Registered after it was counted, apart from the claim about time. Within "
        "a step the iterate and its moments are kept beside the proposal.",
    ),
    Claim(
        numbers=(69,),
        name="mangoubi-annealing",
        paper="mangoubi-blog",
        place="Our first-order algorithm",
        statement="Accepting some proposals untested, more rarely over time, helps to "
        "escape undesirable local min-max equilibria.",
        kind="none",
        reason="not testable",
        note="No experiment and no such equilibrium is named. accept_reject"
        "[acceptance=annealed] has the rule.",
    ),
)

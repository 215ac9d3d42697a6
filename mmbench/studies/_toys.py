"""What claims about games of two variables share: their suite and their rules."""

from mmbench.studies.base import Bound, Origin, Rule, Variant

RATES = "tests/theory/test_rates.py"  # closed forms of every step used here
SECOND_ORDER = "tests/theory/test_second_order.py"  # closed forms of those with J
DIRAC = "tests/theory/test_dirac_gan.py"
COMPUTED = "tests/analysis/test_computations.py"


def on_toys(name: str, origin: Origin, task: str, label: str) -> Variant:
    """Return a variant of the suite claims_toys."""
    return Variant(
        name=name, origin=origin, suite="claims_toys", task=task, label=label
    )


def ends_within(distance: float) -> Rule:
    """Return the rule by which a run converges."""
    return Rule(
        name=f"the end is within {distance:g} of the solution",
        bounds=(Bound(column="distance", at_most=distance),),
    )


def stays_beyond(distance: float) -> Rule:
    """Return the rule by which a run does not converge."""
    return Rule(
        name=f"in the last tenth of the steps it is {distance:g} away or more",
        bounds=(Bound(column="distance_worst", at_least=distance),),
    )


def grows(at_least: float, at_most: float | None = None) -> Rule:
    """Return the rule on the factor by which the distance changes in a step."""
    top = "" if at_most is None else f" and at most {at_most:g}"
    bound = Bound(column="distance_rate", at_least=at_least, at_most=at_most)
    return Rule(
        name=f"the distance changes by a factor of at least {at_least:g}{top} a step",
        bounds=(bound,),
    )

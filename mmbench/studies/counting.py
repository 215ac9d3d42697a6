"""How modes and digits are counted, by the rules that claims and their page share."""

from mmbench.studies.base import Bound, Rule

# What is counted, in words, and the column that counts it; the first one decides.
MODES = {
    "5 % of the samples within 0.3": "modes",
    "1 % within 0.35": "modes_lenient",
    "a quarter of its share within 3 sd": "modes_strict",
}
DIGITS = {
    "5 % of the images each, at any confidence": "digits_any",
    "5 % each, accepted at 0.9": "digits_5",
    "10 % each, accepted at 0.9": "digits",
}
LOSES_MODES = (
    Rule(
        name="a mode is lost at two records or more",
        bounds=(Bound(column="modes_forgotten", at_least=2),),
    ),
    Rule(
        name="the same by 1 % within 0.35",
        bounds=(Bound(column="modes_lenient_forgotten", at_least=2),),
    ),
)
# The test that holds plain versions of methods, written from the papers, against ours.
SECOND_IMPLEMENTATIONS = "tests/studies/test_second_implementations.py"

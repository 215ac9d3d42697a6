"""Descriptions: checked when made, canonical, with one digest and one spec."""

import dataclasses
import json
import math
import pickle
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import descriptions, spelled_differently

from mmbench.algorithms import ACCEPTANCES, ALGORITHMS, DIRECTIONS
from mmbench.algorithms._directions import Adam, Plain
from mmbench.algorithms.cgd import CGD
from mmbench.algorithms.gda import GDA
from mmbench.core.description import (
    Description,
    canonical,
    describe_annotation,
    digest,
    field_types,
    name_of,
    text,
)
from mmbench.core.domains import Count, Positive, StepSize
from mmbench.core.errors import DescriptionError
from mmbench.metrics import METRICS
from mmbench.tasks import TASKS
from mmbench.tasks.bilinear import Bilinear
from mmbench.tasks.quadratic import Quadratic

FAMILIES = (ALGORITHMS, TASKS, METRICS, DIRECTIONS, ACCEPTANCES)
ANY = st.sampled_from(FAMILIES).flatmap(
    lambda family: st.tuples(st.just(family), descriptions(family))
)


@given(ANY)
@settings(max_examples=300, deadline=None)
def test_equal_descriptions_have_equal_digests(drawn: tuple) -> None:
    """Ints for floats, lists for tuples and -0.0 for 0.0 do not change the digest."""
    _, description = drawn
    other = spelled_differently(description)
    assert other == description
    assert hash(other) == hash(description)
    assert digest(other) == digest(description)
    assert text(other) == text(description)


@given(ANY)
@settings(max_examples=300, deadline=None)
def test_the_spec_builds_the_same_description(drawn: tuple) -> None:
    """A description that is built from the spec of another one equals it."""
    family, description = drawn
    again = family.build(text(description))
    assert again == description
    assert digest(again) == digest(description)


@given(descriptions(ALGORITHMS), descriptions(ALGORITHMS))
@settings(max_examples=200, deadline=None)
def test_different_descriptions_have_different_digests(
    first: Description, second: Description
) -> None:
    """Digests are equal exactly where descriptions are."""
    assert (digest(first) == digest(second)) == (first == second)


@given(ANY)
@settings(max_examples=100, deadline=None)
def test_pickle_and_json_keep_descriptions(drawn: tuple) -> None:
    """Descriptions are unchanged by pickling, and their JSON values by JSON."""
    _, description = drawn
    assert pickle.loads(pickle.dumps(description)) == description
    document = json.loads(json.dumps(canonical(description), allow_nan=False))
    assert document["version"] == description.version
    assert document == canonical(description)


def test_negative_zero_is_zero() -> None:
    """The digests of -0.0 and 0.0 are equal, also in pairs."""
    assert digest(Quadratic(a=-0.0)) == digest(Quadratic(a=0.0))
    pairs = Quadratic(start_at=(-0.0, 1.0)), Quadratic(start_at=(0.0, 1.0))
    assert digest(pairs[0]) == digest(pairs[1])


def test_versions_and_classes_are_part_of_the_digest() -> None:
    """Another version or class has another digest."""
    assert digest(GDA()) != digest(CGD())

    @dataclass(frozen=True, kw_only=True)
    class Same(Description):
        """Nothing."""

    before = digest(Same())
    Same.version = 2
    assert digest(Same()) != before


def test_fields_without_identity_are_left_out() -> None:
    """A field with identity=False is not part of the digest."""

    @dataclass(frozen=True, kw_only=True)
    class Labelled(Description):
        """Nothing."""

        k: int = 1
        label: str = dataclasses.field(default="", metadata={"identity": False})

    assert digest(Labelled(label="a")) == digest(Labelled(label="b"))
    assert digest(Labelled(k=2)) != digest(Labelled())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: GDA(step_size=-1.0),
            "GDA.step_size must be a number above 0 or a pair, each a number above 0; "
            "got -1.0.",
        ),
        (lambda: GDA(step_size=0), "must be a number above 0"),
        (lambda: GDA(step_size="x"), "got 'x'."),
        (lambda: GDA(step_size=math.nan), "got nan."),
        (lambda: GDA(step_size=math.inf), "got inf."),
        (lambda: GDA(step_size=10**400), "must be a number above 0"),
        (lambda: GDA(step_size=True), "got True."),
        (lambda: GDA(step_size=(0.1, -0.1)), "got (0.1, -0.1)."),
        (lambda: GDA(step_size=(0.1,)), "got (0.1,)."),
        (lambda: GDA(step_size=(0.1, 0.2, 0.3)), "got (0.1, 0.2, 0.3)."),
        (lambda: GDA(direction="adam"), "GDA.direction must be a Direction"),
        (lambda: Adam(beta1=1.0), "at least 0 and below 1; got 1.0."),
        (lambda: CGD(solve="z"), "CGD.solve must be 'x' or 'y'; got 'z'."),
        (lambda: CGD(iterations=0), "must be a whole number at least 1; got 0."),
        (lambda: CGD(iterations=2.0), "must be a whole number at least 1; got 2.0."),
        (lambda: CGD(iterations=True), "got True."),
        (lambda: Bilinear(smallest=2.0), "must be at most largest=1; got 2.0."),
        (
            lambda: Bilinear(dim=2, box=1.0),
            "Bilinear.box must be 0 when dim is above 1",
        ),
    ],
)
def test_bad_values_are_refused_in_one_sentence(make, sentence: str) -> None:
    """The error names the field, what it must be and what was given."""
    with pytest.raises(DescriptionError) as caught:
        make()
    message = str(caught.value)
    assert sentence in message
    assert message.endswith(".")
    assert "\n" not in message


def test_values_become_canonical() -> None:
    """Ints become floats and lists become tuples, also when nested."""
    built = GDA(step_size=[1, 2])  # type: ignore[arg-type]
    assert built.step_size == (1.0, 2.0)
    assert all(type(size) is float for size in built.step_size)
    assert type(GDA(step_size=1).step_size) is float


@pytest.mark.parametrize(
    ("annotation", "phrase"),
    [
        (StepSize, "a number above 0 or a pair, each a number above 0"),
        (Count, "a whole number at least 1"),
        (Literal["a", "b"], "'a' or 'b'"),
        (tuple[str, ...], "a sequence, each printable text"),
        (bool, "true or false"),
        (Positive | None, "a number above 0 or none"),
    ],
)
def test_annotations_are_described(annotation: object, phrase: str) -> None:
    """Messages, `show` and the methods page describe domains by annotations."""
    assert describe_annotation(annotation) == phrase


@pytest.mark.parametrize(
    ("description", "spec"),
    [
        (GDA(), "gda"),
        (GDA(step_size=1), "gda[step_size=1]"),
        (GDA(step_size=(0.09, 0.01)), "gda[step_size=(0.09,0.01)]"),
        (GDA(direction=Adam(beta1=0.5)), "gda[direction=adam[beta1=0.5]]"),
        (GDA(direction=(Adam(), Plain())), "gda[direction=(adam,plain)]"),
        (GDA(step_size=0.1 + 0.2), "gda[step_size=0.30000000000000004]"),
        (GDA(step_size=1e-7), "gda[step_size=1e-07]"),
        (Bilinear(dim=3, spacing="log"), "bilinear[dim=3,spacing=log]"),
    ],
)
def test_specs(description: Description, spec: str) -> None:
    """Specs have no defaults, and short floats where these are exact."""
    assert text(description) == spec
    assert str(description) == spec


def test_names_of_classes() -> None:
    """Members have the name of their file, or of the class if they share a file."""
    assert name_of(GDA) == "gda"
    assert name_of(Adam) == "adam"

    class Mine(Description):
        """Somebody's."""

    assert name_of(Mine) == "Mine"


def test_fields_keep_their_order() -> None:
    """Fields are listed in the order in which the class defines them."""
    assert list(field_types(GDA)) == ["step_size", "direction"]

"""Descriptions: checked when made, canonical, with one digest and one spec."""

import collections.abc
import dataclasses
import enum
import functools
import json
import math
import pickle
import typing
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Optional

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import descriptions, spelled_differently

from mmbench.algorithms import ACCEPTANCES, ALGORITHMS, DIRECTIONS, SCHEDULES
from mmbench.algorithms._directions import Adam, Plain
from mmbench.algorithms.cgd import CGD
from mmbench.algorithms.gda import GDA
from mmbench.core.description import (
    Description,
    canonical,
    default_of,
    describe_annotation,
    digest,
    field_types,
    name_of,
    text,
)
from mmbench.core.domains import Count, Positive, StepSize
from mmbench.core.errors import DescriptionError
from mmbench.metrics import METRICS
from mmbench.tasks import LOSSES, REGULARISERS, TASKS
from mmbench.tasks.bilinear import Bilinear
from mmbench.tasks.quadratic import Quadratic

FAMILIES = (
    ALGORITHMS,
    TASKS,
    METRICS,
    DIRECTIONS,
    ACCEPTANCES,
    SCHEDULES,
    LOSSES,
    REGULARISERS,
)
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
        (list[int], "a sequence, each a whole number"),
        (tuple[int, str], "a sequence of 2: a whole number, printable text"),
        (tuple[()], "a sequence of 0: nothing"),
        (typing.Annotated[int, "steps"], "a whole number"),
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


# ---- what fields may be annotated with ----


class Colour(enum.Enum):
    """A class that cannot be stored."""

    RED = 1


def class_with(annotation: Any, **options: Any) -> type[Description]:
    """Return a description class with a field `k` of this annotation."""
    return dataclasses.make_dataclass(
        "Mine",
        [("k", annotation, dataclasses.field(**options))],
        bases=(Description,),
        frozen=True,
        kw_only=True,
        namespace={"__module__": __name__},
    )


@pytest.mark.parametrize(
    ("annotation", "given", "stored"),
    [
        (list[float], [1, 2], (1.0, 2.0)),
        (Optional[list[int]], [1, 2], (1, 2)),  # noqa: UP045  # an older spelling
        (list[int] | None, None, None),
        (typing.List[int], (1,), (1,)),  # noqa: UP006
        (collections.abc.Sequence[float], [1], (1.0,)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[()], [], ()),
        (list[tuple[int, int]], [[1, 2], [3, 4]], ((1, 2), (3, 4))),
        (Literal["a", 1], 1, 1),
        ("list[Positive]", [1], (1.0,)),
        (list["GDA"], [GDA()], (GDA(),)),
        (str, enum.StrEnum("Name", {"A": "a"}).A, "a"),  # type: ignore[attr-defined]
    ],
)
def test_what_can_be_stored_is_carried(
    annotation: Any, given: Any, stored: Any
) -> None:
    """Sequences of every kind are stored as tuples, and text annotations looked up."""
    made = class_with(annotation)(k=given)
    assert made.k == stored  # type: ignore[attr-defined]
    assert type(made.k) is type(stored)  # type: ignore[attr-defined]
    assert json.loads(json.dumps(canonical(made))) == canonical(made)


@pytest.mark.parametrize(
    "annotation",
    [
        dict[str, float],
        dict,
        list,
        tuple,
        Callable,
        Callable[[int], int],
        Any,
        object,
        set[int],
        frozenset[int],
        functools.partial,
        typing.TypeVar("T"),
        Colour,
        Path,
        np.ndarray,
        torch.Tensor,
        complex,
        bytes,
        type[int],
        list[dict],
        int | dict,
        tuple[int, Any],
        Literal[Colour.RED],
        typing.NewType("Size", int),
        "dict[str, float]",
    ],
)
def test_what_cannot_be_stored_is_refused_by_its_annotation(annotation: Any) -> None:
    """The sentence names class, field, annotation, and what it may be instead."""
    with pytest.raises(
        DescriptionError, match=r"^Mine\.k must be annotated with int, float.*; got "
    ):
        class_with(annotation)(k=None)
    with pytest.raises(DescriptionError, match=r"Mine\.k"):
        field_types(class_with(annotation))


def test_an_annotation_that_means_nothing_is_refused() -> None:
    """A name that is imported for type checkers alone is one."""
    with pytest.raises(DescriptionError, match=r"Mine\.k must have .*'Nowhere'"):
        class_with("Nowhere")(k=1)


@pytest.mark.parametrize(
    "cls",
    [
        class_with(InitVar[int]),
        class_with(int, init=False, default=1),
        class_with(int, compare=False),
    ],
)
def test_fields_that_are_not_stored_are_refused(cls: type[Description]) -> None:
    """InitVar, init=False and compare=False make fields that a copy would lack."""
    with pytest.raises(
        DescriptionError, match=r"Mine\.k must be a field that is given"
    ):
        field_types(cls)
    with pytest.raises(
        DescriptionError, match=r"Mine\.k must be a field that is given"
    ):
        cls(**({"k": 1} if "init=False" not in str(vars(cls)) else {}))


def test_a_version_that_is_a_field_is_refused() -> None:
    """It would take the place of the class's version."""

    @dataclass(frozen=True, kw_only=True)
    class Mine(Description):
        """Nothing."""

        version: int = 2  # type: ignore[misc]

    with pytest.raises(DescriptionError, match=r"version: ClassVar\[int\] = 2"):
        Mine()


def test_class_variables_are_no_fields() -> None:
    """They may be annotated as one likes, and unknown names do not matter."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Mine(Description):
        """Nothing."""

        table: ClassVar[dict[str, int]] = {}
        other: "ClassVar[Nowhere]" = 3  # type: ignore[name-defined]  # noqa: F821
        k: list[float] = dataclasses.field(default_factory=lambda: [1])

    assert Mine().k == (1.0,)
    assert default_of(Mine, "k") == (1.0,)
    assert list(field_types(Mine)) == ["k"]
    assert text(Mine()) == "Mine"
    assert text(Mine(k=[2])) == "Mine[k=(2)]"


@pytest.mark.parametrize(
    ("given", "field", "stored"),
    [
        (np.float32(0.5), "step_size", 0.5),
        (np.int64(1), "step_size", 1.0),
        (np.array(0.5), "step_size", 0.5),
        (torch.tensor(0.5), "step_size", 0.5),
        (np.array([0.5, 1]), "step_size", (0.5, 1.0)),
        (torch.tensor([0.5, 1]), "step_size", (0.5, 1.0)),
        ((np.float64(0.5), np.int8(1)), "step_size", (0.5, 1.0)),
        (np.uint8(3), "iterations", 3),
        (torch.tensor(3), "iterations", 3),
        (np.str_("y"), "solve", "y"),
    ],
)
def test_numbers_of_numpy_and_torch_count_as_numbers(
    given: Any, field: str, stored: Any
) -> None:
    """They are stored as Python's own, with the same digest."""
    made = CGD(**{field: given})
    value = getattr(made, field)
    assert value == stored
    assert type(value) is type(stored)
    assert digest(made) == digest(CGD(**{field: stored}))


@pytest.mark.parametrize("given", [np.bool_(True), np.float64(2), np.array([2])])
def test_other_values_of_numpy_are_refused_as_python_s_are(given: Any) -> None:
    """A truth value or a float is no whole number."""
    with pytest.raises(DescriptionError, match=r"CGD\.iterations must be a whole"):
        CGD(iterations=given)


def test_whole_numbers_beyond_all_floats_are_refused() -> None:
    """With or without digits that Python would print."""
    with pytest.raises(DescriptionError, match=r"CGD\.iterations must be .*; got 1000"):
        CGD(iterations=10**400)
    with pytest.raises(DescriptionError, match="got an int of too many digits"):
        CGD(iterations=10**5000)


def test_long_values_are_cut_in_messages() -> None:
    """A thousand numbers in an error help nobody."""
    with pytest.raises(DescriptionError) as caught:
        GDA(step_size=np.arange(1000).reshape(10, 100))  # type: ignore[arg-type]
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", ["two", None, 1.5, True])
def test_a_version_is_a_whole_number(version: Any) -> None:
    """Anything else is one sentence, not an error of Python."""
    cls = dataclasses.make_dataclass(
        "Mine", [], bases=(GDA,), namespace={"version": version}, frozen=True
    )
    with pytest.raises(DescriptionError, match=r"Mine\.version must be a whole number"):
        canonical(cls())

"""The small parts of the ground floor: domains, costs, docstrings, errors, places."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmbench.algorithms import ALGORITHMS
from mmbench.core.cost import Cost, gradient_equivalents
from mmbench.core.docstrings import doc_of
from mmbench.core.domains import Domain
from mmbench.core.errors import DescriptionError, MmbenchError, unknown_name
from mmbench.core.placement import pick_device
from mmbench.core.source import Source
from mmbench.core.status import Status

# ---- domains ----


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_domains_hold_finite_numbers_only(value: float) -> None:
    """NaN and infinity lie in no domain."""
    if not math.isfinite(value):
        assert value not in Domain()
    assert (value in Domain(low=0)) == (math.isfinite(value) and value >= 0)


@pytest.mark.parametrize(
    ("domain", "inside", "outside", "words"),
    [
        (Domain(), [0, -1e300], [math.nan], "that is finite"),
        (Domain(low=0), [0, 1], [-1e-300], "at least 0"),
        (Domain(low=0, open_low=True), [5e-324], [0, -1], "above 0"),
        (Domain(high=1), [1, -5], [1.1], "at most 1"),
        (Domain(low=0, high=1), [0, 1], [-0.1, 1.1], "at least 0 and at most 1"),
        (Domain(low=0, high=1, open_high=True), [0], [1], "at least 0 and below 1"),
    ],
)
def test_domains(domain: Domain, inside: list, outside: list, words: str) -> None:
    """Bounds are inside unless open, and are said in words."""
    assert all(value in domain for value in inside)
    assert not any(value in domain for value in outside)
    assert str(domain) == words


# ---- cost ----


def test_cost_in_gradient_equivalents() -> None:
    """A gradient counts 1, a Hessian product 2, a value 1/2."""
    cost = Cost(grad_x=1, grad_y=6, hvps=2, values=1)
    assert cost.gradient_equivalents == 11.5
    assert gradient_equivalents(1, 6, 2, 1) == 11.5
    counted = gradient_equivalents(*torch.tensor([[1, 2], [6, 6], [2, 0], [1, 0]]))
    assert counted.tolist() == [11.5, 8.0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("gda", "1 ∇x + 1 ∇y"),
        ("extragradient", "2 ∇x + 2 ∇y"),
        ("cgd", "1 ∇x + 1 ∇y + 2 HVP + 2 HVP per inner iteration"),
        ("accept_reject[k=3]", "1 ∇x + 3 ∇y + 1 value"),
        ("accept_reject_search", "1 ∇y + 1 ∇y per inner iteration + 1 value"),
    ],
)
def test_costs_read_well(words: str, told: str) -> None:
    """Only what is used is said."""
    assert str(ALGORITHMS.build(words).cost) == told


# ---- docstrings ----


class Told:
    """A summary.

        z⁺ = z − η F(z)
        second line

    A paragraph
    of two lines.

        an indented block that is no rule

    Args:
        step_size: η, on
            two lines.
        k: steps.

    State: none.
    Cost: much,
        as one sees.
    Source: Nobody 2026.
    """


class Untold(Told):
    pass


def test_docstrings_are_taken_apart() -> None:
    """Summary, rule, text, arguments and headed sections."""
    doc = doc_of(Told)
    assert doc.summary == "A summary."
    assert doc.rule == "z⁺ = z − η F(z)\nsecond line"
    assert doc.text.startswith("A paragraph\nof two lines.")
    assert "no rule" in doc.text
    assert doc.arguments == {"step_size": "η, on two lines.", "k": "steps."}
    assert doc.sections == {
        "State": "none.",
        "Cost": "much, as one sees.",
        "Source": "Nobody 2026.",
    }


def test_docstrings_are_not_inherited() -> None:
    """A class without one has none."""
    assert doc_of(Untold).summary == ""


# ---- errors ----


def test_nearest_names() -> None:
    """The nearest known name, or none when nothing is near."""
    said = str(unknown_name("suite", "toi", ["gan", "smoke", "toy"]))
    assert said == "Unknown suite 'toi'. Did you mean 'toy'? Known: gan, smoke, toy."
    assert (
        str(unknown_name("suite", "xxxxx", [])) == "Unknown suite 'xxxxx'. Known: none."
    )


def test_descriptions_errors_are_value_errors() -> None:
    """Whoever catches ValueError catches a bad description; ours are one family."""
    assert issubclass(DescriptionError, ValueError)
    assert issubclass(DescriptionError, MmbenchError)


# ---- places, statuses, sources ----


def test_devices() -> None:
    """`auto` finds one, `cpu` is one, others are refused in a sentence."""
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "meta", "cuda0", ""):
        with pytest.raises(MmbenchError, match="device must be auto, cpu or cuda"):
            pick_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("name", ["cuda", "cuda:3"])
def test_cuda_without_cuda(name: str) -> None:
    """Asking for a device that is not there is refused."""
    with pytest.raises(MmbenchError, match="sees no CUDA device"):
        pick_device(name)


def test_statuses_have_meanings() -> None:
    """Each says itself in a sentence; those of broken runs are deaths."""
    assert all(one.meaning.endswith(".") for one in Status)
    dead = {one for one in Status if one.dead}
    numbers = {Status.DIVERGED, Status.NONFINITE}
    assert dead == numbers | {Status.TIMEOUT, Status.MEMORY, Status.ERROR}
    assert str(Status.NONFINITE) == "nonfinite"


def test_sources_read_well() -> None:
    """Authors, year, title, and the place in it where there is one."""
    source = Source(authors="A and B", year=2020, title="T", place="section 2")
    assert str(source) == "A and B 2020, T, section 2"

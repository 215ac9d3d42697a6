"""Registries are complete, and every member is documented."""

import dataclasses
import inspect
from pathlib import Path

import pytest

import mmbench
from mmbench.algorithms import ACCEPTANCES, ALGORITHMS, DIRECTIONS, SCHEDULES
from mmbench.core.cost import Cost
from mmbench.core.description import Description, field_types, name_of
from mmbench.core.docstrings import doc_of
from mmbench.core.domains import Domain
from mmbench.core.source import Source
from mmbench.metrics import METRICS
from mmbench.suites import SUITES
from mmbench.tasks import LOSSES, REGULARISERS, TASKS

PACKAGE = Path(mmbench.__file__).parent
FAMILIES = {
    "algorithms": ALGORITHMS,
    "tasks": TASKS,
    "metrics": METRICS,
    "suites": SUITES,
}
SMALL = "_small"  # a suite's small form lies in its file
NO_MEMBERS = ("__init__", "base", "toml")  # suites/toml.py reads files of users
# Families whose members are values of fields.
PARTS = (DIRECTIONS, ACCEPTANCES, SCHEDULES, LOSSES, REGULARISERS)
CLASSES = [
    (registry, name)
    for registry in (ALGORITHMS, TASKS, METRICS, *PARTS)
    for name in registry
]
EVERY = pytest.mark.parametrize(
    ("registry", "name"), CLASSES, ids=[name for _, name in CLASSES]
)


@pytest.mark.parametrize("folder", FAMILIES)
def test_every_file_is_listed(folder: str) -> None:
    """A file of a family that its registry lacks fails here; so does a dead entry."""
    files = {path.stem for path in (PACKAGE / folder).glob("*.py")}
    members = {name for name in files if not name.startswith("_")} - set(NO_MEMBERS)
    assert members == {name.removesuffix(SMALL) for name in FAMILIES[folder]}


@pytest.mark.parametrize("folder", FAMILIES)
def test_keys_are_file_names(folder: str) -> None:
    """A member is registered under the name of its file."""
    for name, reference in FAMILIES[folder].members.items():
        file = name.removesuffix(SMALL)
        assert reference.partition(":")[0] == f"mmbench.{folder}.{file}"


@pytest.mark.parametrize("registry", [ALGORITHMS, TASKS, METRICS, *PARTS])
def test_members_are_final_frozen_and_named(registry) -> None:
    """Concrete classes are final frozen dataclasses, one level below their base."""
    for name, cls in registry.items():
        assert issubclass(cls, registry.base_class)
        assert not inspect.isabstract(cls)
        assert cls.__dataclass_params__.frozen
        assert name_of(cls) == name
        assert cls() == cls(), "defaults must suffice"
        for field in dataclasses.fields(cls):
            assert field.kw_only


@pytest.mark.parametrize("registry", [ALGORITHMS, TASKS, METRICS])
def test_members_are_final(registry) -> None:
    """Nothing concrete is inherited from."""
    for cls in registry.values():
        assert getattr(cls, "__final__", False), cls


@EVERY
def test_fields_state_their_domains(registry, name: str) -> None:
    """Every number has a domain, so that no absurd value is taken silently."""
    free = {("bilinear", "instance")}  # any whole number names an instance
    for field, annotation in field_types(registry[name]).items():
        if (name, field) not in free:
            assert annotation not in (int, float), f"{name}.{field}"


@EVERY
def test_docstrings_are_complete(registry, name: str) -> None:
    """A summary, and what each field means; no field that is gone."""
    cls = registry[name]
    doc = doc_of(cls)
    assert doc.summary.endswith((".", "?"))
    fields = {field.name for field in dataclasses.fields(cls)}
    assert set(doc.arguments) == fields
    assert all(doc.arguments.values())


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms_tell_rule_state_cost_and_source(name: str) -> None:
    """The methods page has something to print for each."""
    cls = ALGORITHMS[name]
    doc = doc_of(cls)
    assert "⁺" in doc.rule or "Δ" in doc.rule or "'" in doc.rule, "an update rule"
    assert {"State", "Cost", "Source"} <= set(doc.sections)
    assert isinstance(cls().cost, Cost)
    assert str(cls().cost)
    assert_source_is_told(cls)


@pytest.mark.parametrize("name", TASKS)
def test_tasks_tell_their_source(name: str) -> None:
    """The text of a task names the publication of its source."""
    assert_source_is_told(TASKS[name])


def assert_source_is_told(cls: type) -> None:
    """Docstring and class variable name the same publication."""
    source = cls.source  # type: ignore[attr-defined]
    assert isinstance(source, Source)
    assert source.authors
    assert source.title
    assert 1900 < source.year < 2030
    output = doc_of(cls).sections["Source"]
    assert str(source.year) in output
    assert source.authors.replace(",", "").split()[0] in output


@EVERY
def test_rules_are_not_lost(registry, name: str) -> None:
    """Where the summary is followed by an indented block, it is the rule."""
    cls = registry[name]
    lines = inspect.cleandoc(cls.__doc__ or "").splitlines()
    if len(lines) > 2 and lines[2].startswith("    "):
        assert doc_of(cls).rule


def test_domains_of_all_fields_read_well() -> None:
    """Every domain in use says itself in words."""
    for registry, name in CLASSES:
        for annotation in field_types(registry[name]).values():
            for domain in getattr(annotation, "__metadata__", ()):
                if isinstance(domain, Domain):
                    assert str(domain)


def test_descriptions_have_docstrings_of_their_own() -> None:
    """No member borrows its docstring."""
    for registry, name in CLASSES:
        cls = registry[name]
        assert issubclass(cls, Description)
        assert vars(cls)["__doc__"]

"""Tests of the parameters of algorithms and tasks, as they were stored."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmbench
from mmbench.algorithms import ALGORITHMS
from mmbench.analysis.parameters import (
    format_spec,
    format_value,
    parameters_of,
    spread,
    to_json,
)
from mmbench.analysis.results import gather, load
from mmbench.core.description import canonical, name_of, reference_of
from mmbench.metrics import METRICS
from mmbench.store.folder import Store
from mmbench.tasks import TASKS

OWN = '''
from dataclasses import dataclass
from mmbench import Algorithm, Cost


@dataclass(frozen=True, kw_only=True)
class Own(Algorithm):
    """Steps against the gradients."""

    rate: float = 0.25
    names: tuple[str, ...] = ()

    @property
    def cost(self):
        return Cost(grad_x=1, grad_y=1)

    def step(self, oracle, z, state):
        return z - self.rate * oracle.field(z), state
'''


def footer_of(spec: str) -> dict:
    """Return the part of a footer that describes an algorithm."""
    algorithm = canonical(ALGORITHMS.build(spec), whole=True)
    return {"description": {"algorithm": algorithm}, "cell": {}}


def test_defaults_are_included_and_sorted() -> None:
    parameters = parameters_of(footer_of("extragradient[step_size=(0.1,0.3)]"))
    assert list(parameters) == ["decay", "direction", "minibatch", "ratio", "step_size"]
    assert to_json(parameters) == (
        '{"decay": null, "direction": {"class": "plain"}, "minibatch": "same", '
        '"ratio": 1.0, "step_size": [0.1, 0.3]}'
    )
    assert format_spec("extragradient", parameters) == (
        "extragradient[decay=none,direction=plain,minibatch=same,ratio=1,"
        "step_size=(0.1,0.3)]"
    )


def test_a_spec_with_all_parameters_builds_an_equal_description() -> None:
    """What the page prints can be given to the command line."""
    for name in ALGORITHMS:
        first = ALGORITHMS.build(name)
        described = {"description": {"algorithm": canonical(first, whole=True)}}
        spec = format_spec(name, parameters_of(described | {"cell": {}}))
        assert ALGORITHMS.build(spec) == first


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        (None, "none"),
        (3, "3"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-20, "1e-20"),
        ([1, [2.5, "a"]], "(1,(2.5,a))"),
        ({"class": "adam", "beta1": 0.5}, "adam[beta1=0.5]"),
        ({"class": "plain"}, "plain"),
        ("a, b", '"a, b"'),
    ],
)
def test_values_are_formatted_as_in_a_spec(value: object, shown: str) -> None:
    assert format_value(value) == shown


def test_names_of_stored_classes_are_those_of_specs() -> None:
    """The name is found without loading the class."""
    for registry in (ALGORITHMS, TASKS, METRICS):
        for name in registry:
            cls = registry[name]
            nested = {"inner": {"class": reference_of(cls), "version": 1}}
            footer = {"description": {"algorithm": nested}, "cell": {}}
            assert parameters_of(footer)["inner"] == {"class": name_of(cls)}
    own = {"inner": {"class": "mine.py:Outer.Own@0123", "k": 1}}
    footer = {"description": {"algorithm": own}, "cell": {}}
    assert parameters_of(footer)["inner"] == {"class": "Own", "k": 1}


def test_old_footers_have_the_parameters_of_their_key() -> None:
    footer = {"cell": {"task": {"class": "x:Y", "version": 1, "k": 2}}}
    assert parameters_of(footer, "task") == {"k": 2}


def test_parameters_are_a_column_and_are_spread(tmp_path: Path) -> None:
    """An own class without documentation has its parameters, and defaults count."""
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    own = f"{tmp_path}/own.py:Own"
    algorithms = [
        "gda",
        "A = gda[step_size=(0.5,0.25),direction=(adam[beta1=0.5],plain)]",
        f"O = {own}",
        f"P = {own}[rate=0.5,names=(a,b)]",
    ]
    few = {"seeds": 2, "steps": 2, "records": 1}
    ran = mmbench.run(["bilinear"], algorithms, **few)
    mmbench.run(["bilinear"], algorithms, store=tmp_path / "store", **few)
    frame = load(tmp_path / "store")
    assert list(frame)[-2:] == list(ran)[-2:] == ["parameters", "key"]
    texts = frame.groupby("label")["parameters"].unique()
    assert texts.map(len).eq(1).all()
    assert texts["O"][0] == '{"names": [], "rate": 0.25}'
    assert json.loads(texts["P"][0]) == {"names": ["a", "b"], "rate": 0.5}
    assert dict(zip(ran["key"], ran["parameters"], strict=True)) == dict(
        zip(frame["key"], frame["parameters"], strict=True)
    )

    wide = load(tmp_path / "store", params=True)
    assert "parameters" not in wide
    assert [name for name in wide if name.startswith("param_")] == [
        "param_direction",
        "param_names",
        "param_rate",
        "param_step_size",
    ]
    pd.testing.assert_frame_equal(wide.loc[:, :"reason"], frame.loc[:, :"reason"])
    first = wide.drop_duplicates("label").set_index("label")
    assert first["param_rate"].dtype == float
    assert first["param_rate"].to_dict() == pytest.approx(
        {"gda": np.nan, "A": np.nan, "O": 0.25, "P": 0.5}, nan_ok=True
    )
    assert first.loc["A", "param_step_size"] == "(0.5,0.25)"
    assert first.loc["gda", "param_step_size"] == 0.1
    assert first.loc["gda", "param_direction"] == "plain"
    assert first.loc["A", "param_direction"].startswith("(adam[beta1=0.5,")


def test_a_nested_description_is_spread_field_by_field() -> None:
    texts = [
        to_json(parameters_of(footer_of(spec)))
        for spec in ("gda[direction=adam[beta1=0.5]]", "gda")
    ]
    frame = pd.DataFrame({"a": [1, 2], "parameters": texts, "key": ["k", "l"]})
    wide = spread(frame)
    assert list(wide) == [
        "a",
        "param_direction",
        "param_direction.beta1",
        "param_direction.beta2",
        "param_direction.epsilon",
        "param_direction.epsilon_at",
        "param_step_size",
        "key",
    ]
    assert wide["param_direction"].tolist() == ["adam", "plain"]
    assert wide["param_direction.beta1"].tolist() == pytest.approx(
        [0.5, np.nan], nan_ok=True
    )
    assert wide["param_step_size"].dtype == float


def test_an_empty_table_is_spread_to_nothing() -> None:
    frame = pd.DataFrame({"a": [], "parameters": [], "key": []})
    assert list(spread(frame)) == ["a", "key"]


def test_parameters_stay_those_stored_when_the_class_changes(tmp_path: Path) -> None:
    """A default that was edited since does not change what is shown."""
    own = tmp_path / "own.py"
    own.write_text(OWN, encoding="utf-8")
    few = {"seeds": 1, "steps": 1, "records": 1}
    mmbench.run(["bilinear"], [f"{own}:Own"], store=tmp_path / "store", **few)
    own.write_text(OWN.replace("0.25", "0.75"), encoding="utf-8")
    (footer,) = gather(Store(tmp_path / "store")).footers.values()
    assert parameters_of(footer)["rate"] == 0.25

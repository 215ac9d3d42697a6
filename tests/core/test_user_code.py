"""Errors name the line of the user's own code."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mmbench.algorithms.gda import GDA
from mmbench.core import user_code
from mmbench.core.external import load_external
from mmbench.core.user_code import (
    TRACEBACK_VARIABLE,
    defined_at,
    describe_error,
    describe_value,
    place_of,
)
from mmbench.tasks.bilinear import Bilinear

CODE = """
import json
import torch

class Mine:
    def direct(self):
        raise ValueError("mine")

    def in_torch(self):
        return torch.ones(2) @ torch.ones(3)

    def in_the_standard_library(self):
        return json.loads("{")

    def in_mmbench(self):
        from mmbench.algorithms.gda import GDA
        return GDA(step_size=-1)

    @property
    def cost(self):
        return 1
"""


@pytest.fixture
def mine(tmp_path: Path) -> type:
    """Return a class of a file."""
    (tmp_path / "mine.py").write_text(CODE)
    cls: type = load_external(f"{tmp_path}/mine.py:Mine")
    return cls


def raised_by(function: Callable[..., Any], *arguments: Any) -> Exception:
    """Return what a call raises, without the frame of this file, which is own code."""
    try:
        function(*arguments)
    except Exception as error:
        inner = error.__traceback__ and error.__traceback__.tb_next
        return error.with_traceback(inner)
    pytest.fail("nothing was raised")


@pytest.mark.parametrize(
    ("method", "line"),
    [
        ("direct", 7),
        ("in_torch", 10),
        ("in_the_standard_library", 13),
        ("in_mmbench", 17),
    ],
)
def test_the_last_own_line_is_named(mine: type, method: str, line: int) -> None:
    """It is the user's, also when a library or mmbench raised."""
    error = raised_by(getattr(mine(), method))
    assert place_of(error) == f"mine.py, line {line}"
    kind = type(error).__name__
    assert describe_error(error).startswith(f"{kind} in mine.py, line {line}: ")


def test_a_package_that_is_installed_is_somebody_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its line is named where no other code of the user took part."""
    (tmp_path / "plugin_of_mine.py").write_text("def fail():\n    return 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(user_code, "is_installed_name", lambda _: True)
    namespace: dict[str, Any] = {"__name__": "torch"}
    exec("def call(f):\n    f()", namespace)
    import plugin_of_mine  # type: ignore[import-not-found]

    error = raised_by(namespace["call"], plugin_of_mine.fail)
    assert place_of(error) == "plugin_of_mine.py, line 2"
    del sys.modules["plugin_of_mine"]


def test_without_own_code_there_is_no_place() -> None:
    """An error of mmbench's own classes has its type and message alone."""
    error = raised_by(Bilinear().start, None, None)
    assert place_of(error) == ""
    assert describe_error(error) == f"{type(error).__name__}: {error}"


def test_definitions_have_places(mine: type) -> None:
    """Methods and properties of the user's own classes, and no others."""
    assert defined_at(mine, "direct") == " (mine.py, line 6)"
    assert defined_at(mine, "cost") == " (mine.py, line 19)"
    assert defined_at(mine, "nothing") == ""
    assert defined_at(GDA, "step") == ""


def test_values_are_described() -> None:
    """A tensor by its shape and dtype, anything else by its class."""
    assert describe_value(torch.zeros(2)) == "shape (2,), torch.float32"
    assert describe_value(None) == "None"
    assert describe_value({}) == "dict"


def test_a_traceback_is_printed_where_it_is_wanted(
    mine: type, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With control characters made visible."""
    for wanted in (False, True):
        if wanted:
            monkeypatch.setenv(TRACEBACK_VARIABLE, "1")
        describe_error(raised_by(exec, "raise ValueError('red\\x1b[31m')"))
        printed = capfd.readouterr().err
        assert ("Traceback (most recent call last)" in printed) == wanted
        assert "\x1b" not in printed

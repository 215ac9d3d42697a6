"""A slip in a user's class is one sentence that names the class, its file and line."""

from pathlib import Path
from typing import Any

import pytest
from slips import line_of, write_slips

from mmbench.core.errors import DescriptionError
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of the classes, loaded once."""
    return write_slips(tmp_path_factory.mktemp("slips"))


def cell_of(file: Path, name: str, kind: str) -> Cell:
    """Return a small cell that a class of the file takes part in."""
    given = [f"{file}:{name}", *(["distance"] if name == "Mean" else [])]
    chosen: dict[str, Any] = {"tasks": ["bilinear"], "algorithms": ["gda"], kind: given}
    grid = Grid(**chosen, seeds=2, steps=3, records=2)
    (cell,) = plan(Suite(name="slips", grids=(grid,)))
    return cell


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("algorithms", "FewArguments", "step{arguments} must take (self, oracle, z, s"),
        ("algorithms", "NoProperty", "cost{cost} must be a property; write @property"),
        ("algorithms", "CostNumber", "cost must be a mmbench.Cost of numbers; got 2."),
        ("algorithms", "NeedsText", "got {'zero-sum'}. Write Capability.ZERO_SUM."),
        ("algorithms", "NeedsOne", "needs must be a set of members of mmbench.Capab"),
        ("algorithms", "SourceText", "source must be a mmbench.Source or None"),
        ("algorithms", "VersionText", "version must be a whole number of at least 1"),
        ("metrics", "TextColumns", 'as in (Column("max", "maximum"),); got (\'max\','),
        ("metrics", "NoColumns", "columns must be a tuple of mmbench.Column"),
        ("metrics", "FormulaColumn", "columns must be a tuple of mmbench.Column"),
        ("metrics", "OddProtocol", "protocol must be a mapping from names to text"),
        ("tasks", "GivesText", "got ['ZERO_SUM']. Write Capability.ZERO_SUM."),
        ("tasks", "MetricsText", "metrics must be a tuple of specs"),
        ("tasks", "FlatTarget", 'as in Target("distance", at_most=(("distance", 0.001'),
        (
            "tasks",
            "OtherTarget",
            "field_norm for its target, on feild; got the columns",
        ),
        ("tasks", "PairTarget", "target must be None or a mmbench.Target"),
        ("tasks", "NoWidth", "width must be a whole number of at least 1; got 0."),
        ("tasks", "NoLimit", "limit must be a number above 0; got -1.0."),
    ],
)
def test_declarations_are_checked_when_cells_are_planned(
    file: Path, kind: str, name: str, sentence: str
) -> None:
    """Before anything is computed."""
    for comment in ("arguments", "cost"):
        place = f" (slips.py, line {line_of(comment)})"
        sentence = sentence.replace(f"{{{comment}}}", place)
    with pytest.raises(DescriptionError) as caught:
        cell_of(file, name, kind)
    assert name in str(caught.value)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "comment", "sentence"),
    [
        ("algorithms", "Misspelt", "feild", "'Oracle' object has no attribute 'feild'"),
        (
            "algorithms",
            "ForgetsState",
            "forgets",
            "must return (z, state); got shape (",
        ),
        ("algorithms", "ReturnsNothing", "nothing", "return (z, state); got None."),
        ("algorithms", "WrongShape", "shape", "must return a new z of shape ("),
        ("algorithms", "NumPy", "array", "must return a new z of shape ("),
        ("algorithms", "OtherState", "other state", "must return a state of the form"),
        ("algorithms", "DictState", "dict", "must give tensors with a leading"),
        ("algorithms", "BadInit", "init", "must give tensors with a leading"),
        ("algorithms", "BadDone", "done", "must return None or one truth value for"),
        ("metrics", "GivesTensor", "tensor", "must return a mapping with 'mx'; got sh"),
        ("metrics", "OtherColumn", "column", "a mapping with 'mx'; got ['my']."),
        ("metrics", "GivesNumber", "number", "must give one number for each of"),
        ("metrics", "Mean", "mean", "must give one number for each of 2 runs as mean"),
        ("tasks", "BuildsNothing", "build", "must return a Game; got None."),
        ("tasks", "Raises", "zero", "division by zero"),
        ("tasks", "StartsMany", "start", "must return a tensor of shape (2,)"),
        ("tasks", "OneLoss", "one loss", "must return the losses of x and y, two ten"),
        ("tasks", "ScalarLoss", "scalar", "got shape (), torch.float32 and shape ()"),
        (
            "tasks",
            "NoLoss",
            "no loss",
            "must return the losses of x and y, two tensors",
        ),
        ("tasks", "NoTrain", "train", "must take (self, x, y, sample, *, train)."),
    ],
)
def test_slips_while_running_name_their_line(
    file: Path, kind: str, name: str, comment: str, sentence: str
) -> None:
    """The reason of the cell has the file and the line of the user's own code."""
    reason = run_cell(cell_of(file, name, kind)).reason
    assert f"slips.py, line {line_of(comment)}" in reason
    assert sentence in reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("NoLengths", "game.dim_x must be a whole number of at least 1"),
        ("NoDistance", "Play must define distance, which the capabilities that its"),
    ],
)
def test_what_a_game_lacks_is_named(file: Path, name: str, sentence: str) -> None:
    """Where no line is at fault, the class and what it lacks are named."""
    assert sentence in run_cell(cell_of(file, name, "tasks")).reason


@pytest.mark.parametrize(
    ("kind", "name"), [("algorithms", "Good"), ("metrics", "Most"), ("tasks", "Fine")]
)
def test_classes_without_a_slip_run(file: Path, kind: str, name: str) -> None:
    """The classes that the others are made of are in order."""
    assert run_cell(cell_of(file, name, kind)).reason == ""

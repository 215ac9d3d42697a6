"""Starts that are drawn in C are those of torch, bit by bit."""

from collections.abc import Callable

import pytest
import torch

from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.engine.compiled import c_starts
from mmbench.engine.compiled.c_starts import (
    MOST,
    SOURCE,
    Draw,
    compiled_draw,
    draw_starts,
)
from mmbench.tasks import TASKS
from mmbench.tasks.base import DrawnStartTask, Numbers

# More than are computed at once, and of many lengths.
SEEDS = (*range(70), 2**31 - 1, 2**40 + 7, 2**64 - 1)
COUNTS = (1, 2, 5, 14, 15, 16, 17, 24, 33, 48, 113, 156, 227, 288, 295, MOST)


@pytest.fixture(name="drawn_in_c", autouse=True)
def fixture_drawn_in_c() -> None:
    """Skip where torch gives other bits."""
    if compiled_draw() is None:
        pytest.skip("this machine has no C compiler, or its torch gives other bits")


@pytest.fixture(name="recompiled")
def fixture_recompiled(monkeypatch: pytest.MonkeyPatch):
    """Return a function that compiles another text."""

    def recompile(source: str) -> Draw | None:
        assert source != SOURCE
        monkeypatch.setattr(c_starts, "SOURCE", source)
        compiled_draw.cache_clear()
        return compiled_draw()

    yield recompile
    compiled_draw.cache_clear()


def must_be_same(found: torch.Tensor | None, expected: torch.Tensor) -> None:
    """Check that tensors are equal, bit by bit."""
    assert found is not None
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.numpy().tobytes() == expected.numpy().tobytes()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("is_normal", [False, True])
def test_numbers_are_those_of_torch(count: int, is_normal: bool) -> None:
    function = torch.randn if is_normal else torch.rand
    rows = [
        function(count, generator=generator(seed, "start"), dtype=torch.float64)
        for seed in SEEDS
    ]
    found = draw_starts(SEEDS, Numbers(count, is_normal), compiled=True)
    must_be_same(found, torch.stack(rows))


def drawn_start_tasks() -> list[str]:
    """Return the tasks whose starts can be drawn together, some with other settings."""
    specs = [
        name for name in TASKS if type(TASKS.build(name)).start is DrawnStartTask.start
    ]
    assert len(specs) > 12
    sizes = ("dim=3", "dim=12", "dim=100", "box=2", "start_at=(1,-2)")
    return [*specs, *(f"bilinear[{size}]" for size in sizes)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_starts_of_all_tasks_are_the_same_one_by_one(dtype: torch.dtype) -> None:
    for spec in drawn_start_tasks():
        task = TASKS.build(spec)
        game = task.build(Placement(dtype=dtype))
        assert isinstance(task, DrawnStartTask)
        numbers = task.drawn(game)
        rows = [task.start(game, generator(seed, "start")) for seed in SEEDS]
        if numbers.amount:
            drawn = draw_starts(SEEDS, numbers, compiled=True)
            assert drawn is not None, spec
        else:
            drawn = torch.empty(len(SEEDS), 0, dtype=torch.float64)
        must_be_same(task.starts(game, drawn), torch.stack(rows))


def test_torch_draws_what_is_not_wanted_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_starts, "_WORTH_COMPILING", c_starts._Worth())
    monkeypatch.setattr(c_starts, "WORTH", 50)
    few, many = Numbers(2), Numbers(MOST + 1)
    assert draw_starts(range(50), few, compiled=None) is None
    assert draw_starts(range(1), few, compiled=None) is not None
    assert draw_starts(range(1), few, compiled=False) is None
    assert draw_starts(range(1), many, compiled=True) is None
    assert draw_starts(range(1), Numbers(0), compiled=True) is None
    assert draw_starts((0, 2**64), few, compiled=True) is None
    assert draw_starts((0, -1), few, compiled=True) is None


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("1812433253u", "1812433255u"),
        ("rotated(e, 25)", "rotated(e, 24)"),
        ("0x9908b0dfu", "0x9908b0deu"),
        ("log1p(-uniform(words, run, i + 1))", "log(1 - uniform(words, run, i + 1))"),
        (
            "log(1 - uniform(words, run, from + i))",
            "log1p(-uniform(words, run, at + i))",
        ),
        ("0x1fffffffffffffu", "0x0fffffffffffffu"),
    ],
)
def test_other_bits_are_refused(
    recompiled: Callable[[str], Draw | None], text: str, other: str
) -> None:
    assert recompiled(SOURCE.replace(text, other)) is None


def test_without_a_compiler_torch_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_draw.cache_clear()
    monkeypatch.setenv("CC", "no-such-compiler")
    assert draw_starts(range(3), Numbers(2), compiled=True) is None
    compiled_draw.cache_clear()

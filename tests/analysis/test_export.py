"""Tests that exported text is shown and not obeyed."""

import io
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmbench.analysis.export import (
    escape_formula,
    make_printable,
    map_text,
    to_csv,
    to_parquet,
)
from mmbench.core.printable import printable


@pytest.mark.parametrize(
    "text",
    [
        "=HYPERLINK(1)",
        "=1+1",
        "+1+1",
        "-1+1",
        "-A1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\tx",
        "  =1",
        "\u00a0=1",
        "\ufeff=1",
        "＝1+1",  # full width, which some spreadsheets take
        "+inf",
        "-0x1",
        "-٣",  # a digit, but not one of a number
    ],
)
def test_formulas_are_preceded_by_an_apostrophe(text: str) -> None:
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize(
    "text",
    ["", "-0.5", "+3", "-1e-05", "-.5", "-2", "gda", "a=b", "1+1", "'=1"],
)
def test_numbers_and_names_stay(text: str) -> None:
    assert escape_formula(text) == text


def test_csv_holds_neither_formulas_nor_control_characters() -> None:
    """Text is escaped in cells and headings; numbers stay as they are."""
    frame = pd.DataFrame(
        {
            "=name": ["=1", "a\x1b[31m", "-0.5", "a,\nb"],
            "number": [-0.5, np.nan, -np.inf, 1e-20],
            "mixed": ["-x", -2.0, None, True],
            "is\u202e": [True, False, True, False],
        },
        index=[5, 5, 1, 2],
    )
    written = to_csv(frame).decode()
    assert "\x1b" not in written
    assert "\u202e" not in written
    read = pd.read_csv(io.StringIO(written), dtype=str, keep_default_na=False)
    assert list(read) == ["'=name", "number", "mixed", "is\\u202e"]
    assert read["'=name"].tolist() == ["'=1", "a\\x1b[31m", "-0.5", "a,\nb"]
    assert read["number"].tolist() == ["-0.5", "", "-inf", "1e-20"]
    assert read["mixed"].tolist() == ["'-x", "-2.0", "", "True"]


def test_csv_is_that_of_pandas() -> None:
    """Numbers of every size, texts that need quotes, and what lacks."""
    generator = np.random.default_rng(0)
    drawn = generator.normal(size=2000) * 10.0 ** generator.integers(-30, 30, 2000)
    powers = np.concatenate([10.0 ** np.arange(-12, 20), [1e-4, 9.999e-5, 1e10 - 1]])
    odd = [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7e308, 1e-5, 1.5e16]
    numbers = np.concatenate([drawn, powers, -powers, odd])
    texts = ["a", "", 'say "so"', "a,b", "two\nlines", "ä", "x y", "None"]
    rows = len(numbers)
    frame = pd.DataFrame(
        {
            "text, quoted": np.resize(texts, rows),
            "number": numbers,
            "whole": np.arange(rows) - 7,
            "mixed": np.resize(np.array([1, True, 0.5, "x", None], dtype=object), rows),
            "yes": np.arange(rows) % 2 == 0,
        }
    )
    assert to_csv(frame) == frame.to_csv(index=False, lineterminator="\n").encode()
    for name in frame:
        one = frame[[name]]
        assert to_csv(one) == one.to_csv(index=False, lineterminator="\n").encode()
    assert to_csv(frame[:0]) == frame[:0].to_csv(index=False).encode()


def test_csv_of_an_arrow_table_is_that_of_its_frame() -> None:
    """Pieces after the first have no heading."""
    frame = pd.DataFrame(
        {"text": ["=1", 'a"', "a\x1b", "=1"], "n": [0, 1, 2, 3], "x": [0.5, None, 1, 2]}
    )
    table = pa.table(
        {
            "text": pa.array(frame["text"].tolist()).dictionary_encode(),
            "n": pa.array(frame["n"]),
            "x": pa.array([0.5, None, 1.0, float("nan")]),
        }
    )
    frame.loc[3, "x"] = np.nan
    assert to_csv(table) == to_csv(frame)
    pieces = to_csv(table.slice(0, 1)) + to_csv(table.slice(1), header=False)
    assert pieces == to_csv(frame)


def test_a_lone_surrogate_can_be_written() -> None:
    """JSON can hold one, and a file cannot."""
    frame = pd.DataFrame({"a": pd.Series(["\ud800", "b"], dtype=object)})
    assert to_csv(frame) == b"a\n\\ud800\nb\n"


def test_of_columns_that_become_one_the_first_is_kept() -> None:
    frame = pd.DataFrame({"a\x07": [1], "a\\x07": [2]})
    assert make_printable(frame).to_dict("list") == {"a\\x07": [1]}


def test_a_table_without_changes_is_equal() -> None:
    frame = pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}, index=[3, 4])
    pd.testing.assert_frame_equal(map_text(frame, str), frame)
    empty = frame.iloc[:0]
    pd.testing.assert_frame_equal(map_text(empty, str), empty)


def test_parquet_is_written_piece_by_piece() -> None:
    """What is read is all pieces, with texts that can be shown and gaps for NaN."""
    texts = pa.array(["a\x1b", "b"]).dictionary_encode()
    whole = pa.table({"x\n": texts, "n": [1, 2], "loss": [0.5, math.nan]})
    blocks = list(to_parquet([whole.slice(0, 1), whole.slice(1)]))
    assert len(blocks) == 3
    read = pq.read_table(pa.BufferReader(b"".join(blocks)))
    assert read.to_pydict() == {
        printable("x\n"): [printable("a\x1b"), "b"],
        "n": [1, 2],
        "loss": [0.5, None],
    }
    assert list(to_parquet([])) == []

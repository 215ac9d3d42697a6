"""Footers of stored cells: descriptions, outcomes, protocols, provenance."""

import json

import pytest
import torch
from small_cells import small_cells

from mmbench.core.description import digest
from mmbench.runner.execute import execute
from mmbench.store.folder import Store


def test_footers_tell_what_a_report_needs(store: Store) -> None:
    """Descriptions, outcomes, provenance and the method's text, as JSON."""
    (cell,) = small_cells("Mine = cgd[step_size=(0.1,0.2)]")
    execute([cell], store)
    footer = store.footer(cell.key)
    assert footer["key"] == cell.key
    assert footer["label"] == "Mine"
    assert footer["algorithm"] == "cgd[step_size=(0.1,0.2)]"
    assert footer["runs"] == 3
    assert footer["seeds"] == [0, 2]
    assert footer["outcomes"] == {"finished": 3}
    assert footer["target"] == "distance ≤ 0.001"
    assert [column["name"] for column in footer["columns"]] == [
        column.name for column in cell.columns
    ]
    assert footer["method"]["summary"].startswith("Competitive gradient descent")
    assert "Δx" in footer["method"]["rule"]
    assert "2019" in footer["method"]["source"]
    assert footer["provenance"]["torch"] == torch.__version__
    assert footer["provenance"]["threads"] == 1
    json.dumps(footer)


def test_stored_descriptions_lead_to_the_key(store: Store) -> None:
    """The canonical cell in the footer is what the key is the digest of."""
    (cell,) = small_cells("gda")
    execute([cell], store)
    stored = store.footer(cell.key)["cell"]
    assert stored["algorithm"]["class"] == "mmbench.algorithms.gda:GDA"
    assert stored["task"]["version"] == cell.task.version
    assert "metrics" not in stored
    assert "label" not in stored
    assert digest(cell.algorithm) == digest(small_cells("gda")[0].algorithm)


def test_footers_tell_protocol_and_ideal(store: Store) -> None:
    """How images were measured, and what real ones get; nothing for other metrics."""
    words = "classifier_score[features=digitscnn,count=50,splits=2]"
    (cell,) = small_cells(
        "gda",
        tasks=("digits01[hidden=4,batch=4]",),
        metrics=(words, "losses[minibatches=1]", "digit_coverage[samples=10]"),
        steps=1,
        seeds=1,
    )
    execute([cell], store)
    footer = store.footer(cell.key)
    assert list(footer["protocols"]) == [words]
    protocol = footer["protocols"][words]
    assert (protocol["generated"], protocol["splits"]) == (50, 2)
    assert len(protocol["sha256"]) == 64
    assert list(footer["ideal"]) == ["cs_digitscnn_50"]
    # Zeros and ones alone: sure of each, and of two classes.
    assert footer["ideal"]["cs_digitscnn_50"] == pytest.approx(2, abs=0.2)
    (toy,) = small_cells("gda")
    execute([toy], store)
    assert store.footer(toy.key)["protocols"] == store.footer(toy.key)["ideal"] == {}

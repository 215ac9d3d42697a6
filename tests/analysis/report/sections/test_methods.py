"""Tests of the methods section."""

from report_results import DIGITS, IMAGES, only, texts_of

from mmbench.analysis.report.sections import SECTIONS
from mmbench.analysis.report.sections.base import number
from mmbench.analysis.results import Results


def test_protocols_of_image_metrics_are_shown(results: Results, page: str) -> None:
    """The table has the network, digest, counts and real images of the protocol."""
    made = SECTIONS["methods"](results)
    assert made
    (part,) = [one for one in made.subsections if one.title == "Evaluation of images"]
    rows = texts_of(part.tables[0])
    assert sorted(row[0] for row in rows) == sorted(IMAGES)
    (row,) = [row for row in rows if row[0] == IMAGES[0]]
    (footer,) = only(results, task=DIGITS).footers.values()
    digest = footer["protocols"][IMAGES[0]]["sha256"]
    score = number(footer["ideal"]["fd_digitscnn_20"])
    assert row[1:6] == ["digitscnn", digest[:12], "20", "all of “train”", "none"]
    assert "covariance: divisor n - 1" in row[6]
    assert row[7] == score
    assert f'title="{digest}"' in page
    assert any("FID, KID and IS only" in one for one in part.prose)

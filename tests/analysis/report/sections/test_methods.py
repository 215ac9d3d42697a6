"""Tests of the methods section."""

import json

from report_results import DIGITS, IMAGES, only, section_of, texts_of

from mmbench.analysis.numbers import number
from mmbench.analysis.results import Results


def test_protocols_of_image_metrics_are_shown(results: Results, page: str) -> None:
    """The table has the network, digest, counts and real images of the protocol."""
    made = section_of("methods", results)
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


def settings_of(results: Results, title: str) -> tuple[list, list]:
    """Return the rows of a class's tables: its cells, and its parameters."""
    made = section_of("methods", results)
    assert made
    (part,) = [one for one in made.subsections if one.title == title]
    return texts_of(part.tables[0]), texts_of(part.tables[1])


def test_all_parameters_are_shown_with_their_values(results: Results) -> None:
    """Defaults are included, and each value on the page has its place."""
    cells, parameters = settings_of(results, "Algorithm gda")
    specs = {row[1] for row in cells}
    assert "gda[direction=plain,step_size=0.1]" in specs
    adam = "adam[beta1=0.9,beta2=0.999,epsilon=1e-08,epsilon_at=corrected]"
    assert f"gda[direction={adam},step_size=0.01]" in specs
    by_name = {name: (values, meaning) for name, values, meaning in parameters}
    assert by_name["step_size"][0] == "0.1, 0.001, 0.01"
    assert by_name["direction"][0] == f"plain, {adam}"
    tasks, _ = settings_of(results, "Task bilinear")
    specs = {row[1] for row in tasks}
    assert len(specs) == 2
    assert all(spec.startswith("bilinear[") and "dim=" in spec for spec in specs)


def test_undocumented_parameters_are_shown(results: Results) -> None:
    """The parameters are those stored, whether a docstring has them or not."""
    footers = {
        key: footer | {"method": footer["method"] | {"arguments": {"gone": "removed"}}}
        for key, footer in only(results, label="GDA", task="bilinear").footers.items()
    }
    _, parameters = settings_of(results._replace(footers=footers), "Algorithm gda")
    assert parameters == [
        ["direction", "plain", "not documented"],
        ["step_size", "0.1", "not documented"],
    ]


def test_cells_of_two_versions_of_a_class_have_a_text_each(results: Results) -> None:
    """The text of one version does not describe what another computed."""
    seen = only(results, label="GDA", task="bilinear")
    ((key, footer),) = seen.footers.items()
    later = footer | {"method": footer["method"] | {"rule": "z⁺ = z"}}
    made = section_of(
        "methods", results._replace(footers={key: footer, "later": later})
    )
    assert made
    rules = [
        part.preformatted for part in made.subsections if part.title == "Algorithm gda"
    ]
    assert rules == [footer["method"]["rule"], "z⁺ = z"]


def test_csv_has_the_parameters_of_each_cell(results: Results) -> None:
    made = section_of("methods", results)
    assert made
    table = made.files["methods.csv"].set_index("key")
    assert list(table.index) == list(results.footers)
    for key, footer in results.footers.items():
        row = table.loc[key]
        assert row["label"] == footer["label"]
        described = footer["description"]
        wanted = {
            name: value
            for name, value in described["task"].items()
            if name not in ("class", "version")
        }
        found = json.loads(row["task_parameters"])
        assert found.keys() == wanted.keys()
        assert set(json.loads(row["parameters"])) == set(described["algorithm"]) - {
            "class",
            "version",
        }
        assert (
            results.frame.set_index("key")["parameters"][key].iloc[0]
            == (row["parameters"])
        )

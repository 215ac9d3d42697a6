"""`mmbench claims`: verdicts, what is missing, and the page."""

import json
import re
from pathlib import Path

import pytest
from command_line import Cli

from mmbench.analysis import verdicts
from mmbench.analysis.published import read_published
from mmbench.core.placement import Placement
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.studies import register
from mmbench.studies.base import Bound, Claim, Rule, Variant
from mmbench.suites import SUITES
from mmbench.suites.base import Grid, Suite

SUITE = Suite(
    name="tiny",
    grids=(
        Grid(
            tasks=("bilinear",),
            algorithms=(
                "GDA = gda",
                "EG = extragradient[step_size=0.5]",
                "control = omd",
            ),
            seeds=50,
            first_seed=5000,
            steps=40,
            records=2,
        ),
    ),
)
NEAR = Rule(name="it is near", bounds=(Bound(column="distance", at_most=0.5),))


def claim(name: str, kind: str, label: str, **fields: object) -> Claim:
    """Return a claim about one of the two methods."""
    variant = Variant(
        name="as stated", origin="text", suite="tiny", task="bilinear", label=label
    )
    shared: dict[str, object] = {
        "numbers": (1,),
        "name": name,
        "paper": "icr",
        "place": "Section 4",
        "statement": f"{label} comes near.",
        "kind": kind,
        "variants": (variant,),
        "rules": (NEAR,),
        "negative": "tests/x.py",
    }
    return Claim(**(shared | fields))  # type: ignore[arg-type]


CLAIMS = {
    one.name: one
    for one in (
        claim("eg-near", "most", "EG"),
        claim("gda-near", "every", "GDA", published="100 %"),
        claim(
            "large",
            "none",
            "EG",
            variants=(),
            rules=(),
            reason="not run at scale",
            note="It is large.",
        ),
    )
}


@pytest.fixture(autouse=True)
def _register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "SUITES", {**SUITES, "tiny": SUITE})
    monkeypatch.setattr(register, "CLAIMS", CLAIMS)
    monkeypatch.setattr("mmbench.cli._published.CHECKOUTS", ())
    verdicts.cells_of_suite.cache_clear()


def test_claims_are_run_and_told(cli: Cli) -> None:
    """Nothing is known before the runs; then each claim has its verdict."""
    before = cli("claims", "eg-near", "large")
    assert before.exit_code == 0
    assert "not run yet" in before.stdout
    assert "not run at scale" in before.stdout
    done = cli("claims", "--run", "--store", "s", "--json")
    assert done.exit_code == 0, done.stderr
    told = {one["claim"]["name"]: one for one in json.loads(done.stdout)}
    assert told["eg-near"]["verdict"] == "reproduced"
    assert told["gda-near"]["verdict"] == "not reproduced"
    assert told["large"]["verdict"] == "not run at scale"
    (look,) = told["eg-near"]["looks"]
    assert (look["runs"], look["estimate"]) == (50, 1.0)
    of_suite = cli("claims", "--suite", "tiny", "--store", "s").stdout
    assert "eg-near" in of_suite
    assert "large" not in of_suite
    in_full = cli("claims", "gda-near", "--store", "s").stdout
    assert "GDA comes near." in in_full
    assert "it is near: " in in_full


PAIR = Variant(
    name="as stated",
    origin="text",
    suite="tiny",
    task="bilinear",
    label="EG",
    against="GDA",
)


def test_a_difference_of_shares_is_told_in_points(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the two methods whose shares they are, and both shares."""
    more = claim("eg-more", "more", "EG", variants=(PAIR,))
    monkeypatch.setattr(register, "CLAIMS", {"eg-more": more})
    printed = cli("claims", "eg-more", "--run", "--store", "s").stdout
    assert "share of runs of EG, less that of GDA:" in printed
    shares = r"(\d+) % less (\d+) %, (\d+) points \(\d+ to 100\), reproduced"
    found = re.search(f"it is near: {shares}", printed)
    assert found
    first, second, points = map(int, found.groups())
    assert first - second == points > 0
    assert "decides" not in printed  # there is one rule


def test_the_first_of_several_rules_decides(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without bounds, the larger value of each pair of runs counts."""
    rules = (
        Rule(name="larger at the end", column="distance"),
        Rule(name="larger, again", column="distance"),
    )
    more = claim("eg-more", "more", "EG", variants=(PAIR,), rules=rules)
    monkeypatch.setattr(register, "CLAIMS", {"eg-more": more})
    printed = cli("claims", "eg-more", "--run", "--store", "s").stdout
    assert "the first rule of counting decides; the others are shown" in printed
    assert "share of pairs of runs in which EG has more, less that in" in printed
    for rule in rules:
        assert f"{rule.name}: 0 % less 100 %, -100 points" in printed


def test_a_rule_decides_whether_steps_are_compiled(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for `mmbench run`: whether compiling saves time, not which command asks."""
    asked = []

    def remember(
        _cells: object, _store: object, placement: Placement, *_: object, **__: object
    ) -> None:
        asked.append(placement.compiled)

    monkeypatch.setattr("mmbench.runner.execute.execute", remember)
    cli("claims", "eg-near", "--run", "--store", "s")
    assert asked == [None]


def test_the_page_is_made_again_byte_for_byte(cli: Cli) -> None:
    """The page and its pictures depend on the published runs alone."""
    assert cli("claims", "--run", "--store", "s").exit_code == 0
    assert cli("claims", "--store", "s", "--publish", "page").exit_code == 0
    made = {path: path.read_bytes() for path in Path("page").rglob("*.*")}
    assert {path.name for path in made} >= {"index.html", "README.md", "eg-near.svg"}
    assert b"EG comes near." in made[Path("page/README.md")]
    assert cli("claims", "--store", "page", "--publish", "page").exit_code == 0
    refused = cli("claims", "--store", "page", "--run")
    assert "--store must be no folder of published results" in refused.stderr
    assert {path: path.read_bytes() for path in Path("page").rglob("*.*")} == made


def test_results_are_added_to_what_is_published(cli: Cli) -> None:
    """A store that has runs of one claim alone leaves those of the others there."""
    for name in ("eg-near", "gda-near"):
        assert cli("claims", name, "--run", "--store", name).exit_code == 0
        assert cli("claims", "--store", name, "--publish", "page").exit_code == 0
    told = cli("claims", "eg-near", "gda-near", "--store", "page", "--json").stdout
    verdicts_told = [one["verdict"] for one in json.loads(told)]
    assert verdicts_told == ["reproduced", "not reproduced"]


def test_an_empty_store_adds_nothing(cli: Cli) -> None:
    assert cli("claims", "--run", "--store", "s").exit_code == 0
    assert cli("claims", "--store", "s", "--publish", "page").exit_code == 0
    made = {path: path.read_bytes() for path in Path("page").rglob("*.*")}
    Path("empty").mkdir()
    assert cli("claims", "--store", "empty", "--publish", "page").exit_code == 0
    assert {path: path.read_bytes() for path in Path("page").rglob("*.*")} == made


def test_what_no_claim_names_is_published_beside_them(cli: Cli) -> None:
    """Controls of a suite are not run for a claim, and published where they are."""
    assert cli("claims", "--run", "--store", "s").exit_code == 0
    execute([cell for cell in plan(SUITE) if cell.label == "control"], Store(Path("s")))
    assert cli("claims", "--store", "s", "--publish", "page").exit_code == 0
    labels = [one["label"] for one in read_published(Path("page")).footers.values()]
    assert sorted(labels) == ["EG", "GDA", "control"]


def test_runs_of_another_rule_are_refused(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that was changed after its runs has no verdict by them."""
    assert cli("claims", "eg-near", "--run", "--store", "s").exit_code == 0
    changed = CLAIMS | {"eg-near": claim("eg-near", "every", "EG")}
    monkeypatch.setattr(register, "CLAIMS", changed)
    for options in ((), ("--run",)):
        refused = cli("claims", "eg-near", "--store", "s", *options)
        assert refused.exit_code == 2
        assert "The claim eg-near must be as it was registered" in refused.stderr


def test_bad_names_and_options_are_refused(cli: Cli) -> None:
    """One sentence names what is wrong."""
    unknown = cli("claims", "eg-naer")
    assert unknown.exit_code == 2
    assert "eg-near" in unknown.stderr
    suite = cli("claims", "--suite", "tinny")
    assert (suite.exit_code, "tiny" in suite.stderr) == (2, True)
    useless = {
        ("--runs", "100"): "--runs must stand with --run",
        ("--run", "--publish", "page"): "--run must stand without --publish",
        ("--json", "--publish", "page"): "--json must stand without --publish",
        ("large", "--suite", "tiny"): "none of them is",
    }
    for words, sentence in useless.items():
        refused = cli("claims", *words)
        assert (refused.exit_code, sentence in refused.stderr) == (2, True)
    both = cli("claims", "eg-near", "--publish", "page")
    assert "--publish must stand without names" in both.stderr

"""mmbench store: output, questions, files and errors of its verbs."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from stores import ARRAYS, FOOTER, FRAME, KEY, OTHER, PLAIN

from mmbench.analysis.results import load
from mmbench.cli import main
from mmbench.core.errors import DamagedError
from mmbench.store.folder import Store

Cli = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Return a function that runs `mmbench store`; the store `s` has three cells."""
    monkeypatch.chdir(tmp_path)
    store = Store("s")
    store.put(KEY, FRAME, FOOTER, ARRAYS)
    store.put(OTHER, FRAME, FOOTER | {"task": "bilinear[dim=2]"}, {})
    store.put(PLAIN, FRAME, FOOTER | {"task": "quadratic", "label": "b"}, {})

    def call(*words: str, answer: str = "") -> Result:
        return CliRunner().invoke(main, ["store", *words], input=answer)

    return call


def test_a_store_in_order(cli: Cli) -> None:
    """The check prints one line and exits with code 0."""
    result = cli("check", "--store", "s")
    assert result.exit_code == 0
    assert result.stdout == "3 cells in s, 0 damaged.\n"


def test_damage_is_exit_code_1_until_it_is_repaired(cli: Cli) -> None:
    """The file is named; after the repair, the cell is missing, the rest in order."""
    Store("s").table(KEY).write_bytes(b"x")
    (Path("s") / "notes.txt").write_text("mine")
    (Path("s") / "\x1b[2Jodd").write_text("mine")
    for _ in range(2):
        result = cli("check", "--store", "s")
        assert result.exit_code == 1
        assert f"damaged: s/{KEY}.parquet must" in result.stdout
        assert "foreign: notes.txt: is not of mmbench" in result.stdout
        assert r"foreign: \x1b[2Jodd: " in result.stdout
        assert "3 cells in s, 1 damaged." in result.stdout
        assert "1 cell must be computed again" in result.stderr
    result = cli("check", "--repair", "--store", "s")
    assert result.exit_code == 0
    assert "1 cell quarantined, 0 files deleted." in result.stdout
    assert cli("check", "--store", "s").exit_code == 0
    assert set(Store("s")) == {OTHER, PLAIN}


def test_listing(cli: Cli) -> None:
    """Each cell has a line, damaged ones too."""
    Store("s").table(PLAIN).write_bytes(b"x")
    result = cli("ls", "--store", "s")
    assert result.exit_code == 0
    head, first, second, third, last = result.stdout.splitlines()
    assert head.split() == ["key", "task", "label", "runs", "steps", "status", "kB"]
    assert first.split()[:2] == [PLAIN[:8], "damaged"]
    assert second.split()[:-1] == f"{KEY[:8]} bilinear a 2 5 2 finished".split()
    assert third.split()[1] == "bilinear[dim=2]"
    assert last.startswith("3 cells in s, 0.0 MB")
    assert max(len(line) for line in result.stdout.splitlines()) <= 80


def test_sizes_are_in_thousands_of_bytes(cli: Cli) -> None:
    """kB and MB are powers of ten, and the companions of a table count."""
    Store("s").folder.joinpath(f"{PLAIN}.part").write_bytes(b"x" * 2_048_000)
    result = cli("ls", "--store", "s")
    (line,) = (one for one in result.stdout.splitlines() if one.startswith(PLAIN[:8]))
    table = Store("s").table(PLAIN).stat().st_size
    assert line.split()[-1] == f"{(2_048_000 + table) / 1000:,.0f}"
    assert "2.1 MB" in result.stdout.splitlines()[-1]


def test_one_cell_is_deleted(cli: Cli) -> None:
    """The beginning of a key names a cell, which is deleted after a question."""
    assert cli("rm", "012", "--store", "s", answer="n\n").exit_code == 1
    assert KEY in Store("s")
    result = cli("rm", "012", "--store", "s", answer="y\n")
    assert result.exit_code == 0
    assert "Delete 1 cell of s?" in result.stdout
    assert sorted(path.name for path in Path("s").iterdir()) == sorted(
        [f"{OTHER}.parquet", f"{PLAIN}.parquet"]
    )


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--task", "bilinear"], {PLAIN}),
        (["--task", "bilinear[dim=2]"], {KEY, PLAIN}),
        (["--all"], set()),
        ([KEY, OTHER], {PLAIN}),
    ],
)
def test_cells_are_deleted(cli: Cli, words: list[str], left: set[str]) -> None:
    """Cells are chosen by task, by task with parameters, by key, or all."""
    assert cli("rm", *words, "--yes", "--store", "s").exit_code == 0
    assert set(Store("s")) == left


def test_an_empty_store_is_emptied(cli: Cli) -> None:
    """The indexes go as well; the same command may be given twice."""
    for name in ("index.json", "index.tables"):
        Path("s", name).write_text("a cache")
    for count in (3, 0):
        result = cli("rm", "--all", "--yes", "--store", "s")
        assert (result.exit_code, result.stdout) == (0, f"{count} cells deleted.\n")
    assert list(Path("s").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "One of KEY, --task TASK and --all"),
        (["--all", KEY], "One of KEY, --task TASK and --all"),
        (["--task", "nothing"], "must hold a cell of nothing"),
        (["9"], "must be the beginning of one key"),
        (["../s/0"], "must be the beginning of one key"),
        (["0"], "must be the beginning of one key"),  # of two
    ],
)
def test_nothing_is_deleted_by_mistake(
    cli: Cli, words: list[str], message: str
) -> None:
    """Arguments that name no cells are refused."""
    result = cli("rm", *words, "--yes", "--store", "s")
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(list(Store("s"))) == 3


def test_there_and_back(cli: Cli) -> None:
    """Export, import and merge print what they did."""
    result = cli("export", "--store", "s", "--out", "a.zip")
    assert result.stdout == "3 cells in a.zip\n"
    result = cli("import", "a.zip", "--store", "t")
    assert result.stdout == "3 added: a.zip into t\n"
    Store("t").put(KEY, FRAME.assign(x=5.0), FOOTER, {})
    differs = f"{KEY}: differs at step 0 of seed 0, x: 5 and 1.5, 0.7 apart\n"
    for verb in (("merge", "s"), ("import", "a.zip")):
        result = cli(*verb, "--store", "t")
        counts = "1 kept as they were here, 2 the same in both"
        assert result.stdout == f"{differs}{counts}: {verb[1]} into t\n"
        assert result.exit_code == 1
        assert f"1 cell of {verb[1]} differs from those of t" in result.stderr
    result = cli("import", "s", "--store", "t", "--theirs")
    assert result.stdout == f"{differs}1 replaced, 2 the same in both: s into t\n"
    assert result.exit_code == 0


def test_stores_are_compared(cli: Cli) -> None:
    """Each cell that only one has or that differs is listed; the exit code is 1."""
    cli("import", "s", "--store", "t")
    Store("t").put(OTHER, FRAME, FOOTER | {"provenance": {"torch": "other"}}, {})
    Store("s").put(OTHER, FRAME, FOOTER, {})
    result = cli("diff", "s", "t")
    assert result.exit_code == 0
    assert result.stdout == (
        "3 cells the same in both, 0 different, 0 only in s, 0 only in t.\n"
    )
    new = "ab" * 12
    Store("t").put(new, FRAME, FOOTER, {})
    for pair in (("s", "t"), ("t", "s")):
        result = cli("diff", *pair)  # one has a cell more, and nothing else differs
        assert result.exit_code == 1
        assert "3 cells the same in both, 0 different" in result.stderr
    Store("t").remove(PLAIN)
    Store("t").put(KEY, FRAME, FOOTER, ARRAYS | {"path": ARRAYS["path"] + 0.25})
    Store("t").put(OTHER, FRAME, FOOTER | {"label": "b"}, {})
    result = cli("diff", "s", "t")
    assert result.exit_code == 1
    assert set(result.stdout.splitlines()) == {
        f"{PLAIN}: only in s",
        f"{new}: only in t",
        f"{KEY}: differs at array path: up to 0.25 apart",
        f"{OTHER}: differs at another label in the footer",
    }
    assert "0 cells the same in both, 2 different, 1 only in s, 1" in result.stderr
    Store("t").table(KEY).write_bytes(b"PAR1")
    assert f"{KEY}: damaged: " in cli("diff", "s", "t").stdout


def test_what_cannot_be_taken_is_refused(cli: Cli) -> None:
    """There is one sentence and exit code 2, and no folder is made."""
    Path("text").write_text("hello")
    result = cli("import", "text", "--store", "t")
    assert result.exit_code == 2
    assert "text must be an archive of `mmbench store export`" in result.stderr
    assert cli("merge", "none", "--store", "t").exit_code == 2
    assert cli("export", "smoke", "--store", "s", "--out", "a.zip").exit_code == 2
    assert not Path("t").exists()
    assert not Path("a.zip").exists()


@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_a_link_that_leads_nowhere_is_listed_as_damaged(cli: Cli, target: str) -> None:
    """Whether its target is missing or it is its own."""
    path = Store("s").table(PLAIN)
    path.unlink()
    path.symlink_to(path.name if target == "itself" else "nowhere")
    result = cli("ls", "--store", "s")
    assert result.exit_code == 0, result.output
    assert "damaged" in result.output


@pytest.mark.parametrize("verb", ["check", "ls", "rm --all", "export --out a.zip"])
def test_there_must_be_a_store(cli: Cli, verb: str) -> None:
    """Each verb reports it."""
    result = cli(*verb.split(), "--store", "none")
    assert result.exit_code == 2
    assert "there is none at none" in result.stderr


# ---- the verbs that read ----

GRID = ("-t", "bilinear", "-a", "gda", "-a", "omd")
GRID += ("--seeds", "2", "--steps", "4", "--records", "2")


@pytest.fixture
def computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Cli]:
    """Return a store with two computed cells, the first with a damaged table."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Result:
        return CliRunner().invoke(main, words)

    assert call("run", *GRID, "--store", "s").exit_code == 0
    return Store("s"), call


@pytest.mark.parametrize("words", [GRID, ()])
def test_damaged_cells_are_named_and_left_out(
    computed: tuple[Store, Cli], words: tuple[str, ...]
) -> None:
    """`results` and `report` show the other cells and rename nothing."""
    store, call = computed
    table = store.table(next(iter(store)))
    table.write_bytes(table.read_bytes()[:-9])
    for verb in ("results", "report"):
        result = call(verb, *words, "--store", "s")
        assert result.exit_code == 0
        assert f"Note: {table} must hold what mmbench wrote" in result.stderr
        assert "It is left out." in result.stderr
    assert len(list(store)) == 2
    with pytest.raises(DamagedError, match=table.name):
        load("s")
    for key in store:
        store.table(key).write_bytes(b"")
    for verb in ("results", "report"):
        assert call(verb, *words, "--store", "s").exit_code == 2
    again = call("run", *GRID, "--store", "s")
    assert again.exit_code == 0
    assert again.stderr.count("It is computed again.") == 2
    assert len(load("s")) == 2 * 2 * 4  # steps 0, 1, 2 and 4


def test_damaged_pictures_are_named_and_left_out(
    computed: tuple[Store, Cli],
) -> None:
    """The page is made without them; the table does not need them."""
    store, call = computed
    path = store.companions(next(iter(store)))["arrays"]
    path.write_bytes(path.read_bytes()[:-9])
    assert call("results", *GRID, "--store", "s").stderr == ""
    result = call("report", *GRID, "--store", "s")
    assert result.exit_code == 0
    assert f"Note: {path} must hold what its table says" in result.stderr


def test_older_stores_are_refused_with_a_remedy(computed: tuple[Store, Cli]) -> None:
    """No cell is computed into a store that an older mmbench wrote."""
    store, call = computed
    key = next(iter(store))
    output = json.dumps({"schema": 2, "key": key}).encode()
    table = pa.table({"a": [1]}).replace_schema_metadata({b"mmbench": output})
    pq.write_table(table, store.table(key))
    before = store.version(key)
    for verb in ("results", "report", "run", "plan"):
        result = call(verb, *GRID, "--store", "s")
        assert result.exit_code == 2
        assert "mmbench store import s --store s" in result.stderr
    assert store.version(key) == before


def test_the_beginning_of_a_name_removes_nothing(cli: Cli) -> None:
    """Only a task's name, or all that `ls` prints of it, names the task."""
    for beginning in ("bilin", "bilinear[", "bilinear[dim", "quad", "Bilinear", " "):
        result = cli("rm", "-t", beginning, "--yes", "--store", "s")
        assert result.exit_code == 2, beginning
        assert len(list(Store("s"))) == 3
    assert cli("rm", "-t", "bilinear[dim=2]", "--yes", "--store", "s").exit_code == 0
    assert list(Store("s")) == sorted([KEY, PLAIN])

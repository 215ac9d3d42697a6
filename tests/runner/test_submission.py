"""What goes into the bundle of a store, and what is refused."""

import json
from pathlib import Path

import pytest
from edited_stores import EXTERNAL_CLASS, rewrite, small_grid, store_of

from mmbench.core.errors import DescriptionError, MmbenchError, StoreError
from mmbench.runner.submission import Submission, check_classes, gather_submission
from mmbench.store.folder import Store


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """The spec of an external class that imports another file and names data."""
    home, package = tmp_path / "home", f"parts_of_{tmp_path.name}"
    (home / package).mkdir(parents=True)
    (home / package / "__init__.py").touch()
    (home / package / "steps.py").write_text("FACTOR = 1.0")
    (home / "secret.py").write_text("TOKEN = 'hidden'")
    (home / "table.csv").write_text("1,2")
    named = '"""Mine."""\n    data_files = ("table.csv",)'
    source = EXTERNAL_CLASS.replace('"""Mine."""', named)
    (home / "mine.py").write_text(f"from {package}.steps import FACTOR\n{source}")
    return f"{home / 'mine.py'}:Mine"


def gathered(store: Store, *external: str, suite: Path | None = None) -> Submission:
    scratch = store.folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return gather_submission(store, external, suite, scratch)


def test_sources_are_those_of_the_digest(tmp_path: Path, mine: str) -> None:
    """What the class imports and names goes with it, and nothing else beside it."""
    store, _ = store_of(tmp_path, small_grid(), small_grid(algorithm=f"M = {mine}"))
    made = gathered(store, mine)
    package = f"parts_of_{tmp_path.name}"
    names = ["mine.py", f"{package}/__init__.py", f"{package}/steps.py", "table.csv"]
    assert sorted(made.files) == [
        "environment.json",
        "results.zip",
        *(f"source/0/{name}" for name in names),
    ]
    assert list(made.classes.values()) == ["source/0/mine.py:Mine"]
    assert made.cells == 2


def test_environments_have_no_host_and_no_path(tmp_path: Path) -> None:
    """Whatever else a footer's provenance holds."""
    store, (cell,) = store_of(tmp_path, small_grid())
    rewrite(
        store, cell.key, footer=lambda one: one["provenance"].update(host="h", cwd="/h")
    )
    made = gathered(store)
    (found,) = json.loads(made.files["environment.json"].read_text())
    assert {"mmbench", "torch", "commit", "processor"} < set(found)
    assert {"host", "cwd"}.isdisjoint(found)
    assert made.classes == {}


def test_unfinished_and_damaged_cells_are_refused(tmp_path: Path) -> None:
    store, cells = store_of(tmp_path, small_grid(), small_grid(algorithm="omd"))
    checkpoint = store.slot("0" * 24).path
    checkpoint.write_bytes(b"x")
    assert gathered(store).cells == 2  # left of a process that died, and not whole
    from mmbench.core.checkpoint import pack

    checkpoint.write_bytes(pack({"a": 1}))
    with pytest.raises(StoreError, match="finished cells alone .* a run will go on"):
        gathered(store)
    checkpoint.unlink()
    rewrite(
        store,
        cells[0].key,
        frame=lambda frame: frame.assign(status="timeout", reason="late"),
        footer=lambda footer: footer.update(outcomes={"timeout": 4}, reason="late"),
    )
    with pytest.raises(StoreError, match="gda on bilinear .* ended with timeout"):
        gathered(store)
    store.table(cells[0].key).write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="whole and finished .* damaged or foreign"):
        gathered(store)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="STORE must have cells to submit"):
        gathered(Store(tmp_path / "empty"))


def test_classes_without_their_source_are_refused(tmp_path: Path, mine: str) -> None:
    """Of a session, not given, or other code than that of the key."""
    store, (cell,) = store_of(tmp_path, small_grid(algorithm=f"M = {mine}"))
    with pytest.raises(DescriptionError, match="--outside path/to/mine.py:Mine"):
        gathered(store)
    source = Path(mine.removesuffix(":Mine"))
    source.write_text(source.read_text().replace("0.3", "0.4"))
    with pytest.raises(DescriptionError, match="must be the one that was used"):
        gathered(store, mine)

    def of_session(footer: dict) -> None:
        named = footer["cell"]["algorithm"]["class"].partition("@")[2]
        for name in ("cell", "description"):
            footer[name]["algorithm"]["class"] = f"__main__:Mine@{named}"

    rewrite(store, cell.key, footer=of_session)
    with pytest.raises(DescriptionError, match="M on bilinear .* in a session"):
        gathered(store, mine)


def test_files_outside_the_folder_are_refused(tmp_path: Path, mine: str) -> None:
    """Whether they are named by a path or by a link."""
    (tmp_path / "other.csv").write_text("3")
    source = Path(mine.removesuffix(":Mine"))
    whole = source.read_text()
    source.write_text(whole.replace('"table.csv"', '"../other.csv"'))
    store, (cell,) = store_of(tmp_path, small_grid(algorithm=f"M = {mine}"))
    with pytest.raises(DescriptionError, match="all its files in .*other.csv. Move"):
        gathered(store, mine)
    store.remove(cell.key)
    source.write_text(whole)
    table = source.with_name("table.csv")
    table.unlink()
    table.symlink_to(tmp_path / "other.csv")
    store_of(tmp_path, small_grid(algorithm=f"M = {mine}"))
    with pytest.raises(DescriptionError, match="all its files in .*table.csv. Move"):
        gathered(store, mine)


def test_a_file_in_a_package_keeps_its_place(tmp_path: Path) -> None:
    """Its name in the digest is relative to the folder above the package."""
    package = tmp_path / "outer" / "inner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "mine.py").write_text(EXTERNAL_CLASS)
    spec = f"{package / 'mine.py'}:Mine"
    store, _ = store_of(tmp_path, small_grid(algorithm=f"M = {spec}"))
    made = gathered(store, spec)
    names = ["outer/__init__.py", "outer/inner/__init__.py", "outer/inner/mine.py"]
    sources = sorted(name for name in made.files if name.startswith("source"))
    assert sources == [f"source/0/{name}" for name in names]


def test_the_source_of_a_bundle_is_that_of_its_cells(tmp_path: Path) -> None:
    """Where it was unpacked; other source is refused, whichever cell it is of."""
    (tmp_path / "mine.py").write_text(EXTERNAL_CLASS)
    mine = f"{tmp_path / 'mine.py'}:Mine"
    store, _ = store_of(tmp_path, small_grid(algorithm=f"M = {mine}"))
    made = gathered(store, mine)
    folder = tmp_path / "unpacked"
    for name, path in made.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(path.read_bytes())
    places = check_classes(store, folder, made.classes)
    assert places == [f"{folder / 'source/0/mine.py'}:Mine"]
    (folder / "source/0/mine.py").write_text(EXTERNAL_CLASS.replace("0.3", "0.2"))
    with pytest.raises(DescriptionError, match="must be the one that was used"):
        check_classes(store, folder, made.classes)


def test_a_tuning_record_lies_beside_its_suite(tmp_path: Path) -> None:
    store, _ = store_of(tmp_path, small_grid())
    suite = tmp_path / "suites" / "suite.toml"
    (suite.parent / "record").mkdir(parents=True)
    for name in ("trials.parquet", "winners.json", "notes.txt"):
        (suite.parent / "record" / name).write_text("x")
    for tuned, names in (
        ("record", ["tuning/trials.parquet", "tuning/winners.json"]),
        ("record/trials.parquet", ["tuning/trials.parquet"]),
    ):
        suite.write_text(f'tuned = "{tuned}"')
        files = gathered(store, suite=suite).files
        assert [name for name in sorted(files) if name.startswith("tuning")] == names
    for text in (
        "",
        "tuned = true",
        'tuned = "missing"',
        'tuned = "../scratch"',
        "[",
    ):
        suite.write_text(text)
        (store.folder.parent / "scratch" / "x.json").touch()
        with pytest.raises(MmbenchError, match="suite"):
            gathered(store, suite=suite)

"""Descriptions: found by how they begin, whatever else lies in the folder."""

from pathlib import Path

from small_cells import chained_cells, continuing_grid, small_cells

from mmbench.core.description import canonical
from mmbench.runner.execute import execute
from mmbench.store.descriptions import beginning, descriptions
from mmbench.store.folder import Store


def test_descriptions_are_found_by_their_beginning(tmp_path: Path) -> None:
    """Of other seeds and steps, and of the chain that a cell is in."""
    store = Store(tmp_path)
    gda, omd = small_cells("gda", "omd", steps=1)
    execute([gda, omd], store)
    (more,) = small_cells("gda", seeds=5, steps=2)
    found = dict(descriptions(store, {beginning(canonical(more))}))
    assert found == {gda.key: canonical(gda)}
    assert not list(descriptions(store, {beginning(canonical(small_cells("cgd")[0]))}))
    chains = [chained_cells(continuing_grid(seeds=one), seeds=one) for one in (3, 4)]
    first, second = (beginning(canonical(rest)) for _, rest in chains)
    assert first == second


def test_other_files_are_left_out(tmp_path: Path) -> None:
    """Those that are cut short, and those that are no files."""
    store = Store(tmp_path)
    assert not list(descriptions(Store(tmp_path / "none"), ()))
    (cell,) = small_cells("gda", steps=1)
    execute([cell], store)
    content = store.table(cell.key).read_bytes()
    for number, other in enumerate((b"", b"PAR1", content[:-9], b"0" + content[9:])):
        store.table(f"{number:024x}").write_bytes(other)
    store.table("f" * 24).mkdir()
    found = [key for key, _ in descriptions(store, {beginning(canonical(cell))})]
    assert cell.key in found
    assert set(found) <= {cell.key, f"{3:024x}"}  # nothing is checked

"""Archives and merges take whole cells, checked before one is written."""

import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file
from stores import ARRAYS, FOOTER, FRAME, ITERATES, KEY, OTHER, PLAIN

from mmbench.core.errors import StoreError
from mmbench.store.archive import ImportCounts, export, merge, take
from mmbench.store.folder import Store
from mmbench.store.parquet import encode_table


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two cells."""
    made = Store(tmp_path / "store")
    made.put(KEY, FRAME, FOOTER, ARRAYS, ITERATES)
    made.put(OTHER, FRAME.assign(x=3.0), FOOTER, {})
    return made


@pytest.fixture
def target(tmp_path: Path) -> Store:
    """A store that is not there yet."""
    return Store(tmp_path / "target")


def contents(store: Store) -> dict[str, bytes]:
    """Return the content of all files of a store."""
    if not store.folder.exists():
        return {}
    return {path.name: path.read_bytes() for path in store.folder.iterdir()}


def packed(
    path: Path, members: dict[str, bytes], how: int = zipfile.ZIP_STORED
) -> Path:
    """Write a zip file that mmbench did not export."""
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


# ---- archives ----


def test_there_and_back(store: Store, target: Store, tmp_path: Path) -> None:
    """The files of a store are the same after a journey."""
    export(store, list(store), tmp_path / "a.zip")
    assert take(tmp_path / "a.zip", target) == ImportCounts(added=2)
    assert contents(target) == contents(store)
    assert take(tmp_path / "a.zip", target) == ImportCounts(same=2)


def test_the_same_cells_are_the_same_bytes(store: Store, tmp_path: Path) -> None:
    """Whatever order, time and folder; and another cell gives others."""
    moved = Store(tmp_path / "moved")
    shutil.copytree(store.folder, moved.folder)
    for path in moved.folder.iterdir():
        path.touch()
        path.chmod(0o600)
    export(store, [KEY, OTHER], tmp_path / "a.zip")
    export(moved, [OTHER, KEY], tmp_path / "b.zip")
    export(store, [KEY], tmp_path / "c.zip")
    one, same, other = ((tmp_path / f"{name}.zip").read_bytes() for name in "abc")
    assert one == same != other


def test_damaged_cells_are_not_exported(store: Store, tmp_path: Path) -> None:
    """The archive is not begun, and an older one stays."""
    (tmp_path / "a.zip").write_bytes(b"before")
    store.companions(KEY)["arrays"].write_bytes(b"x")
    with pytest.raises(StoreError, match="another SHA-256"):
        export(store, [OTHER, KEY], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == b"before"
    with pytest.raises(StoreError, match="--out must be a file"):
        export(store, [OTHER], tmp_path / "no" / "a.zip")


def drop_companion(members: dict[str, bytes]) -> None:
    """Remove a table's iterates."""
    del members[next(name for name in members if "iterates" in name)]


def flip_companion(members: dict[str, bytes]) -> None:
    """Change a byte of the iterates."""
    name = next(name for name in members if "iterates" in name)
    members[name] = members[name][:-1] + b"\x07"


def flip_table(members: dict[str, bytes]) -> None:
    """Change a byte of a table."""
    content = bytearray(members[f"{OTHER}.parquet"])
    content[40] ^= 1
    members[f"{OTHER}.parquet"] = bytes(content)


def rename(members: dict[str, bytes]) -> None:
    """Rename a table to another cell's name."""
    members[f"{PLAIN}.parquet"] = members.pop(f"{OTHER}.parquet")


def climb(members: dict[str, bytes]) -> None:
    """Add a member outside the folder."""
    members["../escaped.parquet"] = members[f"{OTHER}.parquet"]


def absolute(members: dict[str, bytes]) -> None:
    """Add a member at the root of the file system."""
    members["/escaped"] = b"x"


def below(members: dict[str, bytes]) -> None:
    """Move a table to a folder of the archive."""
    members[f"store/{OTHER}.parquet"] = members.pop(f"{OTHER}.parquet")


def add_unknown(members: dict[str, bytes]) -> None:
    """Add arrays that belong to no table."""
    members[f"{OTHER}.{'0' * 16}.safetensors"] = b"x"


def forge(members: dict[str, bytes]) -> None:
    """Add a table with a right digest that names a file of another folder."""
    files = {"arrays": "../../../../etc/passwd"}
    footer = FOOTER | {"key": PLAIN, "files": files}
    members[f"{PLAIN}.parquet"] = encode_table(FRAME, footer)


@pytest.mark.parametrize(
    "spoil",
    [
        drop_companion,
        flip_companion,
        flip_table,
        rename,
        climb,
        absolute,
        below,
        add_unknown,
        forge,
    ],
)
def test_bad_archives_write_nothing(
    store: Store,
    target: Store,
    tmp_path: Path,
    spoil: Callable[[dict[str, bytes]], None],
) -> None:
    """One bad member, and not one of the good ones is taken."""
    members = contents(store)
    spoil(members)
    before = sorted(tmp_path.rglob("*"))
    archive = packed(tmp_path / "bad.zip", members)
    with pytest.raises(StoreError) as caught:
        take(archive, target, theirs=True)
    assert str(archive) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, archive])


@pytest.mark.parametrize("what", ["text", "empty", "short", "bomb", "twice", "crc"])
def test_other_files_are_no_archives(
    store: Store, target: Store, tmp_path: Path, what: str
) -> None:
    """Nor are zip files that unpack to more than they are."""
    path = tmp_path / "other.zip"
    members = contents(store)
    if what == "bomb":
        packed(path, {f"{KEY}.parquet": bytes(10**6)}, zipfile.ZIP_DEFLATED)
    elif what == "twice":
        packed(path, members)
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(match="Duplicate"):
            archive.writestr(f"{KEY}.parquet", b"x")
    else:
        content = packed(path, members).read_bytes()
        path.write_bytes(
            {
                "text": b"hello",
                "empty": b"",
                "short": content[:-30],
                "crc": content[:200] + b"\0\1\2\3" + content[204:],
            }[what]
        )
    with pytest.raises(StoreError, match=r"other\.zip"):
        take(path, target)
    assert contents(target) == {}
    with pytest.raises(StoreError, match="must be an archive or a folder"):
        take(tmp_path / "none.zip", target)


def test_members_that_lie_on_each_other_are_refused(
    store: Store, target: Store, tmp_path: Path
) -> None:
    """Many names for the same bytes would grow as they are written."""
    content = store.table(OTHER).read_bytes()
    plain = packed(tmp_path / "plain.zip", {f"{OTHER}.parquet": content}).read_bytes()
    end = plain.rindex(b"PK\5\6")
    start = int.from_bytes(plain[end + 16 : end + 20], "little")
    entry = plain[start:end]
    many = b"".join(
        entry.replace(OTHER.encode(), f"{number:024x}".encode()) for number in range(20)
    )
    tail = bytearray(plain[end:])
    tail[8:12] = (20).to_bytes(2, "little") * 2
    tail[12:16] = len(many).to_bytes(4, "little")
    path = tmp_path / "many.zip"
    path.write_bytes(plain[:start] + many + bytes(tail))
    assert len(zipfile.ZipFile(io.BytesIO(path.read_bytes())).namelist()) == 20
    with pytest.raises(StoreError, match="another zip file"):
        take(path, target)


def spoil_name(content: bytes, header: bytes, flags: int, name: int) -> bytes:
    """Say that a name is UTF-8 that is not.

    Args:
        content: an archive.
        header: what the entry begins with that has the name.
        flags, name: where they stand in it.
    """
    spoilt, at = bytearray(content), content.index(header)
    spoilt[at + flags : at + flags + 2] = (1 << 11).to_bytes(2, "little")
    spoilt[at + name] = 0xFF
    return bytes(spoilt)


def move_member(content: bytes, offset: int) -> bytes:
    """Say in an entry of the kind for large archives where the first member lies."""
    spoilt, at = bytearray(content), content.index(b"PK\1\2")
    extra = struct.pack("<HHQ", 1, 8, offset)
    name = struct.unpack_from("<H", spoilt, at + 28)[0]
    struct.pack_into("<H", spoilt, at + 30, len(extra))
    struct.pack_into("<I", spoilt, at + 42, 2**32 - 1)
    spoilt[at + 46 + name : at + 46 + name] = extra
    end = spoilt.rindex(b"PK\5\6")
    length = struct.unpack_from("<I", spoilt, end + 12)[0] + len(extra)
    struct.pack_into("<I", spoilt, end + 12, length)
    return bytes(spoilt)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: spoil_name(content, b"PK\1\2", 8, 46),
        lambda content: spoil_name(content, b"PK\3\4", 6, 30),
        *(partial(move_member, offset=at) for at in (2**64 - 1, 2**63, 2**62, 7)),
        lambda content: content.replace(b"PK\1\2", b"PK\1\3"),
    ],
)
def test_headers_that_say_nonsense_are_refused(
    store: Store, target: Store, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    """Names that are no text, and members beyond any file, get a sentence."""
    path = packed(tmp_path / "bad.zip", contents(store))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(StoreError, match=r"bad\.zip must be"):
        take(path, target)
    assert contents(target) == {}


# ---- merging ----


def test_ours_stay_unless_theirs_are_wanted(store: Store, target: Store) -> None:
    """Cells that both have are counted, and replaced when that is asked for."""
    target.put(KEY, FRAME.assign(x=9.0), FOOTER, {"path": ARRAYS["path"] * 2})
    differences = {KEY: "step 0 of seed 0, x: 9 and 1.5, 0.83 apart"}
    assert merge(store, target) == ImportCounts(1, 0, 1, 0, differences)
    assert target.frame(KEY).x.tolist() == [9.0, 9.0]
    replaced = ImportCounts(0, 1, 0, 1, differences)
    assert merge(store, target, theirs=True) == replaced
    assert contents(target) == contents(store)


def test_damaged_cells_of_ours_are_replaced(store: Store, target: Store) -> None:
    """What cannot be read is not kept."""
    merge(store, target)
    target.table(OTHER).write_bytes(b"")
    assert merge(store, target) == ImportCounts(added=1, same=1)
    assert contents(target) == contents(store)


def test_damaged_cells_of_theirs_stop_all(store: Store, target: Store) -> None:
    """Nothing is taken from a store that is not in order."""
    store.table(OTHER).write_bytes(b"")
    with pytest.raises(StoreError, match="mmbench store check"):
        merge(store, target)
    assert contents(target) == {}


# ---- the schema before this one ----


def old_store(folder: Path, keys: tuple[str, ...] = (KEY, OTHER)) -> Store:
    """Cells as schema 2 had them: a table, and arrays under the bare key."""
    folder.mkdir()
    for key in keys:
        footer = FOOTER | {"schema": 2, "key": key, "arrays": sorted(ARRAYS)}
        table = pa.Table.from_pandas(FRAME, preserve_index=False)
        metadata = dict(table.schema.metadata) | {
            b"mmbench": json.dumps(footer).encode()
        }
        table = table.replace_schema_metadata(metadata)
        pq.write_table(table, folder / f"{key}.parquet", compression="zstd")
        save_file(ARRAYS, folder / f"{key}.safetensors")
    return Store(folder)


@pytest.mark.parametrize("place", ["another folder", "in place"])
def test_older_stores_are_brought_up_to_date(tmp_path: Path, place: str) -> None:
    """The numbers stay; what is old goes only where it is replaced."""
    old = old_store(tmp_path / "old")
    with pytest.raises(StoreError, match="mmbench store import"):
        old.frame(KEY)
    new = old if place == "in place" else Store(tmp_path / "new")
    assert merge(old, new) == ImportCounts(added=2)
    pd.testing.assert_frame_equal(new.frame(KEY), FRAME)
    np.testing.assert_array_equal(new.arrays(KEY)["path"], ARRAYS["path"])
    assert new.footer(KEY)["kept"] == "none"
    assert new.faults(KEY) == []
    assert (old.folder / f"{KEY}.safetensors").exists() == (place == "another folder")
    again = ImportCounts(same=2) if place == "in place" else ImportCounts(kept=2)
    assert merge(old, new) == again


@pytest.mark.parametrize("what", ["arrays", "table", "missing", "renamed"])
def test_older_stores_that_are_damaged_are_left_alone(
    tmp_path: Path, target: Store, what: str
) -> None:
    """Nothing is written, and what is wrong is named."""
    old = old_store(tmp_path / "old")
    arrays, table = old.folder / f"{OTHER}.safetensors", old.table(OTHER)
    if what == "arrays":
        arrays.write_bytes(arrays.read_bytes()[:20])
    elif what == "table":
        content = table.read_bytes()
        table.write_bytes(content[:4] + bytes(60) + content[64:])
    elif what == "missing":
        arrays.unlink()
    else:
        shutil.copy(old.table(KEY), table)
    with pytest.raises(StoreError, match=OTHER):
        merge(old, target)
    assert contents(target) == {}

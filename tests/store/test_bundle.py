"""Bundles: what a hostile one could do is refused before anything of it is used."""

import io
import json
import stat
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mmbench.core.errors import DamagedError, StoreError
from mmbench.store import bundle
from mmbench.store.bundle import MANIFEST, is_bundle, unpack, write_bundle

CLASSES = {"mine.py:Mine@0123456789abcdef": "source/0/mine.py:Mine"}
FILES = {
    "results.zip": b"results",
    "environment.json": b"[]",
    "source/0/mine.py": b"raise SystemExit",
    "source/0/package/part.py": b"",
    "tuning/trials.parquet": b"PAR1",
}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A bundle that is as it must be."""
    files = {}
    for name, content in FILES.items():
        files[name] = tmp_path / "files" / name
        files[name].parent.mkdir(parents=True, exist_ok=True)
        files[name].write_bytes(content)
    write_bundle(tmp_path / "a.zip", files, CLASSES, "0.2.0")
    return tmp_path / "a.zip"


def members_of(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def unpacked(file: Path) -> dict[str, bytes]:
    """What is written of a bundle."""
    folder = file.parent / "unpacked"
    folder.mkdir()
    unpack(file, folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_there_and_back(whole: Path, tmp_path: Path) -> None:
    """The members are the same, and the same files give the same bytes."""
    assert is_bundle(whole)
    assert unpacked(whole) == FILES | {MANIFEST: members_of(whole)[MANIFEST]}
    files = {name: tmp_path / "files" / name for name in reversed(FILES)}
    write_bundle(tmp_path / "b.zip", files, CLASSES, "0.2.0")
    assert (tmp_path / "b.zip").read_bytes() == whole.read_bytes()


def test_other_files_are_no_bundles(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", "")
    for name in ("text", "a.zip", "missing", "."):
        assert not is_bundle(tmp_path / name)
        with pytest.raises(StoreError):
            unpack(tmp_path / name, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def honest(members: dict[str, bytes]) -> bytes:
    """A manifest that names the members as they are."""
    manifest = json.loads(members[MANIFEST])
    manifest["members"] = {
        name: {"bytes": len(content), "sha256": sha256(content).hexdigest()}
        for name, content in members.items()
        if name != MANIFEST
    }
    return json.dumps(manifest).encode()


def written(file: Path, members: dict[str, bytes], **options: Any) -> Path:
    """Write members into a zip file that mmbench did not make."""
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


ESCAPING = (
    *("../escaped.py", "/escaped.py", "source/0/../../../escaped.py", "source//x.py"),
    *("source/0/..", "source/0/./x.py", "source/0/x\\..\\..\\y.py", "source/0/"),
)
STRANGE = (
    *("source/0/\x1b[2J.py", "source/0/a\nb.py", "source/0/\u202egpj.py"),
    *("tuning/a/b.json", "store/a.parquet", "source/mine.py", "source/a/b.py"),
    *(
        f"source/0/{'x' * 300}",
        "source/0/mine.py/below.py",
        "home/x",
        "manifest.json/x",
    ),
)


@pytest.mark.parametrize("name", [*ESCAPING, *STRANGE])
def test_names_that_leave_the_folder_or_hide_something(whole: Path, name: str) -> None:
    """They are refused though the manifest names them, and shown escaped."""
    members = members_of(whole) | {name: b"x"}
    members[MANIFEST] = honest(members)
    hostile = written(whole.with_name("b.zip"), members)
    before = set(whole.parent.rglob("*"))
    with pytest.raises(StoreError, match="must be a bundle") as caught:
        unpacked(hostile)
    assert set("\x1b\n\u202e").isdisjoint(str(caught.value))
    assert set(whole.parent.rglob("*")) - before == {whole.with_name("unpacked")}


def test_a_name_that_ends_at_a_zero_byte(whole: Path) -> None:
    """zipfile cuts such a name; another tool may not."""
    members = members_of(whole) | {"source/0/x.py0hidden": b"x"}
    members[MANIFEST] = honest(members)
    written(whole, members)
    content = whole.read_bytes().replace(b"x.py0hidden", b"x.py\0hidden")
    whole.write_bytes(content)
    with pytest.raises(StoreError, match="no plain name"):
        unpacked(whole)


def test_links_are_refused(whole: Path) -> None:
    """So are pipes and devices."""
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFDIR):
        hostile = whole.with_name(f"{kind}.zip")
        with zipfile.ZipFile(hostile, "w") as archive:
            for name, content in members_of(whole).items():
                info = zipfile.ZipInfo(name)
                if name.startswith("source"):
                    info.external_attr = (kind | 0o777) << 16
                archive.writestr(info, content)
        with pytest.raises(StoreError, match="is a link or another special file"):
            unpack(hostile, whole.with_name("folder"))


def test_members_twice(whole: Path) -> None:
    """The second one would take the place of the first."""
    members = members_of(whole)
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("source/0/mine.py", b"another")
    with pytest.raises(StoreError, match="another zip file"):
        unpacked(whole)


def test_bombs(whole: Path) -> None:
    """What is compressed is refused, and what would be larger than the file."""
    members = members_of(whole) | {"source/0/zeros": bytes(10**7)}
    members[MANIFEST] = honest(members)
    bomb = written(whole.with_name("b.zip"), members, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 10**5
    with pytest.raises(StoreError, match="another zip file"):
        unpacked(bomb)
    # The same member under many names, whose bytes overlap.
    overlapping = io.BytesIO()
    with zipfile.ZipFile(overlapping, "w") as archive:
        for name, content in members_of(whole).items():
            archive.writestr(name, content)
        archive.writestr("source/0/large", bytes(10**5))
        (large,) = (one for one in archive.infolist() if one.file_size == 10**5)
        for number in range(50):
            info = zipfile.ZipInfo(f"source/0/{number}")
            for field in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(info, field, getattr(large, field))
            archive.filelist.append(info)
    whole.write_bytes(overlapping.getvalue())
    with pytest.raises(StoreError, match="another zip file"):
        unpack(whole, whole.with_name("folder"))


def test_a_size_that_is_not_the_real_one(whole: Path) -> None:
    """Of every byte in the directory of the archive, whatever it says then."""
    content = whole.read_bytes()
    start = content.rfind(b"PK\x01\x02")  # the entry of the last member
    expected = {**FILES, MANIFEST: members_of(whole)[MANIFEST]}
    for at in range(start, len(content)):
        changed = bytearray(content)
        changed[at] ^= 0x41
        whole.write_bytes(changed)
        folder = whole.with_name(f"folder{at}")
        folder.mkdir()
        try:
            unpack(whole, folder)
        except StoreError:
            continue
        for name, member in expected.items():
            assert (folder / name).read_bytes() == member


def test_too_many_members(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_MEMBERS", 5)
    with pytest.raises(StoreError, match="at most 5 members; it has 6"):
        unpacked(whole)


def test_a_manifest_that_lies(whole: Path) -> None:
    """Of the bytes of a member, or of the members that there are."""
    members = members_of(whole)
    written(whole, members | {"source/0/mine.py": b"other"})
    with pytest.raises(DamagedError, match="its source/0/mine.py has other bytes"):
        unpacked(whole)
    written(whole, members | {"source/0/more.py": b""})
    with pytest.raises(StoreError, match="'source/0/more.py' is not named"):
        unpack(whole, whole.with_name("folder"))
    del members["tuning/trials.parquet"]
    written(whole, members)
    with pytest.raises(StoreError, match="'tuning/trials.parquet' is missing"):
        unpack(whole, whole.with_name("folder"))


def changed(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    """Change the values of a manifest."""

    def spoil(content: bytes) -> bytes:
        manifest = json.loads(content)
        change(manifest)
        return json.dumps(manifest).encode()

    return spoil


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda _: b"[" * 10**6, "nests deeper than 200"),
        (lambda _: b'{"a":' * 10**5 + b"1" + b"}" * 10**5, "nests deeper than 200"),
        (lambda _: b"[" * 300 + b"]" * 300, "nests deeper than 200"),
        (lambda _: b"1" * 5000, "must be JSON"),
        (lambda content: content[:-1] + b',"bundle":1}', "named twice"),
        (lambda _: b"\xff", "must be JSON"),
        (lambda _: b"[]", "must be a JSON object"),
        (lambda content: content + b" " * bundle.MAX_MANIFEST_BYTES, "more than"),
        (changed(lambda one: one.update(bundle=2)), "bundle must be from 1 to 1"),
        (changed(lambda one: one.update(bundle=True)), "bundle must be"),
        (changed(lambda one: one.pop("members")), "must have the entry members"),
        (changed(lambda one: one["members"].update(a=1)), "members.a must be"),
        (
            changed(lambda one: one["members"]["results.zip"].update(sha256="0")),
            "members.results.zip.sha256 must be",
        ),
        (
            changed(lambda one: one["classes"].update({"a.py:A@0": "/a.py:A"})),
            "'a.py:A@0' has none",
        ),
        (
            changed(
                lambda one: one["classes"].update({"a.py:A@0": "source/0/mine.py:A"})
            ),
            "'a.py:A@0' has none",
        ),
        (
            changed(lambda one: one["classes"].update({"a.py:A@0": "source/0/a.py:A"})),
            "'a.py:A@0' has none",
        ),
    ],
)
def test_a_manifest_that_does_not_fit(
    whole: Path, spoil: Callable[[bytes], bytes], found: str
) -> None:
    """It is refused with one sentence, and nothing else was read."""
    members = members_of(whole)
    members[MANIFEST] = spoil(members[MANIFEST])
    written(whole, members)
    with pytest.raises(StoreError, match=found) as caught:
        unpacked(whole)
    assert "must have a manifest of a bundle" in str(caught.value)
    assert not list(whole.with_name("unpacked").iterdir())


def test_a_bundle_is_not_written_of_what_could_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    for name in ("source/0/../x", "x"):
        files = {"results.zip": tmp_path / "x", name: tmp_path / "x"}
        with pytest.raises(StoreError, match="plain names"):
            write_bundle(tmp_path / "a.zip", files, {}, "0")
    assert not (tmp_path / "a.zip").exists()

"""Inception's weights: only the published file, converted once."""

import hashlib
import json
import pickle

import pytest
import torch
from inception_weights import publish, torch_bytes

from mmbench.core.errors import DataError
from mmbench.metrics import _inception_file
from mmbench.metrics._inception_file import fetch, find_weights, read

SMALL = {"a.conv.weight": (2, 3, 1, 1), "a.bn.weight": (2,)}


def small_tensors():
    """Return tensors of the small shapes."""
    return {name: torch.randn(shape) for name, shape in SMALL.items()}


@pytest.mark.parametrize("zipped", [True, False])
def test_the_published_file_is_converted_once(
    inception_cache, tmp_path, monkeypatch, zipped
):
    """Both formats of torch are converted, without counters, and read back."""
    tensors = small_tensors()
    counted = {**tensors, "a.bn.num_batches_tracked": torch.tensor(3)}
    content = torch_bytes(counted, _use_new_zipfile_serialization=zipped)
    source = publish(tmp_path, monkeypatch, content)
    assert find_weights() is None
    path = fetch(SMALL, source)
    assert path == find_weights()
    assert path.parent == inception_cache / "inception"
    source.unlink()
    got = read(SMALL)
    assert set(got) == set(SMALL)
    assert all(torch.equal(got[name], tensors[name]) for name in SMALL)
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(list(path.parent.iterdir())) == 2


def test_the_folder_of_data_comes_first(inception_cache, tmp_path, monkeypatch):
    """The weights in MMBENCH_DATA are used instead of those in the cache."""
    source = publish(tmp_path, monkeypatch, torch_bytes(small_tensors()))
    made = fetch(SMALL, source)
    moved = tmp_path / "data" / "inception"
    moved.parent.mkdir()
    made.parent.rename(moved)
    with pytest.raises(DataError, match="must lie in"):
        read(SMALL)
    monkeypatch.setenv("MMBENCH_DATA", str(moved.parent))
    assert find_weights() == moved / made.name
    assert set(read(SMALL)) == set(SMALL)


class _Code:
    """An object whose pickle runs code."""

    def __reduce__(self):
        return (print, ("opened",))


def test_a_wrong_checksum_is_refused_before_the_file_is_opened(
    inception_cache, tmp_path, monkeypatch
):
    """The loader is never called."""
    path = tmp_path / "wrong.pth"
    path.write_bytes(torch_bytes(small_tensors()))

    def opened(*_, **__):
        raise AssertionError("opened")

    monkeypatch.setattr(_inception_file.torch, "load", opened)
    with pytest.raises(DataError, match=r"wrong\.pth must have the SHA-256 6726825d"):
        fetch(SMALL, path)
    assert not inception_cache.exists()


DANGEROUS = {
    "pickle with code": pickle.dumps(_Code(), 2),
    "torch file with code": torch_bytes({"a.bn.weight": _Code()}),
    "cut": torch_bytes(small_tensors())[:-200],
    "cut, old format": torch_bytes(
        small_tensors(), _use_new_zipfile_serialization=False
    )[:-20],
    "empty": b"",
    "text": b"this is no file of torch",
    "a list": torch_bytes([torch.zeros(2)]),
}


@pytest.mark.parametrize("kind", DANGEROUS)
def test_even_a_known_file_runs_no_code(
    inception_cache, tmp_path, monkeypatch, capsys, kind
):
    """The restricted loader refuses code even if the checksum is right."""
    source = publish(tmp_path, monkeypatch, DANGEROUS[kind])
    with pytest.raises(DataError, match=r"published\.pth must hold tensors by name"):
        fetch(SMALL, source)
    assert "opened" not in capsys.readouterr().out
    assert not inception_cache.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a.bn.weight": torch.zeros(3)}, r"got 2, where a\.bn\.weight has the shape"),
        ({"b": torch.zeros(3)}, "got 3, where b has the shape"),
    ],
)
def test_other_tensors_are_refused(
    inception_cache, tmp_path, monkeypatch, change, message
):
    """Tensors with other names or shapes are refused."""
    source = publish(tmp_path, monkeypatch, torch_bytes({**small_tensors(), **change}))
    with pytest.raises(DataError, match=message):
        fetch(SMALL, source)


def flip(path):
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def rewrite(path):
    """Change the checksum of the original in the record."""
    record = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**record, "original_sha256": ""}))


DAMAGE = {
    "flipped bit": (flip, "must have the SHA-256 in .*json"),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:50]), "must have the SHA-256"),
    "no record": (lambda p: p.with_suffix(".json").unlink(), "must be a file that can"),
    "empty record": (
        lambda p: p.with_suffix(".json").write_text("{}"),
        "must hold the checksums",
    ),
    "other original": (rewrite, "must have the SHA-256 .* made from pt_inception"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_results_are_refused(inception_cache, tmp_path, monkeypatch, kind):
    """Each read compares the file with the checksum in the same folder."""
    damage, message = DAMAGE[kind]
    path = fetch(SMALL, publish(tmp_path, monkeypatch, torch_bytes(small_tensors())))
    damage(path)
    with pytest.raises(DataError, match=message):
        read(SMALL)


def test_an_unwritable_cache_is_reported(inception_cache, tmp_path, monkeypatch):
    """A file in place of the folder is an error."""
    inception_cache.write_bytes(b"")
    source = publish(tmp_path, monkeypatch, torch_bytes(small_tensors()))
    with pytest.raises(DataError, match="must be a file that can be written"):
        fetch(SMALL, source)


def test_a_failed_download_is_reported(inception_cache, monkeypatch):
    """The message names the address and the remedy."""
    requests = []

    def retrieve(url, *, known_hash, **_):
        requests.append((url, known_hash))
        raise ConnectionError("no route to host")

    monkeypatch.setattr(_inception_file.pooch, "retrieve", retrieve)
    with pytest.raises(DataError, match=r"no route to host.* give it with --from"):
        fetch(SMALL)
    assert requests == [
        (_inception_file.ORIGINAL_URL, f"sha256:{_inception_file.ORIGINAL_SHA256}")
    ]

"""Inception: the published shape, TensorFlow's resize, and only the right weights."""

import hashlib
import io
import json
import pickle

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional

from mmbench.cli import main
from mmbench.core.errors import DataError
from mmbench.metrics import _inception, _inception_file
from mmbench.metrics._inception import Inception, forward, load, resized, shapes
from mmbench.metrics._inception_blocks import NETWORK, Fork, Unit
from mmbench.metrics._inception_file import fetch, kept, read

# ---- the network ----

# The published list: units of each block, each a convolution and its batch norm.
_A = "1x1 5x5_1 5x5_2 3x3dbl_1 3x3dbl_2 3x3dbl_3 _pool"
_C = "1x1 7x7_1 7x7_2 7x7_3 7x7dbl_1 7x7dbl_2 7x7dbl_3 7x7dbl_4 7x7dbl_5 _pool"
_E = "1x1 3x3_1 3x3_2a 3x3_2b 3x3dbl_1 3x3dbl_2 3x3dbl_3a 3x3dbl_3b _pool"
PUBLISHED = {
    **{f"5{letter}": _A for letter in "bcd"},
    "6a": "3x3 3x3dbl_1 3x3dbl_2 3x3dbl_3",
    **{f"6{letter}": _C for letter in "bcde"},
    "7a": "3x3_1 3x3_2 7x7x3_1 7x7x3_2 7x7x3_3 7x7x3_4",
    "7b": _E,
    "7c": _E,
}
STEM = ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")
KINDS = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
PUBLISHED_BYTES = 95_628_359  # of the file


def random_weights(chosen=None):
    """Weights of the right shapes that keep the size of a signal."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in shapes().items():
        if chosen is not None and not name.startswith(chosen):
            continue
        drawn = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            weights[name] = drawn * (2 / torch.Size(shape[1:]).numel()) ** 0.5
        elif name.endswith("running_var"):
            weights[name] = 1 + drawn.abs() / 10
        elif name.endswith("bn.weight"):
            weights[name] = 1 + drawn / 10
        else:
            weights[name] = drawn / 10
    return weights


@pytest.fixture(scope="module")
def network():
    """The network with drawn weights."""
    return Inception(random_weights(), "none")


def test_the_names_are_the_published_ones():
    """Five tensors for each of 94 units, and two of the last layer."""
    units = [f"Conv2d_{name}" for name in STEM]
    for block, names in PUBLISHED.items():
        units += [f"Mixed_{block}.branch{name}" for name in names.split()]
    assert len(units) == 94
    expected = {f"{unit}.{kind}" for unit in units for kind in KINDS}
    assert set(shapes()) == expected | {"fc.weight", "fc.bias"}


def test_the_size_is_that_of_the_published_file():
    """Four bytes a number, and a little for the names."""
    numbers = sum(torch.Size(shape).numel() for shape in shapes().values())
    assert 0 < PUBLISHED_BYTES - 4 * numbers < 100_000


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("Conv2d_1a_3x3.conv.weight", (32, 3, 3, 3)),
        ("Conv2d_4a_3x3.conv.weight", (192, 80, 3, 3)),
        ("Mixed_5b.branch_pool.conv.weight", (32, 192, 1, 1)),
        ("Mixed_5d.branch5x5_2.conv.weight", (64, 48, 5, 5)),
        ("Mixed_6a.branch3x3.conv.weight", (384, 288, 3, 3)),
        ("Mixed_6b.branch7x7_2.conv.weight", (128, 128, 1, 7)),
        ("Mixed_6c.branch7x7dbl_4.conv.weight", (160, 160, 7, 1)),
        ("Mixed_7a.branch7x7x3_4.conv.weight", (192, 192, 3, 3)),
        ("Mixed_7b.branch1x1.conv.weight", (320, 1280, 1, 1)),
        ("Mixed_7c.branch3x3dbl_3b.conv.weight", (384, 384, 3, 1)),
        ("Mixed_7c.branch_pool.bn.running_var", (192,)),
        ("fc.weight", (1008, 2048)),
    ],
)
def test_shapes_are_the_published_ones(name, shape):
    """Spot checks across all kinds of block."""
    assert shapes()[name] == shape


def test_signals_have_the_known_sizes(network):
    """Channels and sides after each block, from the papers' tables."""
    signal = torch.zeros(1, 3, 299, 299)
    sizes = []
    for step in NETWORK:
        signal = forward(network.weights, (step,), signal)
        sizes.append(tuple(signal.shape[1:3]))
    assert sizes == [
        (32, 149),
        (32, 147),
        (64, 147),
        (64, 73),
        (80, 73),
        (192, 71),
        (192, 35),
        (256, 35),
        (288, 35),
        (288, 35),
        (768, 17),
        (768, 17),
        (768, 17),
        (768, 17),
        (768, 17),
        (1280, 8),
        (2048, 8),
        (2048, 8),
    ]


def unit(weights, name, signal, **options):
    """A convolution, a batch norm and the positive part, written out."""
    signal = functional.conv2d(signal, weights[f"{name}.conv.weight"], **options)
    scale, shift, mean, variance = (
        weights[f"{name}.bn.{kind}"][:, None, None]
        for kind in ("weight", "bias", "running_mean", "running_var")
    )
    return ((signal - mean) / (variance + 0.001).sqrt() * scale + shift).clamp(min=0)


def average(signal):
    """The mean over 3 x 3 of those pixels that are inside."""
    kernel = torch.ones(1, 1, 3, 3)
    ones = torch.ones(1, 1, *signal.shape[2:])
    inside = functional.conv2d(ones, kernel, padding=1)
    flat = signal.flatten(0, 1)[:, None]
    summed = functional.conv2d(flat, kernel, padding=1).reshape(signal.shape)
    return summed / inside


def block(name):
    """The step that holds that block."""
    for step in NETWORK:
        if isinstance(step, Fork):
            first = step.branches[0][0]
            if isinstance(first, Unit) and first.name.startswith(name):
                return step
    raise AssertionError(name)


def test_an_early_block_is_as_published():
    """Four branches; the average does not count the zeros outside."""
    name = "Mixed_5b"
    weights = random_weights(name)
    signal = torch.randn(2, 192, 9, 9, generator=torch.Generator().manual_seed(1))

    def one(branch, at, **options):
        return unit(weights, f"{name}.branch{branch}", at, **options)

    triple = one("3x3dbl_2", one("3x3dbl_1", signal), padding=1)
    expected = torch.cat(
        (
            one("1x1", signal),
            one("5x5_2", one("5x5_1", signal), padding=2),
            one("3x3dbl_3", triple, padding=1),
            one("_pool", average(signal)),
        ),
        1,
    )
    got = forward(weights, (block(name),), signal)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    counted = functional.avg_pool2d(signal, 3, 1, 1)
    assert (one("_pool", counted) - got[:, -32:]).abs().max() > 0.01  # the control


@pytest.mark.parametrize("name", ["Mixed_7b", "Mixed_7c"])
def test_the_last_blocks_are_as_published(name):
    """Forks within branches; an average in the first, a maximum in the second."""
    weights = random_weights(name)
    channels = 1280 if name == "Mixed_7b" else 2048
    signal = torch.randn(1, channels, 4, 4, generator=torch.Generator().manual_seed(1))

    def one(branch, at, **options):
        return unit(weights, f"{name}.branch{branch}", at, **options)

    def split(stem, at):
        flat = one(f"{stem}a", at, padding=(0, 1))
        return torch.cat((flat, one(f"{stem}b", at, padding=(1, 0))), 1)

    pooled = (
        average(signal)
        if name == "Mixed_7b"
        else functional.max_pool2d(signal, 3, 1, 1)
    )
    double = one("3x3dbl_2", one("3x3dbl_1", signal), padding=1)
    expected = torch.cat(
        (
            one("1x1", signal),
            split("3x3_2", one("3x3_1", signal)),
            split("3x3dbl_3", double),
            one("_pool", pooled),
        ),
        1,
    )
    got = forward(weights, (block(name),), signal)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_features_and_logits_have_the_known_widths(network):
    """2048 and 1008; the logits leave the bias out; grey is equal colours."""
    generator = torch.Generator().manual_seed(2)
    grey = torch.randint(256, (2, 1, 28, 28), generator=generator, dtype=torch.uint8)
    features, logits = network.features_and_logits(grey)
    assert features.shape == (2, 2048)
    assert logits.shape == (2, 1008)
    assert features.dtype == logits.dtype == torch.float32
    assert features.std() > 0.01
    torch.testing.assert_close(logits, features @ network.weights["fc.weight"].T)
    colour = grey.repeat(1, 3, 1, 1)
    torch.testing.assert_close(network.features(colour), features)
    torch.testing.assert_close(network.probabilities(grey).sum(1), torch.ones(2))


# ---- the resize ----


def tensorflow_resize(image, side):
    """TensorFlow 1's bilinear resize, a pixel at a time."""
    height, width = image.shape
    rows, columns = np.float32(height / side), np.float32(width / side)
    out = np.empty((side, side), np.float32)
    for i in range(side):
        y = np.float32(i) * rows
        top, down = int(y), np.float32(y - int(y))
        bottom = min(top + 1, height - 1)
        for j in range(side):
            x = np.float32(j) * columns
            left, along = int(x), np.float32(x - int(x))
            right = min(left + 1, width - 1)
            above = image[top, left] + (image[top, right] - image[top, left]) * along
            below = image[bottom, left]
            below = below + (image[bottom, right] - image[bottom, left]) * along
            out[i, j] = above + (below - above) * down
    return out


@pytest.mark.parametrize("size", [(32, 32), (28, 20), (5, 1), (299, 299), (310, 400)])
def test_the_resize_is_tensorflows(size):
    """To the last bit, whether it enlarges, keeps or shrinks."""
    generator = torch.Generator().manual_seed(3)
    image = torch.randint(256, (1, 1, *size), generator=generator).float()
    expected = tensorflow_resize(image[0, 0].numpy(), 299)
    assert np.array_equal(resized(image)[0, 0].numpy(), expected)


def test_the_resize_is_not_the_usual_one():
    """Half pixels would move a 32 x 32 image by four target pixels."""
    ramp = torch.arange(32.0).expand(1, 1, 32, 32)
    usual = functional.interpolate(
        ramp, (299, 299), mode="bilinear", align_corners=False
    )
    got = resized(ramp)
    assert got[0, 0, 0, 0] == 0
    assert got[0, 0, 0, 28] == pytest.approx(28 * 32 / 299, rel=1e-6)
    middle = (got - usual)[..., 20:250]
    assert middle.min() == pytest.approx(0.5 - 16 / 299, abs=1e-4)


# ---- the file ----


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no folder of data."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(_inception_file.pooch, "os_cache", lambda _: folder)
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    _inception._loaded.cache_clear()
    yield folder
    _inception._loaded.cache_clear()


SMALL = {"a.conv.weight": (2, 3, 1, 1), "a.bn.weight": (2,)}


def published(tmp_path, monkeypatch, content):
    """A file with that content, taken for the published one."""
    path = tmp_path / "published.pth"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(_inception_file, "ORIGINAL_SHA256", digest)
    return path


def saved(found, **options):
    """Bytes as torch writes them."""
    buffer = io.BytesIO()
    torch.save(found, buffer, **options)
    return buffer.getvalue()


def small():
    """Tensors of the small shapes."""
    return {name: torch.randn(shape) for name, shape in SMALL.items()}


@pytest.mark.parametrize("zipped", [True, False])
def test_the_published_file_is_converted_once(cache, tmp_path, monkeypatch, zipped):
    """Both of torch's formats; counters are left out; the result reads back."""
    tensors = small()
    counted = {**tensors, "a.bn.num_batches_tracked": torch.tensor(3)}
    content = saved(counted, _use_new_zipfile_serialization=zipped)
    source = published(tmp_path, monkeypatch, content)
    assert kept() is None
    path = fetch(SMALL, source)
    assert path == kept()
    assert path.parent == cache / "inception"
    source.unlink()
    got = read(SMALL)
    assert set(got) == set(SMALL)
    assert all(torch.equal(got[name], tensors[name]) for name in SMALL)
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(list(path.parent.iterdir())) == 2


def test_the_folder_of_data_comes_first(cache, tmp_path, monkeypatch):
    """What MMBENCH_DATA has is taken, and the cache is not looked at."""
    source = published(tmp_path, monkeypatch, saved(small()))
    made = fetch(SMALL, source)
    moved = tmp_path / "data" / "inception"
    moved.parent.mkdir()
    made.parent.rename(moved)
    with pytest.raises(DataError, match="must lie in"):
        read(SMALL)
    monkeypatch.setenv("MMBENCH_DATA", str(moved.parent))
    assert kept() == moved / made.name
    assert set(read(SMALL)) == set(SMALL)


def test_the_whole_network_loads(cache, tmp_path, monkeypatch):
    """All 472 tensors, frozen, once for a device, with the original's checksum."""
    weights = random_weights()
    source = published(tmp_path, monkeypatch, saved(weights))
    fetch(shapes(), source)
    network = load()
    assert network is load(torch.device("cpu"))
    assert network.sha256 == _inception.ORIGINAL_SHA256
    assert network.sha256.startswith("6726825d")
    assert all(torch.equal(network.weights[name], weights[name]) for name in weights)
    assert not any(one.requires_grad for one in network.weights.values())


def test_without_weights_the_sentence_says_what_would_do(cache):
    """The places are named, and the command."""
    with pytest.raises(DataError, match=r"inception; got none there\. Run mmbench fea"):
        load()


class _Code:
    """What a malicious pickle would do."""

    def __reduce__(self):
        return (print, ("opened",))


def test_a_wrong_checksum_is_refused_before_the_file_is_opened(
    cache, tmp_path, monkeypatch
):
    """Nothing of the file reaches a loader."""
    path = tmp_path / "wrong.pth"
    path.write_bytes(saved(small()))

    def opened(*_, **__):
        raise AssertionError("opened")

    monkeypatch.setattr(_inception_file.torch, "load", opened)
    with pytest.raises(DataError, match=r"wrong\.pth must have the SHA-256 6726825d"):
        fetch(SMALL, path)
    assert not cache.exists()


DANGEROUS = {
    "pickle with code": pickle.dumps(_Code(), 2),
    "torch file with code": saved({"a.bn.weight": _Code()}),
    "cut": saved(small())[:-200],
    "cut, old format": saved(small(), _use_new_zipfile_serialization=False)[:-20],
    "empty": b"",
    "text": b"this is no file of torch",
    "a list": saved([torch.zeros(2)]),
}


@pytest.mark.parametrize("kind", DANGEROUS)
def test_even_a_known_file_runs_no_code(cache, tmp_path, monkeypatch, capsys, kind):
    """With its checksum taken for the right one, the restricted loader refuses."""
    source = published(tmp_path, monkeypatch, DANGEROUS[kind])
    with pytest.raises(DataError, match=r"published\.pth must hold tensors by name"):
        fetch(SMALL, source)
    assert "opened" not in capsys.readouterr().out
    assert not cache.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"a.bn.weight": torch.zeros(3)}, r"got 2, where a\.bn\.weight has the shape"),
        ({"b": torch.zeros(3)}, "got 3, where b has the shape"),
    ],
)
def test_other_tensors_are_refused(cache, tmp_path, monkeypatch, change, said):
    """Names and shapes must be the published ones."""
    source = published(tmp_path, monkeypatch, saved({**small(), **change}))
    with pytest.raises(DataError, match=said):
        fetch(SMALL, source)


def flip(path):
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def rewrite(path):
    """Name another original."""
    record = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**record, "original_sha256": ""}))


DAMAGE = {
    "flipped bit": (flip, "must have the SHA-256 that stands in"),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:50]), "must have the SHA-256"),
    "no record": (lambda p: p.with_suffix(".json").unlink(), "must be a file that can"),
    "empty record": (
        lambda p: p.with_suffix(".json").write_text("{}"),
        "must hold the checksums",
    ),
    "other original": (rewrite, "must have the SHA-256 .* made from pt_inception"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_results_are_refused(cache, tmp_path, monkeypatch, kind):
    """The checksum beside the file is compared at every reading."""
    damage, said = DAMAGE[kind]
    path = fetch(SMALL, published(tmp_path, monkeypatch, saved(small())))
    damage(path)
    with pytest.raises(DataError, match=said):
        read(SMALL)


def test_a_cache_that_cannot_be_written_is_told(cache, tmp_path, monkeypatch):
    """A file in the place of the folder ends in one sentence."""
    cache.write_bytes(b"")
    source = published(tmp_path, monkeypatch, saved(small()))
    with pytest.raises(DataError, match="must be a file that can be written"):
        fetch(SMALL, source)


def test_without_a_network_the_download_is_told(cache, monkeypatch):
    """The address is named, and what to do."""
    asked = []

    def retrieve(url, *, known_hash, **_):
        asked.append((url, known_hash))
        raise ConnectionError("no route to host")

    monkeypatch.setattr(_inception_file.pooch, "retrieve", retrieve)
    with pytest.raises(DataError, match=r"no route to host.* give it with --from"):
        fetch(SMALL)
    assert asked == [
        (_inception_file.ORIGINAL_URL, f"sha256:{_inception_file.ORIGINAL_SHA256}")
    ]


def test_the_command_refuses_a_wrong_file(cache, tmp_path):
    """Exit code 2 and one sentence."""
    path = tmp_path / "wrong.pth"
    path.write_bytes(b"wrong")
    words = ["features", "fetch", "inception", "--from", str(path)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "must have the SHA-256 6726825d" in result.stderr

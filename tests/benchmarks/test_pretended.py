"""Steps on a pretended CUDA device: no two devices mixed, few questions of the host."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from mmbench.core.placement import Placement
from mmbench.core.streams import Stream
from mmbench.engine.chunk import Chunk
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import arithmetic

ROOT = Path(__file__).parents[2]
# Looks of the host at the device in 16 steps and the record after them, and copies
# between the two. They may fall, never rise.
GAN = "four_gaussians[hidden=8,noise=4,batch=8]"
IMAGES = "digits01[hidden=8,noise=4,batch=4]"
AT_MOST = {
    ("bilinear", "gda"): (0, 4),
    ("bilinear", "gda[step_size=2.0]"): (0, 7),
    ("bilinear", "cgd"): (16, 4),
    ("quadratic", "acgd"): (16, 4),
    ("bilinear", "stackelberg"): (16, 4),
    (GAN, "gda"): (0, 11),
}
AT_MOST_SLOW = {
    ("bilinear", "alternating_gda"): (0, 4),
    ("quadratic", "sga"): (0, 4),
    ("dirac_gan", "gda[direction=adam]"): (0, 4),
    (GAN, "gda[direction=adam]"): (0, 11),
    (GAN, "extragradient[direction=adam]"): (0, 11),
    (GAN, "alternating_gda[direction=adam,k=2]"): (0, 19),
    (GAN, "cgd"): (35, 11),
    (GAN, "acgd"): (33, 11),
    (GAN, "unrolled"): (0, 11),
    (GAN, "accept_reject"): (0, 40),
    (IMAGES, "gda[direction=adam]"): (12, 7),
    (IMAGES, "acgd"): (62, 7),
}


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the pretended device."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.device.pretended")


def check_counts(pretended: ModuleType, pair: tuple[str, str]) -> None:
    """Compute a pair on both devices: equal bits and counts, no more looks."""
    cell = pretended.small_cell(*pair)
    there = pretended.counted(cell)
    recording = Recording(cell, cell.seeds)
    with arithmetic():
        chunk = Chunk(cell, Placement(), len(cell.seeds), recording, None)
        chunk.compute(lambda *_: None)
    assert torch.equal(there.z, chunk.z)
    assert there.recording.status == recording.status
    assert there.recording.stopped_at.tolist() == recording.stopped_at.tolist()
    for before, after in zip(recording.counts, there.recording.counts, strict=True):
        assert {name: before[name].tolist() for name in before} == {
            name: after[name].tolist() for name in after
        }
    looks, copies = (AT_MOST | AT_MOST_SLOW)[pair]
    assert there.looks <= looks
    assert there.copies <= copies


@pytest.mark.parametrize("pair", AT_MOST, ids="-".join)
def test_few_questions(pretended: ModuleType, pair: tuple[str, str]) -> None:
    """Methods that are quick to compute."""
    check_counts(pretended, pair)


@pytest.mark.slow
@pytest.mark.parametrize("pair", AT_MOST_SLOW, ids="-".join)
def test_few_questions_of_networks(
    pretended: ModuleType, pair: tuple[str, str]
) -> None:
    """Methods on networks."""
    check_counts(pretended, pair)


def test_draws_ahead_are_the_same(pretended: ModuleType) -> None:
    """Runs drawn in threads have the numbers of the CPU, from a snapshot as well."""
    seeds = tuple(range(5))

    def draw(generator: torch.Generator, count: int) -> tuple[torch.Tensor, ...]:
        normal = torch.randn(count, 3, generator=generator)
        return normal, torch.randint(9, (count,), generator=generator)

    def stream(device: torch.device) -> Stream:
        return Stream(seeds, "data", draw, 4, device)

    here = stream(torch.device("cpu"))
    taken = [[one.tolist() for one in here.next()] for _ in range(14)]
    with pretended.pretended_device():
        there = stream(pretended.CUDA)
        for number, expected in enumerate(taken):
            if number == 6:  # within a chunk, while the next one is drawn
                saved, there = there.snapshot(), stream(pretended.CUDA)
                there.restore(saved)
            drawn = there.next()
            assert drawn[0].device == pretended.CUDA
            assert [one.tolist() for one in drawn] == expected


def test_every_printed_pair_has_its_numbers(pretended: ModuleType) -> None:
    """The table that is printed is the table that is checked."""
    assert set(pretended.PAIRS) == AT_MOST.keys() | AT_MOST_SLOW.keys()


def test_two_devices_are_an_error(pretended: ModuleType) -> None:
    """A tensor of the device beside one of the CPU, unless it is a number."""
    with pretended.pretended_device():
        there = torch.ones(2, device=pretended.CUDA)
        assert (there + torch.tensor(1.0)).tolist() == [2.0, 2.0]
        with pytest.raises(RuntimeError, match="two devices, cuda:0 and cpu"):
            there + torch.ones(2)


def test_what_is_counted(pretended: ModuleType) -> None:
    """Looks at numbers and shapes, copies in both directions, operations but views."""
    with pretended.pretended_device() as device:
        there = torch.ones(3).to(pretended.CUDA).requires_grad_()
        (gradient,) = torch.autograd.grad((there * there)[1:].sum(), there)
        assert gradient.device == pretended.CUDA
        assert device.counts["looks"] == 0
        assert bool((gradient > 1).any())
        assert len(gradient.nonzero()) == 2
        assert gradient[gradient > 0].tolist() == [2.0, 2.0]
        assert (device.counts["looks"], device.counts["copies"]) == (3, 2)

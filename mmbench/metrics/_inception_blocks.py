"""The blocks of Inception v3 in TensorFlow's graph of 2015, as a table.

Units have the names of the published weights. The steps of a chain run one after
another; the branches of a fork run on the same signal.

Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna 2016, Rethinking the Inception
    Architecture for Computer Vision.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple


class Unit(NamedTuple):
    """A convolution without bias, a batch norm and a ReLU.

    Args:
        name: name in the published weights.
        channels: number of output channels.
        kernel: height and width of the kernel.
        stride: stride along both axes.
        same: whether zero padding keeps the size of the image at stride 1.
    """

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    same: bool = True


class Pool(NamedTuple):
    """Average or max pooling over 3 x 3.

    Args:
        kind: quantity that is pooled.
        stride: stride along both axes: 1 pads and keeps the size, 2 does not pad.
    """

    kind: Literal["average", "maximum"]
    stride: int


class Fork(NamedTuple):
    """Branches that run on the same signal; their output channels are concatenated."""

    branches: tuple[tuple["Unit | Pool | Fork", ...], ...]


Step = Unit | Pool | Fork

_HALVE = Pool("maximum", 2)


# The blocks have the letters of the paper's architecture.


def _a(name: str, pooled: int) -> Fork:
    return Fork(
        (
            (Unit(f"{name}.branch1x1", 64),),
            (
                Unit(f"{name}.branch5x5_1", 48),
                Unit(f"{name}.branch5x5_2", 64, (5, 5)),
            ),
            (
                Unit(f"{name}.branch3x3dbl_1", 64),
                Unit(f"{name}.branch3x3dbl_2", 96, (3, 3)),
                Unit(f"{name}.branch3x3dbl_3", 96, (3, 3)),
            ),
            (Pool("average", 1), Unit(f"{name}.branch_pool", pooled)),
        )
    )


def _b(name: str) -> Fork:
    return Fork(
        (
            (Unit(f"{name}.branch3x3", 384, (3, 3), 2, same=False),),
            (
                Unit(f"{name}.branch3x3dbl_1", 64),
                Unit(f"{name}.branch3x3dbl_2", 96, (3, 3)),
                Unit(f"{name}.branch3x3dbl_3", 96, (3, 3), 2, same=False),
            ),
            (_HALVE,),
        )
    )


def _c(name: str, inner: int) -> Fork:
    return Fork(
        (
            (Unit(f"{name}.branch1x1", 192),),
            (
                Unit(f"{name}.branch7x7_1", inner),
                Unit(f"{name}.branch7x7_2", inner, (1, 7)),
                Unit(f"{name}.branch7x7_3", 192, (7, 1)),
            ),
            (
                Unit(f"{name}.branch7x7dbl_1", inner),
                Unit(f"{name}.branch7x7dbl_2", inner, (7, 1)),
                Unit(f"{name}.branch7x7dbl_3", inner, (1, 7)),
                Unit(f"{name}.branch7x7dbl_4", inner, (7, 1)),
                Unit(f"{name}.branch7x7dbl_5", 192, (1, 7)),
            ),
            (Pool("average", 1), Unit(f"{name}.branch_pool", 192)),
        )
    )


def _d(name: str) -> Fork:
    return Fork(
        (
            (
                Unit(f"{name}.branch3x3_1", 192),
                Unit(f"{name}.branch3x3_2", 320, (3, 3), 2, same=False),
            ),
            (
                Unit(f"{name}.branch7x7x3_1", 192),
                Unit(f"{name}.branch7x7x3_2", 192, (1, 7)),
                Unit(f"{name}.branch7x7x3_3", 192, (7, 1)),
                Unit(f"{name}.branch7x7x3_4", 192, (3, 3), 2, same=False),
            ),
            (_HALVE,),
        )
    )


def _e(name: str, kind: Literal["average", "maximum"]) -> Fork:
    def split(stem: str) -> Fork:
        return Fork(
            (
                (Unit(f"{name}.{stem}a", 384, (1, 3)),),
                (Unit(f"{name}.{stem}b", 384, (3, 1)),),
            )
        )

    return Fork(
        (
            (Unit(f"{name}.branch1x1", 320),),
            (Unit(f"{name}.branch3x3_1", 384), split("branch3x3_2")),
            (
                Unit(f"{name}.branch3x3dbl_1", 448),
                Unit(f"{name}.branch3x3dbl_2", 384, (3, 3)),
                split("branch3x3dbl_3"),
            ),
            (Pool(kind, 1), Unit(f"{name}.branch_pool", 192)),
        )
    )


NETWORK: tuple[Step, ...] = (
    Unit("Conv2d_1a_3x3", 32, (3, 3), 2, same=False),
    Unit("Conv2d_2a_3x3", 32, (3, 3), same=False),
    Unit("Conv2d_2b_3x3", 64, (3, 3)),
    _HALVE,
    Unit("Conv2d_3b_1x1", 80),
    Unit("Conv2d_4a_3x3", 192, (3, 3), same=False),
    _HALVE,
    _a("Mixed_5b", 32),
    _a("Mixed_5c", 64),
    _a("Mixed_5d", 64),
    _b("Mixed_6a"),
    _c("Mixed_6b", 128),
    _c("Mixed_6c", 160),
    _c("Mixed_6d", 160),
    _c("Mixed_6e", 192),
    _d("Mixed_7a"),
    _e("Mixed_7b", "average"),
    _e("Mixed_7c", "maximum"),  # as in the graph; the paper has an average here
)


def unit_shapes(
    chain: tuple[Step, ...], channels: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and the shape of each of the published weights of a chain.

    Args:
        chain: steps, such as `NETWORK`.
        channels: number of input channels.
    """
    for step in chain:
        if isinstance(step, Unit):
            yield f"{step.name}.conv.weight", (step.channels, channels, *step.kernel)
            for name in ("weight", "bias", "running_mean", "running_var"):
                yield f"{step.name}.bn.{name}", (step.channels,)
        elif isinstance(step, Fork):
            for branch in step.branches:
                yield from unit_shapes(branch, channels)
        channels = _channels(step, channels)


def _channels(step: Step, channels: int) -> int:
    """Return the number of output channels of a step."""
    if isinstance(step, Unit):
        return step.channels
    if isinstance(step, Pool):
        return channels
    total = 0
    for branch in step.branches:
        inner = channels
        for inner_step in branch:
            inner = _channels(inner_step, inner)
        total += inner
    return total

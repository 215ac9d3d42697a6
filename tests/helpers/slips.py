"""A file of a user with one slip in each class; line numbers are part of the tests."""

from pathlib import Path

ALGORITHMS = '''"""Classes with one slip each."""
from dataclasses import dataclass

import torch

from mmbench import Algorithm, Capability, Column, Cost, Game, IterateMetric, Target
from mmbench import Task, TrajectoryMetric


@dataclass(frozen=True, kw_only=True)
class Good(Algorithm):
    cost = Cost(grad_x=1, grad_y=1)

    def step(self, oracle, z, state):
        return z - 0.1 * oracle.field(z), state


class Misspelt(Good):
    def step(self, oracle, z, state):
        return z - oracle.feild(z), state  # feild


class ForgetsState(Good):
    def step(self, oracle, z, state):  # forgets
        return z - oracle.field(z)


class ReturnsNothing(Good):
    def step(self, oracle, z, state):  # nothing
        z - oracle.field(z)


class WrongShape(Good):
    def step(self, oracle, z, state):  # shape
        return z[:, :1], state


class NumPy(Good):
    def step(self, oracle, z, state):  # array
        return z.numpy(), state


class OtherState(Good):
    def init(self, oracle, z):
        return (z,)

    def step(self, oracle, z, state):  # other state
        return z, ()


class DictState(Good):
    def step(self, oracle, z, state):  # dict
        return z, {"z": z}


class BadInit(Good):
    def init(self, oracle, z):  # init
        return 3


class BadDone(Good):
    def done(self, state):  # done
        return True


class FewArguments(Good):
    def step(self, oracle, z):  # arguments
        return z


class NoProperty(Good):
    def cost(self):  # cost
        return Cost(grad_x=1)


class CostNumber(Good):
    cost = 2


class NeedsText(Good):
    needs = {"zero-sum"}


class NeedsOne(Good):
    needs = Capability.ZERO_SUM


class SourceText(Good):
    source = "my paper"


class VersionText(Good):
    version = "2"


@dataclass(frozen=True, kw_only=True)
class Most(IterateMetric):
    columns = (Column("mx", "maximum"),)

    def measure(self, at):
        return {"mx": at.z.abs().amax(1)}


class GivesTensor(Most):
    def measure(self, at):  # tensor
        return at.z.abs().amax(1)


class OtherColumn(Most):
    def measure(self, at):  # column
        return {"my": at.z.abs().amax(1)}


class GivesNumber(Most):
    def measure(self, at):  # number
        return {"mx": 1.0}


class TextColumns(Most):
    columns = ("max",)


class NoColumns(Most):
    columns = ()


class FormulaColumn(Most):
    columns = (Column("=1+1", "maximum"),)


class OddProtocol(Most):
    protocol = {"bound": torch.ones(1)}


@dataclass(frozen=True, kw_only=True)
class Mean(TrajectoryMetric):
    of = "distance"
    columns = (Column("mean", "mean"),)

    def summarise(self, steps, values):  # mean
        return {"mean": values.mean()}


class Play(Game):
    def __init__(self, placement):
        self.dim_x = self.dim_y = 1
        self.device, self.dtype = placement.device, placement.dtype

    def losses(self, x, y, sample, *, train=True):
        f = (x * y).sum(1)
        return f, -f


@dataclass(frozen=True, kw_only=True)
class Fine(Task):
    gives = frozenset({Capability.ZERO_SUM})
    metrics = ("field_norm",)
    game = Play

    def build(self, placement):
        return self.game(placement)

    def start(self, game, generator):
        return torch.randn(2, generator=generator, dtype=game.dtype)


class BuildsNothing(Fine):
    def build(self, placement):  # build
        Play(placement)


class Raises(Fine):
    def build(self, placement):
        return 1 / 0  # zero


class StartsMany(Fine):
    def start(self, game, generator):  # start
        return torch.randn(1, 2)


class OneLoss(Fine):
    class game(Play):
        def losses(self, x, y, sample, *, train=True):  # one loss
            return (x * y).sum(1)


class ScalarLoss(Fine):
    class game(Play):
        def losses(self, x, y, sample, *, train=True):  # scalar
            f = (x * y).sum()
            return f, -f


class NoLoss(Fine):
    class game(Play):
        def losses(self, x, y, sample, *, train=True):  # no loss
            (x * y).sum()


class NoTrain(Fine):
    class game(Play):
        def losses(self, x, y, sample):  # train
            f = (x * y).sum(1)
            return f, -f


class NoLengths(Fine):
    class game(Play):
        def __init__(self, placement):
            self.device, self.dtype = placement.device, placement.dtype


class NoDistance(Fine):
    gives = frozenset({Capability.ZERO_SUM, Capability.SOLUTION})
    metrics = ("distance",)


class GivesText(Fine):
    gives = ["ZERO_SUM"]


class MetricsText(Fine):
    metrics = "field_norm"


class FlatTarget(Fine):
    target = Target("field_norm", at_most=("field_norm", 1e-3))


class OtherTarget(Fine):
    target = Target("field_norm", at_most=(("feild", 1e-3),))


class PairTarget(Fine):
    target = ("field_norm", 1e-3)


class NoWidth(Fine):
    width = 0


class NoLimit(Fine):
    limit = -1.0
'''


def write_slips(folder: Path) -> Path:
    """Write the file and return its path."""
    path = folder / "slips.py"
    path.write_text(ALGORITHMS)
    return path


def line_of(comment: str) -> int:
    """Return the number of the line that ends with a comment."""
    lines = ALGORITHMS.splitlines()
    (found,) = [
        at for at, line in enumerate(lines, 1) if line.endswith(f"  # {comment}")
    ]
    return found

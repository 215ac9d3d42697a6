"""Accept-reject against a slow, plain version of one run, written from its text."""

import copy
from typing import Any

import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.accept_reject import AcceptReject, AcceptRejectState
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.streams import Stream, chunk_length
from mmbench.core.vectors import keep
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task
from mmbench.testing.tools import PLACEMENT, equal, start_runs, tensors

NET = "four_gaussians[hidden=6,noise=3,batch=8]"
DROPPING = "digits01[hidden=6,noise=3,batch=8,loss=saturating]"
GENERAL = "four_gaussians[hidden=6,noise=3,batch=8,loss=nonsaturating]"
STEPS = 30


class Plain:
    """One run, one step after the other, with torch's own Adam for each player."""

    def __init__(self, algorithm: AcceptReject, task: Task, seed: int) -> None:
        self.told, self.game = algorithm, task.build(PLACEMENT)
        self.data = Stream(
            (seed,),
            "data",
            self.game.draw,
            chunk_length(self.game.sample_size),
            self.game.device,
        )
        self.coin = Oracle(OracleState(self.game, (seed,)))
        x, y = Oracle(OracleState(self.game, (seed,))).split(
            start_runs(task, (seed,))[1]
        )
        self.x, self.y = (one.clone().requires_grad_() for one in (x, y))
        rates = algorithm.step_size
        self.of_x, self.of_y = (
            torch.optim.Adam([player], lr=rate, betas=(0.5, 0.999), eps=1e-8)
            for player, rate in zip((self.x, self.y), rates, strict=True)
        )
        self.reference, self.time, self.accepted = None, 0, []

    def grants(self) -> bool:
        """Whether this step is accepted untested."""
        law = self.told.acceptance
        if type(law).__name__ == "Every":
            return self.time % law.r == 0
        return bool(self.coin.uniform() < law.p)

    def loss(self, player: int, sample: Any, train: bool = True) -> torch.Tensor:
        """One player's loss here."""
        return self.game.losses(self.x, self.y, sample, train=train)[player].sum()

    def gradient(self, player: int, sample: Any) -> float:
        """Gradient of one player, left where its optimiser looks; and f."""
        loss = self.loss(player, sample)
        mine = (self.x, self.y)[player]
        (mine.grad,) = torch.autograd.grad(loss, mine)
        return -loss.item()

    def payoff(self, sample: Any) -> float:
        """f, without dropout."""
        with torch.no_grad():
            return -self.loss(1, sample, train=False).item()

    def saved(self) -> tuple:
        """Both players and both optimisers as they are."""
        optimisers = (self.of_x, self.of_y)
        states = [copy.deepcopy(one.state_dict()) for one in optimisers]
        return self.x.detach().clone(), self.y.detach().clone(), *states

    def restore(self, saved: tuple) -> None:
        """Both players and both optimisers as they were."""
        x, y, of_x, of_y = saved
        with torch.no_grad():
            self.x.copy_(x)
            self.y.copy_(y)
        self.of_x.load_state_dict(of_x)
        self.of_y.load_state_dict(of_y)

    def step(self) -> None:
        """One iteration."""
        untested = self.grants()
        rule = self.notebook if self.told.rule == "notebook" else self.text
        self.accepted.append(rule(untested, self.data.next()))
        self.time += 1

    def text(self, untested: bool, sample: Any) -> bool:
        """As published."""
        before = self.saved()
        self.gradient(0, sample)
        self.of_x.step()
        for _ in range(self.told.k):
            self.gradient(1, self.data.next())
            self.of_y.step()
        value, after = self.payoff(self.data.next()), self.saved()
        if self.told.reference == "reestimate":
            self.restore(before)
            self.reference = self.payoff(self.data.next())
            self.restore(after)
        if untested or self.reference is None or value < self.reference:
            self.reference = value
            return True
        self.restore(before)
        return False

    def notebook(self, untested: bool, sample: Any) -> bool:
        """As in the authors' notebook."""
        x_before = self.x.detach().clone()
        self.gradient(0, sample)
        value = self.gradient(1, sample)
        self.of_x.step()
        self.of_y.step()
        for _ in range(self.told.k - 1):
            value = self.gradient(1, self.data.next())
            self.of_y.step()
        fell = self.reference is not None and value < self.reference
        self.reference = value
        if fell and not untested:
            with torch.no_grad():
                self.x.copy_(x_before)
            return False
        return True

    def moments(self) -> list[torch.Tensor]:
        """First and second moments of x, then of y."""
        found = []
        for optimiser, player in ((self.of_x, self.x), (self.of_y, self.y)):
            state = optimiser.state[player]
            zeros = torch.zeros_like(player)  # before the first accepted step
            names = ("exp_avg", "exp_avg_sq", "step")
            found += [
                state.get(one, zeros[:, :1] if one == "step" else zeros).double()
                for one in names
            ]
        return found


@pytest.mark.parametrize(
    ("options", "game"),
    [
        ("rule=text,k=3", NET),
        ("rule=text,k=3", DROPPING),
        ("rule=text,k=1,acceptance=constant[p=0]", GENERAL),
        ("rule=text,k=2,acceptance=every[r=5]", NET),
        ("rule=text,k=2,reference=reestimate", DROPPING),
        ("rule=notebook,k=3,acceptance=every[r=4]", NET),
        ("rule=notebook,k=1,acceptance=constant[p=0]", DROPPING),
        ("rule=notebook,k=2", GENERAL),
    ],
)
def test_batched_runs_follow_the_plain_ones(options: str, game: str) -> None:
    """Iterates, moments, references and decisions of every run, over thirty steps."""
    algorithm = ALGORITHMS.build(
        f"accept_reject[step_size=(0.02,0.01),direction=adam[beta1=0.5],{options}]"
    )
    task, seeds = TASKS.build(game), (0, 4, 9)
    plain = [Plain(algorithm, task, seed) for seed in seeds]
    oracle, z = start_runs(task, seeds)
    state, decided = algorithm.init(oracle, z), set()
    for _ in range(STEPS):
        before = state.rejected
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
        for run, one in enumerate(plain):
            one.step()
            accepted = bool(state.rejected[run] == before[run])
            assert accepted == one.accepted[-1]
            decided.add(accepted)
            mine = torch.cat((one.x, one.y), dim=1).detach()
            torch.testing.assert_close(z[run : run + 1], mine, rtol=1e-7, atol=1e-9)
            assert state.reference[run].item() == pytest.approx(one.reference, rel=1e-7)
            assert state.time[run] == one.time
            for ours, theirs in zip(tensors(state.moments), one.moments(), strict=True):
                torch.testing.assert_close(
                    ours[run].reshape(-1), theirs.reshape(-1), rtol=1e-6, atol=1e-9
                )
    assert decided == {True, False}, "the test must see both decisions"


@pytest.mark.parametrize("game", ["bilinear", NET])
@pytest.mark.parametrize("reference", ["keep", "reestimate"])
def test_rejection_restores_everything(game: str, reference: str) -> None:
    """By the text rule a rejected step leaves x, y and all moments bit for bit."""
    algorithm = ALGORITHMS.build(
        f"accept_reject[direction=adam,acceptance=constant[p=0],reference={reference}]"
    )
    oracle, z = start_runs(TASKS.build(game))
    state = algorithm.init(oracle, z)
    for _ in range(3):  # moments that are not zero
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
    stubborn = state._replace(reference=torch.full_like(state.reference, -torch.inf))
    if reference == "reestimate":
        oracle = _Unbeatable(OracleState(oracle._game, oracle._state.seeds))
    oracle.resample()
    moved, after = algorithm.step(oracle, z, stubborn)
    assert torch.equal(moved, z)
    assert equal(tensors(after.moments), tensors(state.moments))
    assert torch.equal(after.rejected, state.rejected + 1)
    assert torch.equal(after.time, state.time + 1)


class _Unbeatable(Oracle):
    """An oracle whose second value is below every first one."""

    asked = 0

    def payoff(self, z: torch.Tensor, **options: Any) -> torch.Tensor:
        """The value of a proposal, and then one that it does not beat."""
        self.asked += 1
        value = super().payoff(z, **options)
        return value if self.asked == 1 else value - 1e6


def test_reference_is_kept_on_rejection() -> None:
    """A rejected value is forgotten: the next must beat the old one."""
    algorithm = ALGORITHMS.build("accept_reject[acceptance=constant[p=0]]")
    oracle, z = start_runs(TASKS.build("bilinear"))
    state = algorithm.init(oracle, z)
    low = state._replace(reference=torch.full_like(state.reference, -1e9))
    _, after = algorithm.step(oracle, z, low)
    assert torch.equal(after.reference, low.reference)


@pytest.mark.parametrize(("rule", "rejected"), [("text", 3), ("notebook", 0)])
def test_a_value_that_stays_has_not_fallen(rule: str, rejected: int) -> None:
    """At the solution f stays: the text rejects what has not fallen, the notebook
    only what has.
    """
    algorithm = ALGORITHMS.build(f"accept_reject[rule={rule},acceptance=constant[p=0]]")
    oracle, z = start_runs(TASKS.build("bilinear"))
    z = torch.zeros_like(z)
    state = algorithm.init(oracle, z)
    for _ in range(4):  # the first has nothing to beat
        z, state = algorithm.step(oracle, z, state)
    assert state.rejected.eq(rejected).all()


def test_notebook_rejection_restores_x_only() -> None:
    """By the notebook rule y and moments go on, and the reference is overwritten."""
    algorithm = ALGORITHMS.build(
        "accept_reject[direction=adam,rule=notebook,acceptance=constant[p=0]]"
    )
    oracle, z = start_runs(TASKS.build(NET))
    state = algorithm.init(oracle, z)
    high = state._replace(reference=torch.full_like(state.reference, 1e9))
    oracle.resample()
    moved, after = algorithm.step(oracle, z, high)
    (x, y), (old_x, old_y) = oracle.split(moved), oracle.split(z)
    assert torch.equal(x, old_x)
    assert (y != old_y).any(dim=1).all()
    assert all(bool(one.any()) for one in tensors(after.moments))
    assert (after.reference < 1e9).all()
    assert after.rejected.eq(1).all()


@pytest.mark.parametrize(
    ("words", "low", "high"),
    [
        ("constant[p=0]", 0.0, 0.0),
        ("constant[p=1]", 1.0, 1.0),
        ("constant[p=0.25]", 0.2, 0.3),
        ("annealed[floor=4,scale=1000000]", 0.15, 0.25),
        ("annealed[floor=4,scale=1]", 0.0, 0.01),
        ("every[r=4]", 0.25, 0.25),
    ],
)
def test_share_of_untested_steps(words: str, low: float, high: float) -> None:
    """Laws grant as often as they say; annealed ones at late times rarely."""
    law = ALGORITHMS.nested[1].build(words)
    oracle, z = start_runs(TASKS.build("bilinear"), tuple(range(50)))
    granted = []
    for t in range(40):
        late = 20 if "scale=1]" in words else 0
        time = torch.full((len(z),), t + late, dtype=torch.int64)
        granted.append(law.grants(oracle, time).double())
    share = torch.stack(granted).mean().item()
    assert low <= share <= high


def test_every_begins_with_the_first_step() -> None:
    """Steps 0, r, 2r, ... are untested."""
    law = ALGORITHMS.nested[1].build("every[r=3]")
    oracle, _ = start_runs(TASKS.build("bilinear"), tuple(range(7)))
    expected = [True, False, False, True, False, False, True]
    assert law.grants(oracle, torch.arange(7)).tolist() == expected


def test_notebook_has_no_reference_policy() -> None:
    """The notebook rule refuses what it would not use."""
    with pytest.raises(ValueError, match="must be left out with rule=notebook"):
        ALGORITHMS.build("accept_reject[rule=notebook,reference=reestimate]")


def test_states_nest() -> None:
    """`keep` reaches the moments of both directions."""
    algorithm = ALGORITHMS.build("accept_reject[direction=adam]")
    oracle, z = start_runs(TASKS.build("bilinear"))
    state = algorithm.init(oracle, z)
    _, new = algorithm.step(oracle, z, state)
    on = torch.tensor([True, False, True])
    kept = keep(on, new, state)
    assert isinstance(kept, AcceptRejectState)
    for one, fresh, old in zip(
        tensors(kept), tensors(new), tensors(state), strict=True
    ):
        assert torch.equal(one[on], fresh[on])
        assert torch.equal(one[~on], old[~on])

"""Accept-reject against a slow, simple version of one run, written from its text."""

import copy
import math
from typing import Any

import pytest
import torch

from mmbench.algorithms import ACCEPTANCES, ALGORITHMS
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


class SingleRun:
    """A single run, with an Adam of torch for each player."""

    def __init__(self, algorithm: AcceptReject, task: Task, seed: int) -> None:
        self.algorithm, self.game = algorithm, task.build(PLACEMENT)
        self.data = Stream(
            (seed,),
            "data",
            self.game.draw,
            chunk_length(self.game.sample_size),
            self.game.device,
        )
        self.oracle = Oracle(OracleState(self.game, (seed,)))
        x, y = Oracle(OracleState(self.game, (seed,))).split(
            start_runs(task, (seed,))[1]
        )
        self.x, self.y = (player.clone().requires_grad_() for player in (x, y))
        rates = algorithm.step_size
        self.of_x, self.of_y = (
            torch.optim.Adam([player], lr=rate, betas=(0.5, 0.999), eps=1e-8)
            for player, rate in zip((self.x, self.y), rates, strict=True)
        )
        by_rule = "higher" if algorithm.rule == "notebook" else "lower"
        self.is_higher = (algorithm.better or by_rule) == "higher"
        self.reference = -math.inf if self.is_higher else math.inf
        self.time, self.accepted = 0, []

    def accepts_untested(self) -> bool:
        """Return whether this step is accepted untested."""
        law = self.algorithm.acceptance
        if type(law).__name__ == "Every":
            return self.time % law.r == 0
        return bool(self.oracle.uniform() < law.p)

    def loss(self, player: int, sample: Any, train: bool = True) -> torch.Tensor:
        """Return the loss of one player at the current point."""
        return self.game.losses(self.x, self.y, sample, train=train)[player].sum()

    def gradient(self, player: int, sample: Any) -> float:
        """Set the gradient of one player for its optimiser, and return f."""
        loss = self.loss(player, sample)
        variables = (self.x, self.y)[player]
        (variables.grad,) = torch.autograd.grad(loss, variables)
        return -loss.item()

    def payoff(self, sample: Any) -> float:
        """Return f, without dropout."""
        with torch.no_grad():
            return -self.loss(1, sample, train=False).item()

    def saved(self) -> tuple:
        """Return a copy of both players and both optimisers."""
        optimisers = (self.of_x, self.of_y)
        states = [copy.deepcopy(optimiser.state_dict()) for optimiser in optimisers]
        return self.x.detach().clone(), self.y.detach().clone(), *states

    def restore(self, saved: tuple) -> None:
        """Return to a copy of both players and both optimisers."""
        x, y, of_x, of_y = saved
        with torch.no_grad():
            self.x.copy_(x)
            self.y.copy_(y)
        self.of_x.load_state_dict(of_x)
        self.of_y.load_state_dict(of_y)

    def step(self) -> None:
        """Make one step."""
        untested = self.accepts_untested()
        rule = self.notebook if self.algorithm.rule == "notebook" else self.text
        self.accepted.append(rule(untested, self.data.next()))
        self.time += 1

    def text(self, untested: bool, sample: Any) -> bool:
        """Make a step as published, and return whether it is accepted."""
        before = self.saved()
        self.gradient(0, sample)
        self.of_x.step()
        for _ in range(self.algorithm.k):
            self.gradient(1, self.data.next())
            self.of_y.step()
        value, after = self.payoff(self.data.next()), self.saved()
        if self.algorithm.reference == "reestimate":
            self.restore(before)
            self.reference = self.payoff(self.data.next())
            self.restore(after)
        return self.end(untested, value, before, overwrite=False)

    def notebook(self, untested: bool, sample: Any) -> bool:
        """Make a step as in the authors' notebook; return whether it is accepted."""
        before = self.saved()
        self.gradient(0, sample)
        value = self.gradient(1, sample)
        self.of_x.step()
        self.of_y.step()
        for _ in range(self.algorithm.k - 1):
            value = self.gradient(1, self.data.next())
            self.of_y.step()
        return self.end(untested, value, before, overwrite=True)

    def end(self, untested: bool, value: float, before: tuple, overwrite: bool) -> bool:
        """Keep or undo a proposal, and return whether it is kept.

        Args:
            untested: whether it is kept without a test.
            value: its f.
            before: what `saved` returned before the step.
            overwrite: whether the rule overwrites the reference in any case.
        """
        it = self.algorithm
        if it.chance is not None:
            passes = bool(self.oracle.uniform() < it.chance)
        else:
            falls = value < self.reference
            passes = not falls if self.is_higher else falls
        accepted = untested or passes
        if accepted or (overwrite if it.overwrite is None else it.overwrite):
            self.reference = value
        if not accepted:
            restored = it.restore or ("x" if it.rule == "notebook" else "all")
            if restored == "all":
                self.restore(before)
            else:
                with torch.no_grad():
                    self.x.copy_(before[0])
                    if restored == "players":
                        self.y.copy_(before[1])
        return accepted

    def moments(self) -> list[torch.Tensor]:
        """Return the moments of x, then of y, in the order of Adam's state."""
        found = []
        for optimiser, player in ((self.of_x, self.x), (self.of_y, self.y)):
            state = optimiser.state[player]
            zeros = torch.zeros_like(player)  # before the first accepted step
            names = ("exp_avg", "exp_avg_sq", "step")
            found += [
                state.get(name, zeros[:, :1] if name == "step" else zeros).double()
                for name in names
            ]
        return found


@pytest.mark.parametrize(
    ("options", "game"),
    [
        ("rule=text,k=3", NET),
        pytest.param("rule=text,k=3", DROPPING, marks=pytest.mark.slow),
        pytest.param(
            "rule=text,k=2,reference=reestimate", DROPPING, marks=pytest.mark.slow
        ),
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in (
                ("rule=notebook,k=2", GENERAL),
                ("rule=text,k=1,acceptance=constant[p=0]", GENERAL),
                ("rule=text,k=2,acceptance=every[r=5]", NET),
                ("rule=notebook,k=3,acceptance=every[r=4]", NET),
                ("rule=notebook,k=1,acceptance=constant[p=0]", DROPPING),
                ("rule=notebook,k=2,better=lower", NET),
                ("rule=notebook,k=2,overwrite=false,acceptance=every[r=4]", NET),
                ("rule=notebook,k=2,restore=all", NET),
                ("rule=notebook,k=2,restore=players,acceptance=every[r=4]", NET),
                ("rule=notebook,k=2,chance=0.5,acceptance=every[r=4]", NET),
                ("rule=text,k=2,better=higher", NET),
                ("rule=text,k=2,overwrite=true", NET),
                ("rule=text,k=2,restore=x", NET),
                ("rule=text,k=1,reference=reestimate,restore=players", DROPPING),
                ("rule=text,k=2,chance=0.3", NET),
            )
        ),
    ],
)
def test_batched_runs_equal_single_runs(options: str, game: str) -> None:
    """Iterates, moments, references and decisions agree over thirty steps."""
    algorithm = ALGORITHMS.build(
        f"accept_reject[step_size=(0.02,0.01),direction=adam[beta1=0.5],{options}]"
    )
    task, seeds = TASKS.build(game), (0, 4, 9)
    single_runs = [SingleRun(algorithm, task, seed) for seed in seeds]
    oracle, z = start_runs(task, seeds)
    state, decided = algorithm.init(oracle, z), set()
    for _ in range(STEPS):
        before = state.rejected
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
        for run, single in enumerate(single_runs):
            single.step()
            accepted = bool(state.rejected[run] == before[run])
            assert accepted == single.accepted[-1]
            decided.add(accepted)
            expected = torch.cat((single.x, single.y), dim=1).detach()
            torch.testing.assert_close(z[run : run + 1], expected, rtol=1e-7, atol=1e-9)
            assert state.reference[run].item() == pytest.approx(
                single.reference, rel=1e-7
            )
            assert state.time[run] == single.time
            for ours, theirs in zip(
                tensors(state.moments), single.moments(), strict=True
            ):
                torch.testing.assert_close(
                    ours[run].reshape(-1), theirs.reshape(-1), rtol=1e-6, atol=1e-9
                )
    assert decided == {True, False}, "the test must see both decisions"


@pytest.mark.parametrize("game", ["bilinear", NET])
@pytest.mark.parametrize("reference", ["keep", "reestimate"])
def test_rejection_restores_everything(game: str, reference: str) -> None:
    """By the text rule a rejected step changes no bit of x, y and the moments."""
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
    """An oracle whose second value is below the first one."""

    calls = 0

    def payoff(self, z: torch.Tensor, **options: Any) -> torch.Tensor:
        """Return the value of a proposal, and then one that is lower."""
        self.calls += 1
        value = super().payoff(z, **options)
        return value if self.calls == 1 else value - 1e6


def test_reference_is_kept_on_rejection() -> None:
    """The value of a rejected proposal does not become the reference."""
    algorithm = ALGORITHMS.build("accept_reject[acceptance=constant[p=0]]")
    oracle, z = start_runs(TASKS.build("bilinear"))
    state = algorithm.init(oracle, z)
    low = state._replace(reference=torch.full_like(state.reference, -1e9))
    _, after = algorithm.step(oracle, z, low)
    assert torch.equal(after.reference, low.reference)


@pytest.mark.parametrize(("rule", "rejected"), [("text", 3), ("notebook", 0)])
def test_an_unchanged_value_has_not_fallen(rule: str, rejected: int) -> None:
    """The text rule rejects an unchanged f; the notebook rule accepts it."""
    algorithm = ALGORITHMS.build(f"accept_reject[rule={rule},acceptance=constant[p=0]]")
    oracle, z = start_runs(TASKS.build("bilinear"))
    z = torch.zeros_like(z)
    state = algorithm.init(oracle, z)
    for _ in range(4):  # the first is always accepted
        z, state = algorithm.step(oracle, z, state)
    assert state.rejected.eq(rejected).all()


def test_notebook_rejection_restores_x_only() -> None:
    """By the notebook rule y, moments and reference change in a rejected step."""
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
    assert all(bool(tensor.any()) for tensor in tensors(after.moments))
    assert (after.reference < 1e9).all()
    assert after.rejected.eq(1).all()


@pytest.mark.parametrize(
    ("spec", "low", "high"),
    [
        ("constant[p=0]", 0.0, 0.0),
        ("constant[p=1]", 1.0, 1.0),
        ("constant[p=0.25]", 0.2, 0.3),
        ("annealed[floor=4,scale=1000000]", 0.15, 0.25),
        ("annealed[floor=4,scale=1]", 0.0, 0.01),
        ("every[r=4]", 0.25, 0.25),
    ],
)
def test_share_of_untested_steps(spec: str, low: float, high: float) -> None:
    """The share of untested steps is that of the law."""
    law = ACCEPTANCES.build(spec)
    oracle, z = start_runs(TASKS.build("bilinear"), tuple(range(50)))
    accepted = []
    for t in range(40):
        late = 20 if "scale=1]" in spec else 0
        time = torch.full((len(z),), t + late, dtype=torch.int64)
        accepted.append(law.accepts(oracle, time).double())
    share = torch.stack(accepted).mean().item()
    assert low <= share <= high


@pytest.mark.parametrize(
    ("time", "probability"),
    [(0, 1 / 3), (2, 1 / (2 + math.exp(0.25))), (4, 1 / (2 + math.e)), (8, 1 / 56.6)],
)
def test_the_annealed_law(
    time: int, probability: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """p = 1 / (floor + exp((t / scale)²)), at t of zero, half, one and two scales."""
    law = ACCEPTANCES.build("annealed[floor=2,scale=4]")
    drawn = torch.tensor([0.999 * probability, 1.001 * probability])
    oracle, _ = start_runs(TASKS.build("bilinear"), (0, 1))
    monkeypatch.setattr(oracle, "uniform", lambda: drawn)
    assert law.accepts(oracle, torch.tensor([time, time])).tolist() == [True, False]


def test_every_begins_with_the_first_step() -> None:
    """The steps 0, r, 2r, ... are untested."""
    law = ACCEPTANCES.build("every[r=3]")
    oracle, _ = start_runs(TASKS.build("bilinear"), tuple(range(7)))
    expected = [True, False, False, True, False, False, True]
    assert law.accepts(oracle, torch.arange(7)).tolist() == expected


def test_notebook_rule_refuses_a_reference() -> None:
    """The notebook rule refuses the option that it does not use."""
    with pytest.raises(ValueError, match="must be left out with rule=notebook"):
        ALGORITHMS.build("accept_reject[rule=notebook,reference=reestimate]")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("chance=0.5,better=lower", "better must be left out with a chance"),
        ("reference=reestimate,overwrite=true", "overwrite must be left out"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options: str, sentence: str) -> None:
    """An option that the others leave without effect is refused."""
    with pytest.raises(ValueError, match=sentence):
        ALGORITHMS.build(f"accept_reject[{options}]")


def test_states_may_be_nested() -> None:
    """`keep` selects rows in the moments of both directions."""
    algorithm = ALGORITHMS.build("accept_reject[direction=adam]")
    oracle, z = start_runs(TASKS.build("bilinear"))
    state = algorithm.init(oracle, z)
    _, new = algorithm.step(oracle, z, state)
    on = torch.tensor([True, False, True])
    kept = keep(on, new, state)
    assert isinstance(kept, AcceptRejectState)
    for got, fresh, old in zip(
        tensors(kept), tensors(new), tensors(state), strict=True
    ):
        assert torch.equal(got[on], fresh[on])
        assert torch.equal(got[~on], old[~on])

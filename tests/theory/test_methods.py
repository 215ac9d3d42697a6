"""Identities between methods, and hand recursions."""

from itertools import pairwise

import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.acgd import ACGDState
from mmbench.algorithms.base import needs_of
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.tasks import TASKS
from mmbench.tasks.bilinear import BilinearGame
from mmbench.testing.step_matrices import radius, step_matrix
from mmbench.testing.tools import PLACEMENT, start_runs

XY = "bilinear"


def iterates(words: str, game: str, steps: int) -> tuple[list, list]:
    """Iterates and states from the starts of three seeds."""
    algorithm, (oracle, z) = ALGORITHMS.build(words), start_runs(TASKS.build(game))
    state = algorithm.init(oracle, z)
    zs, states = [z], [state]
    for _ in range(steps):
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
        zs.append(z)
        states.append(state)
    return zs, states


def field_of_xy(z: torch.Tensor) -> torch.Tensor:
    """F(x, y) = (y, -x)."""
    return torch.stack((z[:, 1], -z[:, 0]), dim=1)


def test_optimism_is_not_aliased() -> None:
    """OMD remembers the field before, not the one it has just taken.

    A previous direction that aliases the new one turns the method into GDA.
    """
    zs, _ = iterates("omd[step_size=0.3]", XY, 12)
    gda, _ = iterates("gda[step_size=0.3]", XY, 12)
    by_hand = [zs[0], zs[0] - 0.3 * field_of_xy(zs[0])]
    for _ in range(11):
        before, now = by_hand[-2:]
        by_hand.append(now - 0.6 * field_of_xy(now) + 0.3 * field_of_xy(before))
    torch.testing.assert_close(zs[-1], by_hand[-1], rtol=1e-12, atol=0)
    torch.testing.assert_close(zs[1], gda[1], rtol=0, atol=0)  # the first step is GDA's
    assert (zs[-1].norm(dim=1) < zs[0].norm(dim=1)).all()
    assert (gda[-1].norm(dim=1) > gda[0].norm(dim=1)).all()


def test_optimism_from_zero_takes_a_double_first_step() -> None:
    """With first=zero nothing is subtracted from the first step."""
    zs, _ = iterates("omd[step_size=0.3,first=zero]", XY, 1)
    expected = zs[0] - 0.6 * field_of_xy(zs[0])
    torch.testing.assert_close(zs[1], expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize("game", [XY, "dirac_gan", "quadratic"])
def test_look_aheads_of_past_extragradient_are_optimistic_descent(game: str) -> None:
    """z̃ of past extragradient follows OMD that starts from a zero direction."""
    zs, states = iterates("past_extragradient[step_size=0.1]", game, 10)
    omd, _ = iterates("omd[step_size=0.1,first=zero]", game, 10)
    for t in range(10):
        ahead = zs[t] - 0.1 * states[t].previous
        torch.testing.assert_close(ahead, omd[t], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("eta", [0.05, 0.5, 1.5])
def test_alternating_steps_keep_an_invariant(eta: float) -> None:
    """x² + y² − η x y is constant when x moves first."""
    zs, _ = iterates(f"alternating_gda[step_size={eta}]", XY, 300)
    x, y = torch.stack(zs).unbind(2)
    invariant = x**2 + y**2 - eta * x * y
    drift = (invariant - invariant[0]).abs() / invariant[0].abs()
    assert drift.max() < 1e-11


def test_competitive_steps_are_proximal_on_xy() -> None:
    """CGD's matrix on xy is (I + ηJ)⁻¹."""
    for eta in (0.01, 0.3, 2.0, 10.0):
        algorithm = ALGORITHMS.build(f"cgd[step_size={eta},tolerance=1e-15]")
        jacobian = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
        implicit = torch.linalg.inv(torch.eye(2, dtype=torch.float64) + eta * jacobian)
        measured = torch.from_numpy(step_matrix(algorithm, TASKS.build(XY)))
        torch.testing.assert_close(measured, implicit, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    "game", ["quadratic", "bilinear[dim=5,smallest=0.2]", "dirac_gan"]
)
def test_competitive_step_solves_either_player(game: str) -> None:
    """Exact solutions of x's and of y's system give the same step."""
    options = "step_size=(0.3,0.2),tolerance=1e-15"
    of_x, _ = iterates(f"cgd[{options}]", game, 4)
    of_y, _ = iterates(f"cgd[{options},solve=y]", game, 4)
    for one, other in zip(of_x, of_y, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("time", [10**18, 10**18 + 1])
@pytest.mark.parametrize(
    "game", [XY, "quadratic", "bilinear[dim=5,smallest=0.2]", "dirac_gan"]
)
def test_acgd_with_a_constant_second_moment_is_cgd(game: str, time: int) -> None:
    """When v does not move, A is one step size; both parities solve the same step."""
    constant, epsilon, eta = 0.25, 1e-5, 0.2
    # The largest β below 1 in float64: v forgets nothing, and βᵗ is zero by now.
    acgd = ALGORITHMS.build(
        f"acgd[step_size={eta},beta=0.9999999999999999,epsilon={epsilon},"
        "tolerance=1e-15,floor=1e-300]"
    )
    oracle, z = start_runs(TASKS.build(game))
    zeros, none = torch.zeros_like(z), torch.zeros(len(z), dtype=torch.int64)
    state = ACGDState(torch.full_like(z, constant), zeros, none + time, none)
    moved, _ = acgd.step(oracle, z, state)
    step_size = eta / (constant**0.5 + epsilon)
    cgd = ALGORITHMS.build(f"cgd[step_size={step_size!r},tolerance=1e-15]")
    expected, _ = cgd.step(oracle, z, cgd.init(oracle, z))
    torch.testing.assert_close(moved, expected, rtol=1e-10, atol=1e-12)


def test_acgd_follows_its_rule() -> None:
    """Steps of ACGD equal its formula with dense matrices, both parities."""
    eta_x, eta_y, beta, epsilon = 0.05, 0.02, 0.9, 1e-5
    task = TASKS.build("bilinear[dim=4,smallest=0.3]")
    acgd = ALGORITHMS.build(
        f"acgd[step_size=({eta_x},{eta_y}),beta={beta},tolerance=1e-15,floor=1e-300]"
    )
    oracle, z = start_runs(task, (3,))
    a = torch.stack(
        [
            oracle.grad_x(torch.cat((torch.zeros(1, 4), e[None]), 1).double())[0]
            for e in torch.eye(4)
        ],
        dim=1,
    )
    state, plain, v = acgd.init(oracle, z), z[0].clone(), torch.zeros(8).double()
    for t in range(1, 6):
        z, state = acgd.step(oracle, z, state)
        x, y = plain[:4], plain[4:]
        f_x, f_y = a @ y, a.T @ x
        v = beta * v + (1 - beta) * torch.cat((f_x, f_y)) ** 2
        sizes = torch.tensor([eta_x] * 4 + [eta_y] * 4, dtype=torch.float64)
        scale = sizes * (1 - beta**t) ** 0.5 / (v.sqrt() + epsilon)
        ax, ay = torch.diag(scale[:4]), torch.diag(scale[4:])
        identity = torch.eye(4).double()
        dx = -ax.sqrt() @ torch.linalg.solve(
            identity + ax.sqrt() @ a @ ay @ a.T @ ax.sqrt(),
            ax.sqrt() @ (f_x + a @ ay @ f_y),
        )
        plain = plain + torch.cat((dx, ay @ (f_y + a.T @ dx)))
        torch.testing.assert_close(z[0], plain, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("eta", [0.01, 0.3, 2.0])
def test_one_sided_competitive_steps_on_xy(eta: float) -> None:
    """Δy = η (f_y − η f_yx f_x) / (1 + η²) with f_x = y, f_y = x; x stands still."""
    words = f"one_sided_cgd[step_size={eta},tolerance=1e-15]"
    matrix = step_matrix(ALGORITHMS.build(words), TASKS.build(XY))
    damped = 1 / (1 + eta**2)
    expected = [[1.0, 0.0], [eta * damped, 1 - eta**2 * damped]]
    torch.testing.assert_close(matrix.tolist(), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    "game", [XY, "quadratic", "bilinear[dim=5,smallest=0.2]", "dirac_gan"]
)
def test_one_sided_steps_are_halves_of_a_competitive_step(game: str) -> None:
    """Each player's move is the one it makes in CGD; the other's is none."""
    options = "step_size=(0.3,0.2),tolerance=1e-15"
    (start, both), _ = iterates(f"cgd[{options}]", game, 1)
    (_, at_x), _ = iterates(f"one_sided_cgd[player=x,{options}]", game, 1)
    (_, at_y), _ = iterates(f"one_sided_cgd[player=y,{options}]", game, 1)
    oracle, _ = start_runs(TASKS.build(game))
    for moved, player in ((at_x, 0), (at_y, 1)):
        ours, theirs = oracle.split(moved)[player], oracle.split(both)[player]
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)
        still = oracle.split(moved)[1 - player], oracle.split(start)[1 - player]
        assert torch.equal(*still)


@pytest.mark.parametrize("player", ["x", "y"])
def test_a_player_alone_descends(player: str) -> None:
    """Its own part is that of a simultaneous step, step by step; the other's stays."""
    zs, _ = iterates(f"alone[player={player},step_size=0.05]", "quadratic", 5)
    own = "xy".index(player)
    for before, after in pairwise(zs):
        x, y = before.unbind(1)
        # f = x² + 10xy + y²: descent in x, ascent in y.
        gradient = (2 * x + 10 * y, -(10 * x + 2 * y))[own]
        expected = before.clone()
        expected[:, own] -= 0.05 * gradient
        torch.testing.assert_close(after, expected, rtol=1e-12, atol=1e-14)


def test_one_unrolled_step_sees_the_opponents_answer() -> None:
    """Unrolling once on xy adds −η² x twice: once by y's answer, once through it."""
    matrix = step_matrix(
        ALGORITHMS.build("unrolled[k=1,step_size=0.3]"), TASKS.build(XY)
    )
    expected = [[1 - 2 * 0.09, -0.3], [0.3, 1.0]]
    torch.testing.assert_close(
        torch.from_numpy(matrix).tolist(), expected, rtol=1e-13, atol=1e-15
    )


def test_simultaneous_steps_diverge_on_every_bilinear_game() -> None:
    """GDA's radius exceeds 1 at every step size; extragradient's best is √3/2."""
    task = TASKS.build(XY)
    for eta in (1e-3, 0.1, 3.0):
        assert radius(step_matrix(ALGORITHMS.build(f"gda[step_size={eta}]"), task)) > 1
    best = ALGORITHMS.build(f"extragradient[step_size={0.5**0.5!r}]")
    assert radius(step_matrix(best, task)) == pytest.approx(0.75**0.5, abs=1e-12)


class Asked(BilinearGame):
    """Remembers how far out it was asked."""

    farthest = 0.0

    def losses(
        self, x: torch.Tensor, y: torch.Tensor, sample: None, *, train: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x'Ay and its negative."""
        here = torch.cat((x, y), dim=1).detach().abs().max().item()
        self.farthest = max(self.farthest, here)
        return super().losses(x, y, sample, train=train)


def test_box_projection() -> None:
    """Iterates of every method, and where it asks for gradients, stay on the box."""
    task = TASKS.build("bilinear[box=5]")
    game = task.build(PLACEMENT)
    far = torch.tensor([[9.0, -7.0], [4.0, 5.0], [-5.5, 0.5]], dtype=torch.float64)
    expected = torch.tensor([[5.0, -5.0], [4.0, 5.0], [-5.0, 0.5]], dtype=torch.float64)
    assert torch.equal(game.project(far), expected)
    options = {"accept_reject_search": "[ascents=20]"}
    options |= dict.fromkeys(
        ("lookahead", "averaged", "scheduled", "halpern"), "[base=gda[step_size=2]]"
    )
    options |= {"curvature_eg": ""}
    for name in ALGORITHMS:
        algorithm = ALGORITHMS.build(name + options.get(name, "[step_size=2]"))
        if not needs_of(algorithm) <= task.gives:
            continue
        game = Asked(task, PLACEMENT)
        oracle, z = Oracle(OracleState(game, (0, 1, 2))), expected
        state = algorithm.init(oracle, z)
        for _ in range(4):
            z, state = algorithm.step(oracle, z, state)
            assert z.abs().max() <= 5, name
        # Unrolled steps of y and reflected points are not projected, as texts say.
        assert game.farthest <= 5 or name in {"unrolled", "reflected_gradient"}, name

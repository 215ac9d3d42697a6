"""The accuracy under attack, where the strongest attack is known."""

import numpy as np
import pytest
import torch
from measuring import measure
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from mmbench.core.game import Game
from mmbench.core.streams import generator
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT

RADIUS = 0.1


@pytest.fixture(scope="module")
def game() -> Game:
    """Return a game with one hidden unit for each sign of a linear score."""
    words = f"adversarial_training[hidden=2,images=1,radius={RADIUS}]"
    return TASKS.build(words).build(PLACEMENT)


def halves() -> tuple[np.ndarray, np.ndarray, LogisticRegression]:
    """Return the held-out images, their classes, and a separation of 0 from 1."""
    images, labels = load_digits(return_X_y=True)
    chosen = labels < 2
    fit = LogisticRegression(C=0.01).fit(images[chosen] / 16, labels[chosen])
    return images[1415:] / 16, labels[1415:], fit


def iterate(game: Game, fit: LogisticRegression) -> torch.Tensor:
    """Return a z whose logits of 0 and 1 differ by a linear score, others far below."""
    weight = fit.coef_[0]
    parts = {
        "0.weight": np.stack([weight, -weight], axis=1),
        "0.bias": np.full((1, 2), 100.0) + fit.intercept_ * np.array([1, -1]),
        "2.weight": np.zeros((2, 10)),
        "2.bias": np.full((1, 10), -1000.0),
    }
    parts["2.weight"][[0, 1], [1, 0]] = 0.5
    parts["2.bias"][0, :2] = 0
    x = game.network.layout.join({k: torch.from_numpy(v) for k, v in parts.items()})
    return torch.cat((x, torch.zeros(game.dim_y, dtype=torch.float64)))[None]


def test_a_linear_score_is_attacked_as_its_signs_say(game: Game) -> None:
    """The best attack on w'a moves each pixel by the radius, or to the pixels' end."""
    images, labels, fit = halves()
    weight = fit.coef_[0]
    toward_one = np.clip(images + RADIUS * np.sign(weight), 0, 1)
    toward_zero = np.clip(images - RADIUS * np.sign(weight), 0, 1)
    worst = np.where((labels == 1)[:, None], toward_zero, toward_one)
    clean = np.mean(fit.predict(images) == labels)
    attacked = np.mean(fit.predict(worst) == labels)
    found = measure("robust_accuracy", game, iterate(game, fit))
    assert found["accuracy"][0] == pytest.approx(clean, abs=1e-12)
    assert found["robust_accuracy"][0] == pytest.approx(attacked, abs=1e-12)
    assert 0 < attacked < clean - 0.005


def test_without_a_radius_both_are_equal() -> None:
    """Nothing may move, so that the attack changes nothing."""
    task = TASKS.build("adversarial_training[hidden=8,images=5,radius=0]")
    still = task.build(PLACEMENT)
    z = task.start(still, generator(0, "start"))[None]
    found = measure("robust_accuracy[steps=2]", still, z)
    assert found["accuracy"] == found["robust_accuracy"]


def test_a_broken_run_has_no_accuracy(game: Game) -> None:
    """NaN weights give NaN, and the other run its number."""
    z = torch.zeros(2, game.dim, dtype=torch.float64)
    z[1, 3] = torch.nan
    found = measure("robust_accuracy[steps=1]", game, z)
    zeros = np.mean(load_digits().target[1415:] == 0)  # the first of equal logits
    for values in found.values():
        assert values[0] == pytest.approx(zeros, abs=1e-12)
        assert np.isnan(values[1])

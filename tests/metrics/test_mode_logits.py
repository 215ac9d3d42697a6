"""The discriminator's output at the modes."""

import pytest
import torch
from measuring import measure
from torch_modules import torch_mlp

from mmbench.core.errors import MisfitError
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT

GAME = "four_gaussians[hidden=8,noise=4,batch=16]"


def test_logits_are_those_of_the_network_at_the_modes() -> None:
    """By torch's own layers; the angles of the modes are rounded to float32."""
    game = TASKS.build(GAME).build(PLACEMENT)
    random = torch.Generator().manual_seed(0)
    z = torch.randn(2, game.dim, generator=random, dtype=torch.float64)
    found = measure("mode_logits", game, z)
    modes = torch.tensor([(0, 1), (1, 0), (0, -1), (-1, 0)], dtype=torch.float64)
    for run in (0, 1):
        network = torch_mlp((2, 8, 8, 1), z[run, game.dim_x :])
        expected = network(modes)[:, 0].tolist()
        of_run = [found[f"logit_mode_{i}"][run] for i in (1, 2, 3, 4)]
        assert of_run == pytest.approx(expected, abs=1e-6)


def test_another_number_of_modes_is_refused() -> None:
    """The columns would not be those of the modes."""
    game = TASKS.build(GAME).build(PLACEMENT)
    z = torch.zeros(1, game.dim, dtype=torch.float64)
    with pytest.raises(MisfitError, match=r"has 4. Choose mode_logits\[modes=4\]"):
        measure("mode_logits[modes=8]", game, z)

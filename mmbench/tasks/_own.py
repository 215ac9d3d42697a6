"""Games made of a user's function, tensors and modules, and the tasks that build them.

The function is written for one run. Where torch can, all runs of a chunk are computed
side by side by `torch.vmap`; else one after the other.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.utils._pytree import tree_map

from mmbench.core.capability import Capability
from mmbench.core.description import Description
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.made import Made
from mmbench.core.placement import Placement
from mmbench.core.printable import printable, shorten
from mmbench.core.streams import generator
from mmbench.core.user_code import place_of
from mmbench.tasks._own_data import Source
from mmbench.tasks._own_players import Form, Player, parameters
from mmbench.tasks._own_random import (
    RandomCall,
    RandomNumbers,
    WithoutDropout,
    sizes,
)
from mmbench.tasks.base import SOLVED_METRICS, SOLVED_TARGET, Target, Task

# Evaluations after which buffers that are no running means have settled, such as the
# singular vectors of spectral normalisation.
SETTLING = 10
# Points from which running statistics are estimated when players are evaluated.
POPULATION = 1024
# Relative difference up to which runs side by side and runs one by one agree.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-8}

_CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


class OwnBatch(NamedTuple):
    """One minibatch, with a leading `runs` axis (`count` before runs are stacked).

    Args:
        sources: what was drawn from each source of data or noise.
        numbers: numbers of the random operations within the function.
        memory: buffers of the modules; empty before a run's are recalled.
    """

    sources: tuple[tuple[Tensor, ...], ...]
    numbers: tuple[Tensor, ...]
    memory: tuple[Tensor, ...] = ()


class Recipe(NamedTuple):
    """What a game is made of.

    Args:
        function: (x, y, *points) -> f, or (loss of x, loss of y), of one run.
        x: the first player.
        y: the second player.
        sources: what the function is given besides the players.
        project: (x, y) -> the nearest allowed (x, y), of one run; None for no bounds.
        solution: x and y at the solution; None where none is known.
        sampler: (generator module, noise) -> samples; None calls the module.
        modes: means and deviation of the modes of the data; None where none are known.
        dataset: name of the data set; empty where it has none.
    """

    function: Callable[..., Any]
    x: Player
    y: Player
    sources: tuple[Source, ...] = ()
    project: Callable[[Any, Any], Any] | None = None
    solution: tuple[Any, Any] | None = None
    sampler: Callable[[Any, Any], Tensor] | None = None
    modes: tuple[Tensor, float] | None = None
    dataset: str = ""


def _clones(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _count_writes(tensor: Tensor) -> int:
    """Return how often a tensor has been written in place, as torch counts it."""
    return tensor._version  # noqa: SLF001  # torch has no public name for it


class _Table(nn.Module):
    """The players that are modules, as one module whose tensors can be replaced."""

    def __init__(self, x: Any, y: Any) -> None:
        super().__init__()
        self.players: dict[str, Any] = {"x": x, "y": y}
        for name, value in self.players.items():
            if isinstance(value, nn.Module):
                self.add_module(name, value)

    def forward(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function while the tensors are replaced."""
        return function(*arguments)


class OwnGame(Game):
    """A game of a user's function.

    Args:
        recipe: what the game is made of.
        placement: device and dtype of the tensors.
        name: name of the task, for messages.
        width: number of runs that are computed side by side.

    Raises:
        DescriptionError: when the function fails, or returns no losses.
    """

    def __init__(
        self, recipe: Recipe, placement: Placement, name: str, width: int
    ) -> None:
        self.device, self.dtype = placement.device, placement.dtype
        self._recipe, self._name = recipe, name
        x, y = recipe.x.template(), recipe.y.template()
        self.forms = Form("x", x), Form("y", y)
        self.dim_x, self.dim_y = (form.size for form in self.forms)
        self._table = _Table(x, y).to(self.device, self.dtype)
        self._batch_norms = [
            module
            for module in self._table.modules()
            if isinstance(module, _NormBase) and module.track_running_stats
        ]
        # Within a step the singular vectors are fixed, so that losses have gradients;
        # they go on in `advance`.
        self._spectral = [
            module for module in self._table.modules() if type(module) is _SpectralNorm
        ]
        self._calls: tuple[RandomCall, ...] = ()
        self._buffers: dict[str, Tensor] = {}
        self._probe_once()
        counts = [source.batch for source in recipe.sources]
        needs_draw = bool(self._calls or self._buffers)
        self.batch_size = max(counts, default=0) or int(needs_draw)
        self.sample_size = sum(source.numbers for source in recipe.sources)
        self.sample_size += sum(sizes(self._calls))
        self._is_side_by_side = self._projects_side_by_side = False
        self._needs_graph = False
        if width > 1:
            self._probe_side_by_side()
        self._estimate: tuple[Any, ...] = ()
        self._solution: Tensor | None = None
        if recipe.solution is not None:
            self._solution = self._joined_solution(recipe.solution)

    def _joined_solution(self, given: Any) -> Float[Tensor, " dim"]:
        """Return the solution as one point of the game.

        Raises:
            DescriptionError: when it is no values of both players.
        """
        try:
            x, y = (
                one if isinstance(one, dict | nn.Module) else torch.as_tensor(one)
                for one in given
            )
            return self._join(x, y)
        except Exception as error:
            raise DescriptionError(
                "solution must be a pair, values of x and of y of the shapes that they "
                f"start with; got {shorten(given)}."
            ) from error

    def _join(self, x: Any, y: Any) -> Float[Tensor, " dim"]:
        """Return values of both players as one point of the game."""
        parts = [
            form.join(value) for form, value in zip(self.forms, (x, y), strict=True)
        ]
        return torch.cat(parts).to(self.device, self.dtype)

    def start(self, generator: torch.Generator) -> Float[Tensor, " dim"]:
        """Draw where one run starts, on the CPU."""
        players = self._recipe.x, self._recipe.y
        values = [player.first(generator) for player in players]
        pairs = list(zip(self.forms, players, strict=True))
        first = torch.cat(
            [form.join(value) for form, value in zip(self.forms, values, strict=True)]
        )
        if any(player.spread for player in players):
            spread = torch.cat([form.is_used() * one.spread for form, one in pairs])
            # In float64, so that both precisions start at the same point.
            noise = torch.randn(self.dim, generator=generator, dtype=torch.float64)
            noise = noise.to(self.dtype)
            return (first.to(self.dtype) + spread.to(self.dtype) * noise).to(self.dtype)
        return first.to(self.dtype)

    # ---- minibatches and memory ----

    def draw(self, generator: torch.Generator, count: int) -> OwnBatch:
        """Draw `count` consecutive minibatches of one run, on the CPU."""
        sources = tuple(
            source.sample(generator, count, self.dtype)
            for source in self._recipe.sources
        )
        numbers = tuple(call.draw(generator, count, self.dtype) for call in self._calls)
        return OwnBatch(sources, numbers)

    def memory(self, z: Float[Tensor, "runs dim"]) -> tuple[Tensor, ...]:
        """Return the buffers of the modules at the start of a run.

        Running statistics are those that a new module has. Other buffers, such as the
        singular vectors of spectral normalisation, depend on the parameters: they are
        what a few evaluations at z make of them.
        """
        first = self._first_memory(len(z))
        statistics = self._statistics()
        if self._buffers.keys() <= statistics:
            return first
        sample = self._evaluation_batch(torch.Generator().manual_seed(0), len(z))
        memory = first
        for _ in range(SETTLING):
            memory = self.advance(z, memory, sample)
        return tuple(
            old if name in statistics else new
            for name, old, new in zip(self._buffers, first, memory, strict=True)
        )

    def _statistics(self) -> set[str]:
        """Return the names of the buffers of batch normalisation."""
        return self._names_in(self._batch_norms)

    def _names_in(self, modules: Sequence[nn.Module]) -> set[str]:
        """Return the names of the buffers of modules."""
        names = {id(module): name for name, module in self._table.named_modules()}
        return {
            f"{names[id(module)]}.{name}"
            for module in modules
            for name, _ in module.named_buffers(recurse=False)
        }

    def _evaluation_batch(
        self, generator: torch.Generator, runs: int | None = None
    ) -> OwnBatch:
        """Draw one minibatch for one run, or one that some runs share."""
        drawn = self.draw(generator, 1)

        def place(tensor: Tensor) -> Tensor:
            shared = tensor if runs is None else tensor.expand(runs, *tensor.shape[1:])
            return shared.to(self.device)

        return OwnBatch(*tree_map(place, tuple(drawn)))

    def advance(
        self,
        z: Float[Tensor, "runs dim"],
        memory: tuple[Tensor, ...],
        sample: OwnBatch | None,
    ) -> tuple[Tensor, ...]:
        """Return the buffers after one evaluation at z, on the step's minibatch."""
        if not memory:
            return memory
        assert sample is not None
        x, y = z[:, : self.dim_x], z[:, self.dim_x :]
        sample = sample._replace(memory=memory)
        with torch.no_grad(), _training(self._spectral):
            return self._play(x, y, sample)[2]

    def recall(self, sample: OwnBatch, memory: tuple[Tensor, ...]) -> OwnBatch:
        """Return the minibatch with the buffers of the modules."""
        return sample._replace(memory=memory)

    # ---- losses ----

    def losses(
        self,
        x: Float[Tensor, "runs dim_x"],
        y: Float[Tensor, "runs dim_y"],
        sample: OwnBatch | None,
        *,
        train: bool = True,
    ) -> tuple[Float[Tensor, " runs"], Float[Tensor, " runs"]]:
        """Return the loss of each player, for each run."""
        loss_x, loss_y, _ = self._play(x, y, sample, train=train)
        return loss_x, loss_y

    def _play(
        self,
        x: Float[Tensor, "runs dim_x"],
        y: Float[Tensor, "runs dim_y"],
        sample: OwnBatch | None,
        *,
        train: bool = True,
        one_by_one: bool = False,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Return both losses of each run, and the buffers after this evaluation."""
        if torch.is_grad_enabled():
            return self._play_runs(x, y, sample, train=train, one_by_one=one_by_one)
        if not self._needs_graph:
            try:
                return self._play_runs(x, y, sample, train=train, one_by_one=one_by_one)
            except RuntimeError:  # a loss may have a gradient in it
                self._needs_graph = True
        with torch.enable_grad():
            x, y = (part.detach().requires_grad_() for part in (x, y))
            played = self._play_runs(x, y, sample, train=train, one_by_one=one_by_one)
        return tree_map(torch.Tensor.detach, played)

    def _play_runs(
        self,
        x: Float[Tensor, "runs dim_x"],
        y: Float[Tensor, "runs dim_y"],
        sample: OwnBatch | None,
        *,
        train: bool,
        one_by_one: bool,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Return what `_play` does, with or without a graph."""
        runs = len(x)
        sample = sample or OwnBatch(tuple(() for _ in self._recipe.sources), ())
        points = tuple(
            source.look_up(drawn, runs, self.device, self.dtype)
            for source, drawn in zip(self._recipe.sources, sample.sources, strict=True)
        )
        arguments: tuple[Any, ...] = (*self._split(x, y), points, sample.memory)
        if self._is_side_by_side and runs > 1 and not one_by_one:
            with _randomness(sample.numbers, train=train):
                return torch.vmap(self._play_one, randomness="different")(*arguments)
        results = []
        for run in range(runs):
            numbers = [numbers[run] for numbers in sample.numbers]
            with _randomness(numbers, train=train):
                one = tree_map(lambda tensor, run=run: tensor[run], arguments)
                results.append(self._play_one(*one))
        return tree_map(lambda *each: torch.stack(each), *results)

    def _split(
        self, x: Tensor, y: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        of_x, of_y = self.forms
        return of_x.split(x), of_y.split(y)

    def _play_one(
        self,
        x: dict[str, Tensor],
        y: dict[str, Tensor],
        points: tuple[Any, ...],
        memory: tuple[Tensor, ...],
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Return both losses of one run, and its buffers after the evaluation."""
        result, after = self._call(self._recipe.function, x, y, points, memory)
        if isinstance(result, tuple | list):
            if len(result) != 2:
                raise self._error(f"return f or two losses; got {len(result)} values")
            loss_x, loss_y = map(self._scalar, result)
            return loss_x, loss_y, after
        loss = self._scalar(result)
        return loss, -loss, after

    def _scalar(self, loss: Any) -> Tensor:
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            what = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else loss
            raise self._error(f"return a tensor of one number for a loss; got {what}")
        if loss.dtype != self.dtype:
            raise self._error(
                f"return a loss in the dtype of its players, {self.dtype}; got "
                f"{loss.dtype}. Closed-over tensors keep their own; write .to(x)"
            )
        return loss.reshape(())

    def _error(self, must: str) -> DescriptionError:
        return DescriptionError(f"The function of {self._name} must {must}.")

    def _call(
        self,
        function: Callable[..., Any],
        x: dict[str, Tensor],
        y: dict[str, Tensor],
        points: tuple[Any, ...],
        memory: Sequence[Tensor],
    ) -> tuple[Any, tuple[Tensor, ...]]:
        """Call a function of the players with one run's tensors in their place.

        Returns:
            What it returns, and the buffers after the call.
        """
        buffers = {
            name: buffer.clone()
            for name, buffer in zip(self._buffers, memory, strict=True)
        }
        result, replaced = self._call_with(function, x, y, points, buffers)
        return result, tuple(replaced[name].detach() for name in self._buffers)

    def _call_with(
        self,
        function: Callable[..., Any],
        x: dict[str, Tensor],
        y: dict[str, Tensor],
        points: tuple[Any, ...],
        buffers: dict[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Return what a function returns, and all tensors after the call, by name."""
        chosen = {"x": x, "y": y}
        replaced = dict(buffers)
        players = []
        for name, value in self._table.players.items():
            if isinstance(value, nn.Module):
                replaced |= {f"{name}.{key}": one for key, one in chosen[name].items()}
                players.append(value)
            else:
                players.append(_plain(value, chosen[name]))
        result = functional_call(self._table, replaced, (function, *players, *points))
        return result, replaced

    # ---- probes ----

    def _probe_once(self) -> None:
        """Call the function once, and find its random operations and its buffers."""
        before = {name: buffer.clone() for name, buffer in self._table.named_buffers()}
        self._buffers = dict(before)
        for module in self._spectral:
            module.eval()
            # torch.vmap has no rule for the operations with `out=` in torch's method.
            vars(module)["_power_method"] = partial(_iterate_power, module)
        random = torch.Generator().manual_seed(0)
        z = self.start(random)[None].to(self.device)
        x, y = (
            {name: one[0].clone().requires_grad_() for name, one in player.items()}
            for player in self._split(z[:, : self.dim_x], z[:, self.dim_x :])
        )
        drawn = [
            source.sample(random, 1, self.dtype) for source in self._recipe.sources
        ]
        points = tuple(
            tree_map(
                lambda tensor: tensor[0],
                source.look_up(
                    tuple(tensor.to(self.device) for tensor in sampled),
                    1,
                    self.device,
                    self.dtype,
                ),
            )
            for source, sampled in zip(self._recipe.sources, drawn, strict=True)
        )
        first = [tensor.detach().clone() for tensor in (*x.values(), *y.values())]
        results, states = [], []
        try:
            for _ in range(2):
                numbers, buffers = RandomNumbers(None), _clones(before)
                with numbers, torch.enable_grad(), _training(self._spectral):
                    result, after = self._call_with(
                        self._recipe.function, x, y, points, dict(buffers)
                    )
                results.append(result)
                states.append((buffers, after))
        except DescriptionError:
            raise
        except Exception as error:
            raise self._failure(error) from error
        pair = zip((*x.values(), *y.values()), first, strict=True)
        if not all(torch.equal(now.detach(), then) for now, then in pair):
            raise self._error(
                "leave its players as they are; it wrote into one of them. Give bounds "
                "by project="
            )
        self.zero_sum = not isinstance(results[0], tuple | list)
        once, again = (
            [self._scalar(loss) for loss in ((one,) if self.zero_sum else one)]
            for one in results
        )
        self._check_equal(once, again)
        self._calls = tuple(numbers.calls)
        # Those that were written or exchanged, be it to what they were; and singular
        # vectors, which move for other weights where they have settled.
        kept = self._names_in(self._spectral)
        buffers, after = states[0]
        self._buffers = {
            name: before[name]
            for name, buffer in buffers.items()
            if name in kept
            or after[name] is not buffer
            or _count_writes(buffer)
            or not torch.equal(before[name], buffer)  # batch norm's are not counted
        }

    def _check_equal(self, once: list[Tensor], again: list[Tensor]) -> None:
        """Check that two calls have given the same losses.

        Raises:
            DescriptionError: when they have not.
        """
        tolerance = _TOLERANCE.get(self.dtype, 1e-3)
        for one, other in zip(once, again, strict=True):
            if not torch.allclose(
                one, other, rtol=tolerance, atol=tolerance, equal_nan=True
            ):
                raise self._error(
                    "return the same at each call with the same players and random "
                    f"numbers of torch; got {float(one.detach()):.6g}, then "
                    f"{float(other.detach()):.6g}. Draw by torch, and keep what "
                    "changes in buffers of a module"
                )

    def _failure(self, error: Exception) -> DescriptionError:
        place = place_of(error)
        what = printable(str(error).strip().partition("\n")[0])
        return DescriptionError(
            f"The function of {self._name} must work in {self.dtype} on {self.device}; "
            f"{f'{place},' if place else 'it'} raised {type(error).__name__}: {what} "
            "Tensors that it closes over keep their dtype and device: write .to(x), or "
            "give them as data."
        )

    def _probe_side_by_side(self) -> None:
        """Find whether runs side by side have the numbers of runs one by one."""
        generators = [generator(seed, "probe") for seed in range(2)]
        z = torch.stack([self.start(one) for one in generators]).to(self.device)
        if self._recipe.project:
            self._probe_projection(z)
        sample = None
        if self.batch_size:
            sample = self._evaluation_batch(generators[0], 2)
            memory = tuple(b.expand(2, *b.shape) for b in self._buffers.values())
            sample = sample._replace(memory=memory)
        self._is_side_by_side = True
        try:
            together = self._outcome(z, sample, one_by_one=False)
        except Exception as error:  # torch has many ways to say that it cannot
            what = printable(str(error).strip().partition("\n")[0])
            self.one_by_one = f"torch.vmap cannot batch it: {what}"
        else:
            alone = self._outcome(z, sample, one_by_one=True)
            tolerance = _TOLERANCE.get(self.dtype, 1e-3)
            for one, other in zip(together, alone, strict=True):
                size = other.abs().max()
                if not bool(((one - other).abs() <= tolerance * (1 + size)).all()):
                    self.one_by_one = "torch.vmap gives other numbers"
        self._is_side_by_side = not self.one_by_one

    def _outcome(
        self, z: Tensor, sample: OwnBatch | None, *, one_by_one: bool
    ) -> list[Tensor]:
        """Return losses, gradients and buffers, to be compared."""
        leaf = z.clone().requires_grad_()
        x, y = leaf[:, : self.dim_x], leaf[:, self.dim_x :]
        with torch.enable_grad():
            loss_x, loss_y, after = self._play(x, y, sample, one_by_one=one_by_one)
            gradients = [
                torch.autograd.grad(
                    loss.sum(),
                    leaf,
                    retain_graph=True,
                    materialize_grads=True,
                    allow_unused=True,
                )[0]
                for loss in (loss_x, loss_y)
                if loss.requires_grad
            ]
        found = (loss_x.detach(), loss_y.detach(), *gradients, *after)
        return [tensor.double().nan_to_num() for tensor in found]

    # ---- evaluation of the players ----

    def evaluate(
        self,
        z: Float[Tensor, "runs dim"],
        seeds: tuple[int, ...],
        function: Callable[..., Any],
        *arguments: Any,
    ) -> list[Any]:
        """Return what a function says of the players of each run.

        Modules are in evaluation mode. Their buffers are estimated at z, from
        evaluations of the game's function on minibatches that depend on the run's seed
        alone: `POPULATION` points for running statistics, and `SETTLING` evaluations
        before these for other buffers.

        Args:
            z: iterates.
            seeds: seed of each run.
            function: function of x, y and further arguments, for one run.
            arguments: tensors with a leading `runs` axis.
        """
        found = []
        memories = self._estimated(z, seeds)
        x, y = self._split(z[:, : self.dim_x], z[:, self.dim_x :])
        modes = {module: module.training for module in self._table.modules()}
        self._table.eval()
        try:
            for run, seed in enumerate(seeds):
                of_x, of_y, given = tree_map(
                    lambda tensor, run=run: tensor[run], (x, y, arguments)
                )
                inside = RandomNumbers(None, generator(seed, "evaluation/inside"))
                with torch.no_grad(), inside:
                    called = self._call(function, of_x, of_y, given, memories[run])
                    found.append(called[0])
        finally:
            for module, mode in modes.items():
                module.training = mode
        return found

    def _estimated(
        self, z: Float[Tensor, "runs dim"], seeds: tuple[int, ...]
    ) -> list[tuple[Tensor, ...]]:
        """Return buffers that are estimated at z, for each run."""
        if not self._buffers:
            return [()] * len(z)
        if (
            self._estimate
            and self._estimate[0] == seeds
            and torch.equal(self._estimate[1], z)
        ):
            return list(self._estimate[2])
        statistics = self._statistics() & self._buffers.keys()
        settling = SETTLING if self._buffers.keys() - statistics else 0
        passes = -(-POPULATION // self.batch_size) if statistics else 0
        memory = self._settled(z, seeds, settling, passes)
        memories = [tuple(one[run] for one in memory) for run in range(len(z))]
        self._estimate = seeds, z.clone(), memories
        return memories

    def _settled(
        self,
        z: Float[Tensor, "runs dim"],
        seeds: tuple[int, ...],
        settling: int,
        passes: int,
    ) -> tuple[Tensor, ...]:
        """Return buffers after evaluations at z; statistics are means over the last.

        Args:
            z: iterates.
            seeds: seed of each run.
            settling: evaluations before statistics are taken.
            passes: evaluations from which statistics are taken.
        """
        randoms = [generator(seed, "evaluation/buffers") for seed in seeds]

        def advanced(memory: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            batches = [tuple(self._evaluation_batch(random)) for random in randoms]
            batch = OwnBatch(*tree_map(lambda *each: torch.cat(each), *batches))
            return self.advance(z, memory, batch)

        first = memory = self._first_memory(len(z))
        for _ in range(settling):
            memory = advanced(memory)
        if not passes:
            return memory
        statistics = self._statistics()
        memory = tuple(
            new if name in statistics else settled
            for name, new, settled in zip(self._buffers, first, memory, strict=True)
        )
        with _means(self._batch_norms):
            for _ in range(passes):
                memory = advanced(memory)
        return memory

    def _first_memory(self, runs: int) -> tuple[Tensor, ...]:
        """Return the buffers of a new module, for each run."""
        return tuple(
            buffer.expand(runs, *buffer.shape).clone()
            for buffer in self._buffers.values()
        )

    # ---- bounds and solutions ----

    def project(self, z: Float[Tensor, "runs dim"]) -> Float[Tensor, "runs dim"]:
        """Return the nearest allowed point, as the user's function has it."""
        if self._recipe.project is None:
            return z
        tensors = self._split(z[:, : self.dim_x], z[:, self.dim_x :])
        if self._projects_side_by_side and len(z) > 1:
            return torch.vmap(self._project_one)(*tensors)
        rows = [
            self._project_one(*tree_map(lambda tensor, run=run: tensor[run], tensors))
            for run in range(len(z))
        ]
        return torch.stack(rows)

    def _project_one(
        self, x: dict[str, Tensor], y: dict[str, Tensor]
    ) -> Float[Tensor, " dim"]:
        """Return the nearest allowed point of one run."""
        assert self._recipe.project is not None
        values = zip(self._table.players.values(), (x, y), strict=True)
        projected = self._recipe.project(*(_plain(*value) for value in values))
        if not isinstance(projected, tuple | list) or len(projected) != 2:
            raise DescriptionError(
                f"The project= of {self._name} must return (x, y); it did not."
            )
        return torch.cat(
            [
                form.pack(parameters(value))
                for form, value in zip(self.forms, projected, strict=True)
            ]
        )

    def _probe_projection(self, z: Tensor) -> None:
        """Find whether projections of several runs can be made side by side."""
        alone = self.project(z)
        self._projects_side_by_side = True
        try:
            same = torch.allclose(self.project(z), alone)
        except Exception:  # torch has many ways to say that it cannot
            same = False
        self._projects_side_by_side = same

    def distance(
        self, z: Float[Tensor, "runs dim"], concept: str
    ) -> Float[Tensor, " runs"]:
        """Return the distance of each run to the declared solution."""
        if self._solution is None:
            return super().distance(z, concept)
        return (z - self._solution).norm(dim=1)


def _plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return tensors as a player that is no module has them; of a module, by name."""
    return tensors[""] if isinstance(value, Tensor) else tensors


@torch.no_grad()
def _iterate_power(module: _SpectralNorm, weight: Tensor, count: int) -> None:
    """Make power iterations for the singular vectors of a weight matrix."""
    u, v = module._u, module._v  # noqa: SLF001  # torch has no other names
    for _ in range(count):
        u = nn.functional.normalize(weight @ v, dim=0, eps=module.eps)
        v = nn.functional.normalize(weight.mT @ u, dim=0, eps=module.eps)
    module._u.copy_(u)  # noqa: SLF001
    module._v.copy_(v)  # noqa: SLF001


@contextlib.contextmanager
def _training(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Have modules in training mode, and as they were afterwards."""
    modes = [module.training for module in modules]
    for module in modules:
        module.train()
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)


@contextlib.contextmanager
def _means(modules: Sequence[_NormBase]) -> Iterator[None]:
    """Have running statistics be means over all calls of the context."""
    momenta = [module.momentum for module in modules]
    calls = dict.fromkeys(modules, 0)

    def count(module: _NormBase, _: Any) -> None:
        calls[module] += 1
        module.momentum = 1 / calls[module]

    hooks = [module.register_forward_pre_hook(count) for module in modules]
    try:
        yield
    finally:
        for module, momentum, hook in zip(modules, momenta, hooks, strict=True):
            module.momentum = momentum
            hook.remove()


@contextlib.contextmanager
def _randomness(numbers: Sequence[Tensor], *, train: bool) -> Iterator[None]:
    """Have random operations get these numbers.

    Raises:
        DescriptionError: when there are none, but some are drawn.
    """
    if numbers:
        dropout = contextlib.nullcontext() if train else WithoutDropout()
        with RandomNumbers(numbers, train=train), dropout:
            yield
        return
    before = torch.default_generator.get_state()
    yield
    if not torch.default_generator.get_state().equal(before):
        raise DescriptionError(
            "A loss must draw the same random numbers each time; it drew none at "
            "first, and does now."
        )


def widths(recipe: Recipe) -> tuple[int, int]:
    """Return how many runs are computed side by side on a CPU and on a GPU.

    It is the rule of mmbench's own games: small ones are bound by the dispatch of
    operations, networks by the cache, and convolutions of one run keep a core busy.
    """
    values = (one.template() for one in (recipe.x, recipe.y))
    modules = [m for v in values if isinstance(v, nn.Module) for m in v.modules()]
    if any(isinstance(module, _CONVOLUTIONS) for module in modules):
        return 1, 8
    units = [one.out_features for one in modules if isinstance(one, nn.Linear)]
    if not modules:
        return 128, 128
    return (8 if max(units, default=0) >= 128 else 16), 128


@dataclass(frozen=True, kw_only=True)
class OwnTask(Made, Task):
    """A task of a user's function; each call that makes one derives a class.

    It has no fields: code, first values and data are attributes of the class, so that
    they are part of its key as the code of any external class is.

    Attributes:
        recipe: what the game is made of.
        game_class: class of the game.
        own_metrics: the metrics measured when none are chosen.
        own_target: the bounds that a run must reach.
        own_width: the number of runs computed side by side; 0 for the rule.
        one_by_one: why runs are computed one after the other; empty where they can be
            computed side by side.
    """

    recipe: ClassVar[Recipe]
    game_class: ClassVar[type[OwnGame]] = OwnGame
    own_metrics: ClassVar[tuple[str | Description, ...]] = ()
    own_target: ClassVar[Target | None] = None
    own_width: ClassVar[int] = 0
    one_by_one: ClassVar[str] = ""
    is_zero_sum: ClassVar[bool] = True
    is_plane: ClassVar[bool] = False

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        given = {Capability.PLAYERS}
        given |= {Capability.ZERO_SUM} if self.is_zero_sum else set()
        given |= {Capability.SOLUTION} if self.recipe.solution is not None else set()
        given |= {Capability.PLANE} if self.is_plane else set()
        return frozenset(given)

    @property
    def metrics(self) -> tuple[str | Description, ...]:
        """The metrics measured when none are chosen."""
        default = (
            SOLVED_METRICS
            if self.recipe.solution is not None
            else ("field_norm", "losses")
        )
        return self.own_metrics or default

    @property
    def target(self) -> Target | None:
        """The bounds that a run must reach."""
        solved = SOLVED_TARGET if self.recipe.solution is not None else None
        return self.own_target or solved

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU."""
        return self.own_width or (1 if self.one_by_one else self._widths[0])

    @property
    def gpu_width(self) -> int:
        """The number of runs computed side by side on a GPU."""
        return self.own_width or (1 if self.one_by_one else self._widths[1])

    @property
    def _widths(self) -> tuple[int, int]:
        """The widths on a CPU and on a GPU, by the rule of mmbench's own games."""
        return widths(self.recipe)

    def build(self, placement: Placement) -> OwnGame:
        """Build the game."""
        by_rule = self.width if placement.device.type == "cpu" else self.gpu_width
        width = placement.width or by_rule
        game = self.game_class(self.recipe, placement, str(self), width)
        game.one_by_one = game.one_by_one or self.one_by_one
        return game

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, " dim"]:
        """Draw where one run starts, on the CPU."""
        assert isinstance(game, OwnGame)
        return game.start(generator)

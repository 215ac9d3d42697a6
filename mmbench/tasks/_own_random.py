"""Random numbers within a user's loss: recorded once, then given with each minibatch.

torch marks its random operations, whichever function of Python calls them. In each of
them numbers of a run's own stream take the place of those of torch's global generator.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from mmbench.core.errors import DescriptionError


class RandomCall(NamedTuple):
    """A random operation of a loss, by the numbers that it needs.

    Args:
        is_normal: whether they are standard normal; else uniform in [0, 1).
        shape: shape of these numbers for one run.
        is_wide: whether they are kept in float64, as whole numbers are made of them.
    """

    is_normal: bool
    shape: tuple[int, ...]
    is_wide: bool

    def draw(
        self, generator: torch.Generator, count: int, dtype: torch.dtype
    ) -> Tensor:
        """Draw the numbers of some minibatches, on the CPU, shape (count, *shape)."""
        function = torch.randn if self.is_normal else torch.rand
        # Drawn in float64, so that both dtypes get the same numbers.
        drawn = function((count, *self.shape), generator=generator, dtype=torch.float64)
        if self.is_wide:
            return drawn
        drawn = drawn.to(dtype)
        if self.is_normal:
            return drawn
        return drawn.clamp_max(1 - torch.finfo(dtype).eps / 2)  # rounded, it may be 1


class RandomNumbers(TorchDispatchMode):
    """A context in which random operations get given numbers.

    Args:
        given: numbers of each operation, in their order; with a leading `runs` axis
            where all runs are computed side by side. None draws new ones.
        generator: what new numbers are drawn from.
        train: whether dropout is active.

    Attributes:
        calls: the operations so far.
    """

    def __init__(
        self,
        given: Sequence[Tensor] | None,
        generator: torch.Generator | None = None,
        *,
        train: bool = True,
    ) -> None:
        super().__init__()
        self.calls: list[RandomCall] = []
        self._given = given
        self._generator = generator or torch.Generator().manual_seed(0)
        self._train = train

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        """Answer a random operation; let others pass."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        rule = _RULES.get(func.overloadpacket)
        if rule is None:
            return self._pass_unknown(func, args, kwargs)
        return rule(self, func, args, kwargs)

    def _pass_unknown(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Let an operation pass that may draw, but does not here.

        Raises:
            DescriptionError: when it draws.
        """
        before = torch.random.get_rng_state()
        result = func(*args, **kwargs)
        if not torch.equal(before, torch.random.get_rng_state()):
            raise DescriptionError(
                f"Random numbers must be made by functions that mmbench can repeat; "
                f"got {func.overloadpacket.__name__}. Make them of torch.rand or "
                "torch.randn."
            )
        return result

    def numbers(
        self, shape: Sequence[int], *, is_normal: bool = False, is_wide: bool = False
    ) -> Tensor:
        """Return the numbers of the next operation.

        Args:
            shape: their shape, with the runs' axis where there is one.
            is_normal: as `RandomCall` has it.
            is_wide: as `RandomCall` has it.

        Raises:
            DescriptionError: when another operation was recorded.
        """
        call = RandomCall(is_normal, tuple(shape), is_wide)
        self.calls.append(call)
        if self._given is None:
            return call.draw(self._generator, 1, torch.get_default_dtype())[0]
        position = len(self.calls) - 1
        given = self._given[position] if position < len(self._given) else None
        if given is None or given.shape != call.shape:
            expected = "none" if given is None else f"shape {tuple(given.shape)}"
            raise DescriptionError(
                "A loss must draw the same random numbers each time; random operation "
                f"{position + 1} had {expected} at first and now {call.shape}."
            )
        return given

    @property
    def is_dropping(self) -> bool:
        """Whether dropout is active."""
        return self._train


class WithoutDropout(TorchFunctionMode):
    """A context in which dropout returns its input, but draws its masks."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        """Return the input of a dropout; let others pass."""
        if func not in _DROPOUTS:
            return func(*args, **(kwargs or {}))
        given = args[0] if args else (kwargs or {})["input"]
        kept = given.clone()  # it may be dropped in place
        func(*args, **(kwargs or {}))
        return kept


_DROPOUTS = {
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    functional.dropout3d,
    functional.alpha_dropout,
    functional.feature_alpha_dropout,
    torch.dropout,
    torch.dropout_,
    torch.feature_dropout,
    torch.feature_dropout_,
    torch.alpha_dropout,
    torch.alpha_dropout_,
    torch.feature_alpha_dropout,
    torch.feature_alpha_dropout_,
}

# ---- what each random operation makes of numbers ----


class _Arguments:
    """The arguments of an operation, by the names in its schema."""

    def __init__(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        schema = func._schema.arguments  # noqa: SLF001  # torch has no other name
        self._values = {
            argument.name: argument.default_value
            for argument in schema
            if argument.has_default_value()
        }
        self._values |= {
            argument.name: value for argument, value in zip(schema, args, strict=False)
        }
        self._values |= kwargs

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def get(self, name: str, default: Any) -> Any:
        """Return an argument; the default where it has none."""
        return self._values[name] if name in self else default


Formula = Callable[[Tensor, _Arguments], Tensor]
Rule = Callable[[RandomNumbers, Any, tuple, dict[str, Any]], Any]


def _rule(formula: Formula, *, is_normal: bool = False, is_wide: bool = False) -> Rule:
    """Return the rule of an operation whose entries each need one number.

    Args:
        formula: makes the result of numbers and arguments.
        is_normal: whether the numbers are normal.
        is_wide: whether whole numbers are made of them.
    """

    def rule(
        mode: RandomNumbers, func: Any, args: tuple, kwargs: dict[str, Any]
    ) -> Tensor:
        given = _Arguments(func, args, kwargs)
        drawn = mode.numbers(_shape(given), is_normal=is_normal, is_wide=is_wide)
        like = next(
            (
                given[name]
                for name in ("self", "mean", "std")
                if _is_tensor(given, name)
            ),
            None,
        )
        if like is not None:
            drawn = drawn.to(like.device)
        result = formula(drawn, given)
        if func.overloadpacket.__name__.endswith("_"):
            return like.copy_(result)  # type: ignore[union-attr]
        dtype = given.get("dtype", _default_dtype(like, is_wide=is_wide))
        device = given.get("device", "cpu" if like is None else like.device)
        return result.to(device, dtype)

    return rule


def _default_dtype(like: Tensor | None, *, is_wide: bool) -> torch.dtype:
    if like is not None:
        return like.dtype
    return torch.int64 if is_wide else torch.get_default_dtype()


def _is_tensor(given: _Arguments, name: str) -> bool:
    return name in given and isinstance(given[name], Tensor)


def _shape(given: _Arguments) -> tuple[int, ...]:
    if "size" in given:
        return tuple(given["size"])
    tensors = [
        given[name] for name in ("self", "mean", "std") if _is_tensor(given, name)
    ]
    return tuple(torch.broadcast_shapes(*(tensor.shape for tensor in tensors)))


def _integers(u: Tensor, given: _Arguments) -> Tensor:
    """Return whole numbers from low to high - 1."""
    low = given.get("low", given.get("from", 0))
    high = given.get("high", given.get("to", None))
    if high is None:
        like = given["self"]
        is_float = like.is_floating_point()
        high = 2**24 if is_float else torch.iinfo(like.dtype).max
    return (u * (high - low)).floor() + low


def _bernoulli(u: Tensor, given: _Arguments) -> Tensor:
    """Return ones with the given chance; the entries of the tensor where none is."""
    p = given["p"] if "p" in given else given["self"]
    return (u < p).to(given["self"].dtype)


def _permutation(
    mode: RandomNumbers, func: Any, args: tuple, kwargs: dict[str, Any]
) -> Tensor:
    given = _Arguments(func, args, kwargs)
    drawn = mode.numbers((given["n"],), is_wide=True)
    order = drawn.argsort()
    return order.to(given.get("device", "cpu"), given.get("dtype", torch.int64))


def _multinomial(
    mode: RandomNumbers, func: Any, args: tuple, kwargs: dict[str, Any]
) -> Tensor:
    given = _Arguments(func, args, kwargs)
    weights, count = given["self"].double(), given["num_samples"]
    shape = weights.shape[:-1]
    if given["replacement"]:
        drawn = mode.numbers((*shape, count), is_wide=True).to(weights.device)
        sums = weights.cumsum(-1)
        found = torch.searchsorted(sums, drawn * sums[..., -1:], right=True)
        return found.clamp_max(weights.shape[-1] - 1)
    drawn = mode.numbers(weights.shape, is_wide=True).to(weights.device)
    waits = -torch.log1p(-drawn) / weights  # the shortest wait is drawn first
    return waits.argsort(-1)[..., :count]


def _dropout(
    mode: RandomNumbers, func: Any, args: tuple, kwargs: dict[str, Any]
) -> Any:
    given = _Arguments(func, args, kwargs)
    points, p = given["input"], given["p"]
    if not given.get("train", True):
        return points.clone(), torch.ones_like(points, dtype=torch.bool)
    drawn = mode.numbers(points.shape).to(points.device)
    if not mode.is_dropping:
        return points.clone(), torch.ones_like(points, dtype=torch.bool)
    stays = drawn < 1 - p
    return points * stays * (1 / (1 - p) if p < 1 else 0.0), stays


_uniform = _rule(lambda u, _: u)
_normal = _rule(lambda n, _: n, is_normal=True)
_some_integers = _rule(_integers, is_wide=True)
_aten = torch.ops.aten
_RULES: dict[Any, Rule] = {
    _aten.rand: _uniform,
    _aten.rand_like: _uniform,
    _aten.randn: _normal,
    _aten.randn_like: _normal,
    _aten.normal: _rule(
        lambda n, given: given.get("mean", 0.0) + given.get("std", 1.0) * n,
        is_normal=True,
    ),
    _aten.normal_: _rule(
        lambda n, given: given["mean"] + given["std"] * n, is_normal=True
    ),
    _aten.log_normal_: _rule(
        lambda n, given: (given["mean"] + given["std"] * n).exp(), is_normal=True
    ),
    _aten.uniform_: _rule(
        lambda u, given: given["from"] + (given["to"] - given["from"]) * u
    ),
    _aten.exponential_: _rule(lambda u, given: -torch.log1p(-u) / given["lambd"]),
    _aten.cauchy_: _rule(
        lambda u, given: (
            given["median"] + given["sigma"] * torch.tan(torch.pi * (u - 0.5))
        )
    ),
    _aten.bernoulli: _rule(_bernoulli),
    _aten.bernoulli_: _rule(_bernoulli),
    _aten.randint: _some_integers,
    _aten.randint_like: _some_integers,
    _aten.random_: _some_integers,
    _aten.randperm: _permutation,
    _aten.multinomial: _multinomial,
    _aten.native_dropout: _dropout,
}


def sizes(calls: Sequence[RandomCall]) -> Iterator[int]:
    """Yield how many numbers each operation needs."""
    for call in calls:
        yield torch.Size(call.shape).numel()

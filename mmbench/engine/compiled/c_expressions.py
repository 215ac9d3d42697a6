"""Formulas: a traced graph, written in C as what it does to the numbers of one run.

A tensor (runs, n) is n numbers of a run, and an operation on tensors is a formula for
each of them; moving numbers about costs nothing. Whatever would mix runs is refused.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.fx import GraphModule, Interpreter, Node

from mmbench.engine.compiled.c_operations import (
    COMPARED,
    ENTRYWISE,
    IN_PLACE,
    REAL,
    UnsupportedError,
    Value,
    kind_of,
    literal,
)

aten = torch.ops.aten

LARGEST = 64  # numbers of a run in one tensor; products of more are no formulas

Numbers = np.ndarray  # of Value, the runs' axis of length 1


class Writer(Interpreter):
    """Writes a graph; `lines` are its statements, in order.

    Args:
        graph: traced.
        runs: that it was traced with; no other axis is as long.
        real: the type of its floats.
    """

    def __init__(self, graph: GraphModule, runs: int, real: torch.dtype) -> None:
        super().__init__(graph)
        self.lines: list[str] = []
        self._runs, self._real = runs, real
        self._named: dict[Value, Value] = {}
        self._kind = "real"

    def run_node(self, n: Node) -> Any:
        """One node; its numbers have the shape of its tensor, or it is refused."""
        if n.op != "call_function":
            return super().run_node(n)
        made = n.meta.get("tensor_meta")
        if made is None:
            raise UnsupportedError(f"{n.target} gives several tensors")
        self._kind = kind_of(made.dtype)
        if self._kind == "real" and made.dtype != self._real:
            raise UnsupportedError(f"{n.target} gives {made.dtype}")
        if self._kind == "whole" and made.dtype not in (torch.int32, torch.int64):
            raise UnsupportedError(f"{n.target} gives {made.dtype}")
        products = (aten.mul.Tensor, aten.mul.Scalar)
        if made.dtype == torch.int64 and n.target in products and self._wide():
            # Whole numbers are as wide as the others; counters are not so large.
            raise UnsupportedError(f"{n.target} may give large whole numbers")
        try:
            result = np.asarray(super().run_node(n), dtype=object)
        except (IndexError, TypeError, ValueError) as error:  # of numpy
            raise UnsupportedError(f"{n.target}: {error}") from None
        self._check(n, made.shape, result)
        if result.size > LARGEST:
            raise UnsupportedError(f"{n.target} gives {result.size} numbers a run")
        return result

    def _check(self, n: Node, made: torch.Size, result: Numbers) -> None:
        """Refuse what is not of each run by itself."""
        shapes = [one.meta["tensor_meta"].shape for one in _tensors(n)]
        of_runs = [one for one in shapes if self._runs in one]
        kept = made.count(self._runs) == 1 if of_runs else self._runs not in made
        unusable = any(one.kind == "none" for one in result.flat)
        if n.target in MAKING or unusable:
            kept = made.count(self._runs) < 2
        if n.target is aten.view.default and of_runs and kept:
            # Numbers of several runs must not change places.
            before = [_before(one, self._runs) for one in (*of_runs, made)]
            kept = before[0] == before[1]
        if not kept or result.shape != self.narrow(made):
            raise UnsupportedError(f"{n.target} is not of each run by itself")

    def _wide(self) -> bool:
        """Whether a whole number of a tensor may be wider than one in C."""
        return self._real == torch.float32

    def narrow(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape with one run in the place of all."""
        return tuple(1 if size == self._runs else size for size in shape)

    def get_attr(self, target: str, args: tuple, kwargs: dict) -> Numbers:
        """A constant of the game."""
        constant = super().get_attr(target, args, kwargs)
        if constant.numel() > LARGEST or self._runs in constant.shape:
            raise UnsupportedError(f"a constant has the shape {tuple(constant.shape)}")
        return _array(constant.tolist())

    def call_function(self, target: Any, args: tuple, kwargs: dict) -> Numbers:
        """One operation."""
        if target in ENTRYWISE[self._kind]:
            scale = kwargs.get("alpha", 1)
            if scale != 1:
                args = args[0], self._formula("{0} * {1}", self._kind, args[1], scale)
            return self._formula(ENTRYWISE[self._kind][target], self._kind, *args)
        if target in COMPARED:
            pair = [_array(one) for one in args]
            real = any(one.kind == "real" for side in pair for one in side.flat)
            return self._formula(COMPARED[target], "real" if real else "whole", *pair)
        if target in IN_PLACE:
            done = self.call_function(IN_PLACE[target], args, kwargs)
            return _write(args[0], self.cast(done))
        if target in OF_REALS and self._kind == "real":
            return OF_REALS[target](self, *args, **kwargs)
        if target in SPECIAL:
            return SPECIAL[target](self, *args, **kwargs)
        raise UnsupportedError(f"{target} is not known as a formula")

    def where(self, on: Numbers, new: Any, old: Any) -> Numbers:
        """New numbers where it holds, old ones elsewhere."""
        if self._kind == "real":
            choose = "pick({0}, {1}, {2})"
        else:
            choose = "({0} & {1}) | (~{0} & {2})"

        def write(on: Value, new: Value, old: Value) -> Value:
            sides = new.as_(self._kind), old.as_(self._kind)
            return self._name(choose.format(on.as_("truth"), *sides))

        return each(write, on, new, old)

    def cast(self, given: Any, **_: Any) -> Numbers:
        """Numbers as those of the node's type."""
        return each(lambda one: Value(one.as_(self._kind), self._kind), given)

    def clamp(self, given: Numbers, low: Any = None, high: Any = None) -> Numbers:
        """Numbers within bounds."""
        if low is not None:
            given = self._formula(REAL[aten.clamp_min.default], "real", given, low)
        if high is not None:
            given = self._formula(REAL[aten.clamp_max.default], "real", given, high)
        return given

    def power(self, given: Numbers, exponent: float) -> Numbers:
        """Squares and roots are not left to a general function."""
        known = {2: "{0} * {0}", 0.5: "F(sqrt)({0})", 1: "{0}", -1: "1 / {0}"}
        formula = known.get(exponent, f"F(pow)({{0}}, {literal(exponent).as_('real')})")
        return self._formula(formula, "real", given)

    def sum(
        self, given: Numbers, dims: Sequence[int], keepdim: bool = False, **_: Any
    ) -> Numbers:
        """Along axes of a run's own; of all runs only its shape may be used."""
        if not dims:
            return np.array(Value("a sum over runs", "none"), dtype=object)
        return self._fold("{0} + {1}", given, dims, keepdim)

    def largest(
        self, given: Numbers, dims: Sequence[int], keepdim: bool = False
    ) -> Numbers:
        """Along axes of a run's own."""
        return self._fold(REAL[aten.maximum.default], given, dims, keepdim)

    def norm(
        self,
        given: Numbers,
        order: float = 2,
        dims: Sequence[int] | None = None,
        keepdim: bool = False,
        **_: Any,
    ) -> Numbers:
        """Euclidean, of each run's vector."""
        if not dims or order != 2:
            raise UnsupportedError(f"a norm of order {order} along {dims}")
        squares = self._formula("{0} * {0}", "real", given)
        return self._formula(
            "F(sqrt)({0})", "real", self._fold("{0} + {1}", squares, dims, keepdim)
        )

    def _fold(
        self, formula: str, given: Numbers, dims: Sequence[int], keepdim: bool
    ) -> Numbers:
        """One number along axes; the runs' own, which has length 1, is seen later."""
        for dim in sorted((one % given.ndim for one in dims), reverse=True):
            parts = np.split(given, given.shape[dim], axis=dim)
            given = parts[0]
            for one in parts[1:]:
                given = self._formula(formula, self._kind, given, one)
            given = given if keepdim else given.squeeze(dim)
        return given.copy()  # what is written into a sum is not written into its terms

    def _formula(self, formula: str, kind: str, *operands: Any) -> Numbers:
        """A formula of operands of one kind, entry by entry."""
        write = lambda *of: self._name(formula.format(*(one.as_(kind) for one in of)))
        return each(write, *operands)

    def _name(self, code: str) -> Value:
        """A statement that computes it, written once."""
        key = Value(code, self._kind)
        if key not in self._named:
            name = Value(f"t{len(self._named)}", self._kind)
            self.lines.append(f"const {name.type} {name.code} = {code};")
            self._named[key] = name
        return self._named[key]


def each(function: Callable[..., Value], *operands: Any) -> Numbers:
    """A function of numbers, entry by entry."""
    return np.asarray(
        np.frompyfunc(function, len(operands), 1)(*map(_array, operands)), dtype=object
    )


def _tensors(node: Node) -> list[Node]:
    """The tensors that an operation is given."""
    return [one for one in node.all_input_nodes if "tensor_meta" in one.meta]


def _before(shape: Sequence[int], runs: int) -> int:
    """Length of all axes before that of the runs, together."""
    return math.prod(shape[: list(shape).index(runs)])


def _array(given: Any) -> Numbers:
    """Numbers, or literals of what is given."""
    if isinstance(given, np.ndarray):
        return given
    shape = np.shape(given)
    made = np.empty(shape, dtype=object)
    for at in np.ndindex(shape):
        one = given
        for index in at:
            one = one[index]
        made[at] = literal(one)
    return made


def _full(shape: Sequence[int], number: float) -> Numbers:
    made = np.empty(shape, dtype=object)
    made.fill(literal(number))
    return made


def _slice(
    given: Numbers,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Numbers:
    return given[(slice(None),) * (dim % given.ndim) + (slice(start, end, step),)]


def _select(given: Numbers, dim: int, index: int) -> Numbers:
    """A view, for it may be written into."""
    return given[(slice(None),) * (dim % given.ndim) + (index, ...)]


def _write(into: Numbers, values: Any) -> Numbers:
    into[...] = values
    return into


def _expand(given: Numbers, shape: Sequence[int]) -> Numbers:
    kept = (1,) * (len(shape) - given.ndim) + given.shape
    full = [own if one == -1 else one for one, own in zip(shape, kept, strict=True)]
    return np.broadcast_to(given, full)


# These make tensors of what they are not given.
MAKING = {aten.full.default, aten.full_like.default, aten.expand.default}

# What is more than a formula of each entry: (writer, arguments) to numbers; first what
# is known of real numbers only.
OF_REALS: dict[Any, Callable[..., Numbers]] = {
    aten.amax.default: Writer.largest,
    aten.clamp.default: Writer.clamp,
    aten.linalg_vector_norm.default: Writer.norm,
    aten.pow.Tensor_Scalar: Writer.power,
    aten.sum.dim_IntList: Writer.sum,
}
SPECIAL: dict[Any, Callable[..., Numbers]] = {
    aten._to_copy.default: Writer.cast,  # noqa: SLF001  # torch names it so
    aten.arange.start_step: lambda _, start, end, step=1, **__: _array(
        list(range(start, end, step))
    ),
    aten.cat.default: lambda _, parts, dim=0: np.concatenate(parts, axis=dim),
    aten.clone.default: lambda _, given, **__: given.copy(),
    aten.copy.default: lambda writer, into, values: _expand(
        writer.cast(values), into.shape
    ),
    aten.copy_.default: lambda writer, into, values: _write(into, writer.cast(values)),
    aten.expand.default: lambda writer, given, shape: _expand(
        given, writer.narrow(shape)
    ),
    aten.fill_.Scalar: lambda writer, into, number: _write(into, writer.cast(number)),
    aten.full.default: lambda writer, shape, number, **_: writer.cast(
        _full(writer.narrow(shape), number)
    ),
    aten.full_like.default: lambda writer, like, number, **_: writer.cast(
        _full(like.shape, number)
    ),
    aten.scalar_tensor.default: Writer.cast,
    aten.select.int: lambda _, given, dim, index: _select(given, dim, index),
    aten.slice.Tensor: lambda _, *given: _slice(*given),
    aten.squeeze.dims: lambda _, given, dims: given.squeeze(tuple(dims)),
    aten.unsqueeze.default: lambda _, given, dim: np.expand_dims(given, dim),
    aten.view.default: lambda writer, given, shape: given.reshape(writer.narrow(shape)),
    aten.where.self: Writer.where,
    **dict.fromkeys(
        (
            aten.alias.default,
            aten.detach.default,
            aten.lift_fresh_copy.default,
        ),
        lambda _, given, **__: given,
    ),
}

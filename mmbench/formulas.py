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

from mmbench.operations import (
    COMPARED,
    IN_PLACE,
    LOGICAL,
    PLAIN,
    RUNS,
    NoFormulaError,
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
        graph: traced with `RUNS` runs.
        real: the type of its floats.
    """

    def __init__(self, graph: GraphModule, real: torch.dtype) -> None:
        super().__init__(graph)
        self.lines: list[str] = []
        self._real = real
        self._named: dict[Value, Value] = {}
        self._kind = "real"
        self._narrow = False

    def run_node(self, n: Node) -> Any:
        """One node; its numbers have the shape of its tensor, or it is refused."""
        if n.op != "call_function":
            return super().run_node(n)
        made = n.meta.get("tensor_meta")
        if made is None:
            raise NoFormulaError(f"{n.target} gives several tensors")
        self._kind = kind_of(made.dtype)
        if self._kind == "real" and made.dtype != self._real:
            raise NoFormulaError(f"{n.target} gives {made.dtype}")
        if self._kind == "whole" and made.dtype not in (torch.int32, torch.int64):
            raise NoFormulaError(f"{n.target} gives {made.dtype}")
        # Whole numbers are as wide as the others: counters are safe, products are not.
        self._narrow = self._real == torch.float32 and made.dtype == torch.int64
        try:
            result = np.asarray(super().run_node(n), dtype=object)
        except (IndexError, TypeError, ValueError) as error:  # of numpy
            raise NoFormulaError(f"{n.target}: {error}") from None
        of_runs = any(RUNS in one.meta["tensor_meta"].shape for one in _tensors(n))
        kept = made.shape.count(RUNS) == 1 if of_runs else RUNS not in made.shape
        if n.target is aten.view.default and of_runs:
            (given,) = _tensors(n)
            if _before(given.meta["tensor_meta"].shape) != _before(made.shape):
                raise NoFormulaError(f"{n.target} mixes runs")
        usable = "none" not in {one.kind for one in result.flat}
        if n.target in MAKING or not usable:
            kept = made.shape.count(RUNS) < 2
        if not kept or result.shape != narrow(made.shape):
            raise NoFormulaError(f"{n.target} is not of each run by itself")
        if result.size > LARGEST:
            raise NoFormulaError(f"{n.target} gives {result.size} numbers a run")
        return result

    def get_attr(self, target: str, args: tuple, kwargs: dict) -> Numbers:
        """A constant of the game."""
        constant = super().get_attr(target, args, kwargs)
        if constant.numel() > LARGEST or RUNS in constant.shape:
            raise NoFormulaError(f"a constant has the shape {tuple(constant.shape)}")
        return _array(constant.tolist())

    def call_function(self, target: Any, args: tuple, kwargs: dict) -> Numbers:
        """One operation."""
        if target in LOGICAL and self._kind == "truth":
            return self._formula(LOGICAL[target], "truth", *args)
        if target in PLAIN and (self._kind == "real" or self._counts(target)):
            scale = kwargs.get("alpha", 1)
            if scale != 1:
                args = args[0], self._formula("{0} * {1}", self._kind, args[1], scale)
            return self._formula(PLAIN[target], self._kind, *args)
        if target in COMPARED:
            pair = [_array(one) for one in args]
            real = any(one.kind == "real" for side in pair for one in side.flat)
            return self._formula(COMPARED[target], "real" if real else "whole", *pair)
        if target in IN_PLACE:
            done = self.call_function(IN_PLACE[target], args, kwargs)
            return _write(args[0], self.cast(done))
        if target in SPECIAL:
            return SPECIAL[target](self, *args, **kwargs)
        raise NoFormulaError(f"{target} is not known as a formula")

    def _counts(self, target: Any) -> bool:
        """Whether it is an operation that whole numbers may take part in."""
        products = (aten.mul.Tensor, aten.mul.Scalar)
        sums = (aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar)
        allowed = sums if self._narrow else sums + products
        return self._kind == "whole" and target in allowed

    def _must_be_real(self) -> None:
        if self._kind != "real":
            raise NoFormulaError("an operation is not known for whole numbers")

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
        self._must_be_real()
        if low is not None:
            given = self._formula(PLAIN[aten.clamp_min.default], "real", given, low)
        if high is not None:
            given = self._formula(PLAIN[aten.clamp_max.default], "real", given, high)
        return given

    def power(self, given: Numbers, exponent: float) -> Numbers:
        """Squares and roots are not left to a general function."""
        self._must_be_real()
        known = {2: "{0} * {0}", 0.5: "F(sqrt)({0})", 1: "{0}", -1: "1 / {0}"}
        formula = known.get(exponent, f"F(pow)({{0}}, {literal(exponent).as_('real')})")
        return self._formula(formula, "real", given)

    def sum(
        self, given: Numbers, dims: Sequence[int], keepdim: bool = False, **_: Any
    ) -> Numbers:
        """Along axes of a run's own; of all runs only its shape may be used."""
        if self._kind == "truth" or self._narrow:
            self._must_be_real()
        if not dims:
            return np.array(Value("a sum over runs", "none"), dtype=object)
        return self._fold("{0} + {1}", given, dims, keepdim)

    def largest(
        self, given: Numbers, dims: Sequence[int], keepdim: bool = False
    ) -> Numbers:
        """Along axes of a run's own."""
        self._must_be_real()
        return self._fold(PLAIN[aten.maximum.default], given, dims, keepdim)

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
            raise NoFormulaError(f"a norm of order {order} along {dims}")
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
            kind = "real" if self._kind == "real" else "whole"
            self.lines.append(f"const {kind} {name.code} = {code};")
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


def _before(shape: Sequence[int]) -> int:
    """Numbers of a run that lie before its axis."""
    return math.prod(shape[: list(shape).index(RUNS)])


def narrow(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape with one run in the place of all."""
    return tuple(1 if size == RUNS else size for size in shape)


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
    made = np.empty(narrow(shape), dtype=object)
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
    shape = narrow(shape)
    kept = (1,) * (len(shape) - given.ndim) + given.shape
    full = [own if one == -1 else one for one, own in zip(shape, kept, strict=True)]
    return np.broadcast_to(given, full)


# These make tensors of what they are not given.
MAKING = {aten.full.default, aten.full_like.default, aten.expand.default}

# What is more than a formula of each entry: (writer, arguments) to numbers.
SPECIAL: dict[Any, Callable[..., Numbers]] = {
    aten._to_copy.default: Writer.cast,  # noqa: SLF001  # torch names it so
    aten.amax.default: Writer.largest,
    aten.arange.start_step: lambda _, start, end, step=1, **__: _array(
        list(range(start, end, step))
    ),
    aten.cat.default: lambda _, parts, dim=0: np.concatenate(parts, axis=dim),
    aten.clamp.default: Writer.clamp,
    aten.clone.default: lambda _, given, **__: given.copy(),
    aten.copy.default: lambda writer, into, values: _expand(
        writer.cast(values), into.shape
    ),
    aten.copy_.default: lambda writer, into, values: _write(into, writer.cast(values)),
    aten.expand.default: lambda _, given, shape: _expand(given, shape),
    aten.fill_.Scalar: lambda writer, into, number: _write(into, writer.cast(number)),
    aten.full.default: lambda writer, shape, number, **_: writer.cast(
        _full(shape, number)
    ),
    aten.full_like.default: lambda writer, like, number, **_: writer.cast(
        _full(like.shape, number)
    ),
    aten.linalg_vector_norm.default: Writer.norm,
    aten.pow.Tensor_Scalar: Writer.power,
    aten.scalar_tensor.default: Writer.cast,
    aten.select.int: lambda _, given, dim, index: _select(given, dim, index),
    aten.slice.Tensor: lambda _, *given: _slice(*given),
    aten.squeeze.dims: lambda _, given, dims: given.squeeze(tuple(dims)),
    aten.sum.dim_IntList: Writer.sum,
    aten.unsqueeze.default: lambda _, given, dim: np.expand_dims(given, dim),
    aten.view.default: lambda _, given, shape: given.reshape(narrow(shape)),
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

"""A C program that makes the steps of a few runs after the other, array by array.

Where the arrays of a run are larger than registers hold, but lie in cache, what costs
time is to start operations, and to move numbers through memory between them. The
program takes a few runs at a time and computes their whole step: entry by entry in
loops that join what can be joined, and matrix products in blocks of registers.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from mmbench.core.repetition import BEGIN_LOOP, END_LOOP
from mmbench.engine.compiled.c_arrays import (
    SUM,
    Array,
    Buffer,
    Formula,
    Joined,
    Shape,
    Stored,
    check_size,
    element,
    joined_in,
    largest_loop,
    leaves,
    pieces,
    reads,
    reduce_loop,
    store_loop,
)
from mmbench.engine.compiled.c_expressions import NEW_TENSORS
from mmbench.engine.compiled.c_kernels import Call, Place, Program
from mmbench.engine.compiled.c_library import library_text
from mmbench.engine.compiled.c_operations import (
    COMPARISONS,
    FORMULAS,
    IN_PLACE,
    REAL_FORMULAS,
    Expression,
    Kind,
    UnsupportedError,
    formula_of_choice,
    formula_of_power,
    kind_of,
    literal,
)
from mmbench.engine.compiled.c_program import check_results

aten = torch.ops.aten

MAX_ENTRIES = 2**22  # of an array of a run, which takes 16 MiB in float32
MAX_DEPTH = 24  # formulas within formulas
MAX_PANEL = 64  # columns of a matrix that are packed at once, at most
NARROW = 4  # columns of a product up to which it is computed by inner products
ALIGNMENT = 16  # numbers
GROUP = 64  # runs computed at once, at most, where they share matrices
BESIDE = 32  # runs from which they are the columns of products, else their rows
# Operations of steps whose runs are not the columns: products of matrices of each run,
# and functions that a vector of numbers rounds otherwise than one number.
NOT_BESIDE = {
    aten.bmm.default,
    aten.pow.Tensor_Scalar,
    aten.pow.Tensor_Tensor,
    *(
        operation
        for operation, formula in REAL_FORMULAS.items()
        if re.search(r"F\((?!fabs|sqrt)", formula)
    ),
}


class _Loop(NamedTuple):
    """A loop within a step.

    Args:
        begin: the number of the statement that begins it.
        places: what it carries from turn to turn.
    """

    begin: int
    places: list[Stored]


def _depths(graph: GraphModule) -> dict[Node, int]:
    """Return in how many loops each operation is.

    Raises:
        UnsupportedError: when what a turn has computed is used after the loop, where
            there may have been no turn.
    """
    depths: dict[Node, int] = {}
    loop_of: dict[Node, int] = {}
    open_loops, loops = [0], 0
    for node in graph.graph.nodes:
        if node.target is END_LOOP:
            open_loops.pop()
        depths[node], loop_of[node] = len(open_loops) - 1, open_loops[-1]
        given = node.all_input_nodes
        if node.target is END_LOOP:
            given = []
        inside = set(open_loops)
        if any(
            loop_of[one] not in inside for one in given if one.target is not END_LOOP
        ):
            raise UnsupportedError("what a loop has computed is used after it")
        if node.target is BEGIN_LOOP:
            loops += 1
            open_loops.append(loops)
    return depths


class ArrayTranslator:
    """A translator of a traced step into loops over arrays of a group of runs.

    Args:
        graph: a traced step, without dead code.
        runs: the number of runs that it was traced with; no other axis is as long.
        group: the number of runs that the loops compute at once.
        real: the dtype of its floats.
        is_beside: whether the numbers of the runs lie side by side, so that loops over
            entries are loops over whole vectors of runs.

    Attributes:
        calls: blocks of C code, in order.
        constants: tensors that the step reads and all runs share, each with its buffer.

    Raises:
        UnsupportedError: when the loops cannot compute each run by itself.
    """

    def __init__(
        self,
        graph: GraphModule,
        runs: int,
        group: int,
        real: torch.dtype,
        *,
        is_beside: bool,
    ) -> None:
        self._graph, self._runs, self._group, self._real = graph, runs, group, real
        self._is_beside = is_beside
        self.calls: list[Call] = []
        self.constants: list[tuple[Tensor, Buffer]] = []
        self._largest: dict[Node, Stored] = {}  # absolute numbers, by what asks for it
        self._transposes: dict[Buffer, Stored] = {}  # of constants, by their buffers
        self._lifetimes: dict[Buffer, list[int]] = {}  # first and last statement
        self._loops: list[_Loop] = []  # that have begun, from outside to inside
        self._depths = _depths(graph)
        self._node: Node
        self._kind: Kind = "real"

    def run(self, arguments: Sequence[Any]) -> list[Array]:
        """Translate the whole graph; return the arrays that a step returns."""
        values: dict[Node, Any] = {}
        given = iter(arguments)
        for node in self._graph.graph.nodes:
            if node.op == "placeholder":
                values[node] = self._argument(next(given), node)
            elif node.op == "get_attr":
                constant = operator.attrgetter(str(node.target))(self._graph)
                values[node] = self._constant(constant)
            elif node.op == "output":
                (results,) = torch.fx.node.map_arg(node.args, values.__getitem__)
                return list(results)
            else:
                values[node] = self._translate(node, values)
        raise AssertionError("a graph ends with its output")

    def _argument(self, given: Any, node: Node) -> Any:
        """Return an argument of the program as the loops read it."""
        is_far = isinstance(given, Stored) and given.buffer and given.strides[0] != 1
        if not self._is_beside or not is_far or given.kind != "real" or not node.users:
            return given
        target = self.new(given.shape, given.kind)
        self.emit(_copy_code(given, target), [given.place], target.place)
        return target

    # ---- one operation after the other ----

    def _translate(self, node: Node, values: dict[Node, Any]) -> Any:
        """Return the result of an operation, stored if it is used more than once."""
        self._node = node
        args: Any = torch.fx.node.map_arg(node.args, values.__getitem__)
        kwargs: Any = torch.fx.node.map_arg(node.kwargs, values.__getitem__)
        if node.target is operator.getitem:
            parts: list[Array] = args[0]
            return parts[args[1]]
        self._check_independent(node)
        if node.target is BEGIN_LOOP:
            return self._begin_loop(*args)
        if node.target is END_LOOP:
            return self._end_loop(*args)
        meta = node.meta["val"]
        if isinstance(meta, Tensor):
            self._kind = self._supported_kind(meta.dtype)
        result = self._call(node.target, args, kwargs)
        expected = self.of_group(meta.shape)
        if result.shape != expected:
            raise UnsupportedError(f"{node.target} gives {result.shape}")
        check_size(expected[1:], MAX_ENTRIES)
        if isinstance(result, Formula):
            # What is used within a loop alone is computed once, before the loop.
            is_shared = len(node.users) > 1
            depth = self._depths[node]
            is_used_elsewhere = any(self._depths[one] != depth for one in node.users)
            if is_shared and (found := self._amax_of_absolute(node)):
                return self._store_with_largest(result, found)
            if is_shared or is_used_elsewhere or result.depth > MAX_DEPTH:
                return self.store(result)
        return result

    def _amax_of_absolute(self, node: Node) -> Node | None:
        """Return the operation that takes a row's largest absolute number, if any.

        Only where the loop that computes the numbers can find it too.
        """
        shape = node.meta["val"].shape
        if not self._is_beside or self._kind != "real" or len(shape) != 2:
            return None
        for absolute in node.users:
            if absolute.target is aten.abs.default and len(absolute.users) == 1:
                (user,) = absolute.users
                if user.target is aten.amax.default and user.args[1] in ([1], [-1]):
                    same = self._depths[user] == self._depths[node]
                    return user if same and shape[0] == self._runs else None
        return None

    def _store_with_largest(self, array: Formula, amax: Node) -> Stored:
        """Store an array, and what `amax` will ask for."""
        target = self.new(array.shape, array.kind)
        largest = self.new((array.shape[0], 1), array.kind)
        for number, (piece, place) in enumerate(pieces(array, target)):
            code = largest_loop(
                piece,
                largest.broadcast(place.shape),
                [1],
                is_first_inner=True,
                kept_in=place,
                is_more=number > 0,
            )
            self.emit(code, [*reads(piece), largest.place], target.place)
        self._largest[amax] = largest
        return target

    def _call(self, target: Any, args: tuple, kwargs: dict) -> Any:
        if target in WRITING:
            # The result is another array: nothing else may be a view of the first.
            written = self._node.args[0]
            assert isinstance(written, Node)
            near = [written, *written.users]
            if written.op != "call_function" or any(
                one.target in VIEWS for one in near
            ):
                raise UnsupportedError(f"{target} writes into a view")
            target = WRITING[target]
        formulas = FORMULAS[self._kind]
        if target in formulas:
            if (factor := kwargs.get("alpha", 1)) != 1:
                scaled = self.formula("{0} * {1}", self._kind, args[1], factor)
                args = args[0], scaled
            if target in PRODUCTS and self._kind == "real":
                return self.product_of_entries(*args)
            return self.formula(formulas[target], self._kind, *args)
        if target in COMPARISONS:
            is_real = any(
                isinstance(one, float) or getattr(one, "kind", "") == "real"
                for one in args
            )
            kind: Kind = "real" if is_real else "integer"
            return self.formula(COMPARISONS[target], kind, *args)
        if target in OPERATIONS:
            return OPERATIONS[target](self, *args, **kwargs)
        raise UnsupportedError(f"{target} has no code in C")

    def of_group(self, shape: Sequence[int]) -> Shape:
        """Return a shape with the runs of a group in the place of all runs."""
        return tuple(self._group if n == self._runs else int(n) for n in shape)

    def _supported_kind(self, dtype: torch.dtype) -> Kind:
        kind = kind_of(dtype)
        if kind == "real" and dtype != self._real:
            raise UnsupportedError(f"{self._node.target} returns {dtype}")
        return kind

    def _check_independent(self, node: Node) -> None:
        """Refuse an operation that does not compute each run by itself."""
        given = [one for one in node.all_input_nodes if self._has_runs(one)]
        made = node.meta["val"]
        for found in (
            one.shape for one in (made if isinstance(made, list) else [made])
        ):
            count = list(found).count(self._runs)
            if count > 1 or (count and found[0] != self._runs):
                raise UnsupportedError(f"{node.target} moves the runs axis")
            if given and not count:
                raise UnsupportedError(f"{node.target} joins runs")
            if count and not given and node.target not in NEW_TENSORS:
                raise UnsupportedError(f"{node.target} knows the number of runs")
        axes = _axes_of(node)
        if (
            given
            and axes
            and any(
                axis % len(one.meta["val"].shape) == 0
                for axis in axes
                for one in given
                if isinstance(one.meta["val"], Tensor)
            )
        ):
            raise UnsupportedError(f"{node.target} works along the runs")

    def _has_runs(self, node: Node) -> bool:
        found = node.meta["val"]
        tensors = found if isinstance(found, list | tuple) else [found]
        return any(
            isinstance(one, Tensor) and self._runs in one.shape for one in tensors
        )

    # ---- loops ----

    def _begin_loop(self, carried: Sequence[Array], limit: int) -> list[Array]:
        """Begin a loop; return what it carries from turn to turn."""
        places = []
        for array in carried:
            place = self.new(array.shape, array.kind)
            self.copy(array, place)
            places.append(place)
        number = len(self.calls)
        self._note_use(place.place for place in places)
        self.calls.append(Call("", (places[0].place,), limit))
        self._loops.append(_Loop(number, places))
        return list(places)

    def _end_loop(self, carried: Sequence[Array], _limit: int) -> list[Array]:
        """End the innermost loop; return what it has carried to its end."""
        loop = self._loops.pop()
        self.replace_states(loop.places, carried)
        self._note_use(place.place for place in loop.places)
        # What was there before the loop is read in every turn.
        last = len(self.calls)
        self.calls[loop.begin] = self.calls[loop.begin]._replace(end=last)
        self.calls.append(Call("", ()))
        for used in self._lifetimes.values():
            if used and used[0] < loop.begin <= used[-1]:
                used.append(last)
        return list(loop.places)

    # ---- arrays ----

    def array(self, operand: Any) -> Array:
        """Return an operand as an array; a number is one without axes."""
        if isinstance(operand, Stored | Formula | Joined):
            return operand
        return Stored.everywhere((), literal(operand))

    def formula(self, formula: str, kind: Kind, *operands: Any) -> Formula:
        """Return a formula of operands, converted to one kind, entry by entry."""
        arrays = [self.array(operand) for operand in operands]

        def write(*entries: Expression) -> str:
            return formula.format(*(entry.convert_to(kind) for entry in entries))

        return self.combine(write, arrays)

    def combine(self, write: Callable[..., str], arrays: Sequence[Array]) -> Formula:
        """Return a formula of arrays that are broadcast to one shape."""
        shape = tuple(torch.broadcast_shapes(*(one.shape for one in arrays)))
        operands = [self.broadcast(one, shape) for one in arrays]
        # All that is joined must be cut at the same places.
        joined = [i for i, one in enumerate(operands) if joined_in(one)]
        for i in joined[1:]:
            operands[i] = self.store(operands[i])
        depth = 1 + _depth(operands)
        return Formula(shape, self._kind, tuple(operands), write, depth)

    def broadcast(self, array: Array, shape: Shape) -> Array:
        """Return an array repeated to a shape."""
        if array.shape == shape:
            return array
        return self.store(array).broadcast(shape)

    def new(self, shape: Shape, kind: Kind) -> Stored:
        """Return a new place for an array."""
        c_type = "real" if kind == "real" else "integer"
        number = len(self._lifetimes)
        buffer = Buffer(f"w{number}", math.prod(shape), c_type, kind)
        self._lifetimes[buffer] = []
        if self._is_beside and shape[:1] == (self._group,):
            return Stored.beside(buffer, shape)
        return Stored.whole(buffer, shape)

    def new_whole(self, shape: Shape, kind: Kind) -> Stored:
        """Return a new place for an array whose last axis is the innermost one."""
        return Stored.whole(self.new((math.prod(shape),), kind).place, shape)

    def emit(self, code: str, source: Sequence[Buffer], target: Buffer) -> None:
        """Append a block of code that reads buffers and writes one."""
        self._note_use((*source, target))
        self.calls.append(Call(code, (*source, target)))

    def _note_use(self, buffers: Iterable[Buffer]) -> None:
        """Note that the next call uses buffers."""
        for buffer in buffers:
            if buffer in self._lifetimes:
                self._lifetimes[buffer].append(len(self.calls))

    def store(self, array: Array) -> Stored:
        """Return an array that lies in memory; nothing is computed if it does."""
        if isinstance(array, Stored):
            return array
        target = self.new(array.shape, array.kind)
        self.copy(array, target)
        return target

    def copy(self, source: Array, target: Stored) -> None:
        """Compute an array into a place of the same shape."""
        for piece, place in pieces(source, target):
            if math.prod(place.shape):
                self.emit(store_loop(piece, place), reads(piece), place.place)

    def replace_states(
        self, states: Sequence[Stored], results: Sequence[Array]
    ) -> None:
        """Put what a step returns where it starts from.

        A formula that reads no state but its own, each number where the result goes, is
        computed there. All other results are stored elsewhere before the first state
        is overwritten.
        """
        buffers = {state.buffer for state in states}
        fresh: list[tuple[Array, Stored]] = []
        in_place: list[tuple[Array, Stored]] = []
        for state, result in zip(states, results, strict=True):
            if result is state:
                continue
            if isinstance(result, Formula) and all(
                leaf.buffer not in buffers
                or (_is_same_place(leaf, state) and leaf.shape == state.shape)
                for leaf in leaves(result)
            ):
                in_place.append((result, state))
                continue
            stored = self.store(result)
            if stored.buffer in buffers:
                elsewhere = self.new(stored.shape, stored.kind)
                self.copy(stored, elsewhere)
                stored = elsewhere
            fresh.append((stored, state))
        for source, state in in_place + fresh:
            self.copy(source, state)

    def _constant(self, constant: Tensor) -> Stored:
        if self._runs in constant.shape:
            raise UnsupportedError("a constant knows the number of runs")
        kind = kind_of(constant.dtype)
        if kind == "real" and constant.dtype != self._real:
            raise UnsupportedError(f"a constant is {constant.dtype}")
        if constant.ndim == 0:
            return Stored.everywhere((), literal(constant.item()))
        name = f"c{len(self.constants)}"
        c_type = c_type_of(constant.dtype)
        buffer = Buffer(name, constant.numel(), c_type, kind)
        self.constants.append((constant.contiguous(), buffer))
        return Stored.whole(buffer, tuple(constant.shape))

    def places(self, states: Sequence[Stored]) -> tuple[dict[Buffer, int], int]:
        """Return where each buffer lies in memory, and the size of the memory.

        A place is used again once the buffer that lay there is not read any more.

        Args:
            states: arrays that stay from step to step.
        """
        lasting = {state.buffer for state in states}
        places: dict[Buffer, int] = {}
        free: list[tuple[int, int]] = []  # size, place
        ends: dict[int, list[Buffer]] = {}
        size = 0
        begins: dict[int, list[Buffer]] = {}
        for buffer, used in self._lifetimes.items():
            if buffer in lasting:
                places[buffer], size = size, size + _padded(buffer.size)
            elif used:
                begins.setdefault(used[0], []).append(buffer)
                ends.setdefault(used[-1], []).append(buffer)
        for number in range(len(self.calls)):
            for buffer in begins.get(number, ()):
                needed = _padded(buffer.size)
                fitting = [one for one in free if one[0] == needed]
                if fitting:
                    free.remove(fitting[-1])
                    places[buffer] = fitting[-1][1]
                else:
                    places[buffer], size = size, size + needed
            for buffer in ends.get(number, ()):
                needed = _padded(buffer.size)
                free.append((needed, places[buffer]))
        return places, size

    # ---- operations that are more than one formula ----

    def where(self, on: Array, new: Any, old: Any) -> Array:
        """Return new numbers where a mask holds, old ones where it does not."""
        kind = self._kind
        formula = formula_of_choice(kind)

        def write(*entries: Expression) -> str:
            condition, *sides = entries
            codes = (side.convert_to(kind) for side in sides)
            return formula.format(condition.convert_to("mask"), *codes)

        return self.combine(write, [self.array(one) for one in (on, new, old)])

    def convert(self, operand: Any, **_: Any) -> Array:
        """Return numbers converted to the kind of the operation's result."""
        array = self.array(operand)
        if array.kind == self._kind:
            return array
        return self.formula("{0}", self._kind, array)

    def clamp(self, operand: Array, low: Any = None, high: Any = None) -> Array:
        """Return numbers within bounds."""
        if low is not None:
            operand = self.formula("maximum({0}, {1})", "real", operand, low)
        if high is not None:
            operand = self.formula("minimum({0}, {1})", "real", operand, high)
        return operand

    def product_of_entries(self, one: Any, other: Any) -> Array:
        """Return products entry by entry; a factor of 1 is left out."""
        shape = self.of_group(self._node.meta["val"].shape)
        arrays = self.array(one), self.array(other)
        for factor, kept in (arrays, arrays[::-1]):
            if _is_one(factor) and kept.kind == "real":
                return self.broadcast(kept, shape)
        return self.formula(REAL_FORMULAS[aten.mul.Tensor], "real", *arrays)

    def power(self, operand: Array, exponent: float) -> Array:
        """Return powers."""
        return self.formula(formula_of_power(exponent), "real", operand)

    def sum(
        self, operand: Array, dims: Sequence[int], keepdim: bool = False, **_: Any
    ) -> Array:
        """Return sums along axes."""
        loop = partial(reduce_loop, formula=SUM, start="0")
        return self._reduce(operand, dims, keepdim, loop)

    def mean(
        self, operand: Array, dims: Sequence[int], keepdim: bool = False, **_: Any
    ) -> Array:
        """Return means along axes."""
        count = math.prod(operand.shape[dim] for dim in dims)
        sums = self.sum(operand, dims, keepdim)
        return self.formula("{0} / {1}", "real", sums, count)

    def amax(self, operand: Array, dims: Sequence[int], keepdim: bool = False) -> Array:
        """Return the largest numbers along axes."""
        formula = REAL_FORMULAS[aten.maximum.default]
        if largest := self._largest.get(self._node):
            return largest if keepdim else self.view(largest, ())
        is_last = len(dims) == 1 and dims[0] in (-1, len(operand.shape) - 1)
        if is_last and operand.shape[-1] > 1 and self._is_absolute():
            return self._reduce(operand, dims, keepdim, largest_loop)
        loop = partial(reduce_loop, formula=formula, start="-INFINITY")
        return self._reduce(operand, dims, keepdim, loop)

    def _is_absolute(self) -> bool:
        """Return whether the operation is of absolute values."""
        (given, *_) = self._node.args
        return isinstance(given, Node) and given.target is aten.abs.default

    def norm(
        self,
        operand: Array,
        order: float = 2,
        dims: Sequence[int] | None = None,
        keepdim: bool = False,
        **_: Any,
    ) -> Array:
        """Return Euclidean norms along axes."""
        if not dims or order != 2:
            raise UnsupportedError(f"a norm of order {order} along {dims}")
        squares = self.formula("{0} * {0}", "real", self.store(operand))
        return self.formula("F(sqrt)({0})", "real", self.sum(squares, dims, keepdim))

    def _reduce(
        self,
        operand: Array,
        dims: Sequence[int],
        keepdim: bool,
        loop: Callable[..., str],
    ) -> Array:
        if self._kind == "mask" or (self._kind != operand.kind):
            raise UnsupportedError(f"{self._node.target} of {operand.kind}")
        if joined_in(operand):
            operand = self.store(operand)
        over = sorted(dim % len(operand.shape) for dim in dims)
        shape = operand.shape
        kept = tuple(1 if i in over else n for i, n in enumerate(shape))
        whole = self.new(kept, operand.kind)
        is_first_inner = self._is_beside and shape[0] != 1 and 0 not in over
        place = whole.broadcast(shape)
        code = loop(operand, place, over, is_first_inner=is_first_inner)
        self.emit(code, reads(operand), whole.place)
        if keepdim:
            return whole
        left = tuple(n for i, n in enumerate(shape) if i not in over)
        found = whole.view(left)
        assert found is not None
        return found

    def view(self, operand: Array, shape: Sequence[int]) -> Array:
        """Return an array in another shape."""
        stored = self.store(operand)
        wanted = self.of_group(self._node.meta["val"].shape)
        found = stored.view(wanted)
        if found is None:
            fresh = self.new_whole(stored.shape, stored.kind)
            self.copy(stored, fresh)
            found = fresh.view(wanted)
            assert found is not None
        return found

    def expand(self, operand: Array, _shape: Sequence[int], **_: Any) -> Array:
        """Return an array repeated along axes."""
        return self.broadcast(operand, self.of_group(self._node.meta["val"].shape))

    def cat(self, operands: Sequence[Array], dim: int = 0) -> Array:
        """Return arrays joined along an axis."""
        shape = self.of_group(self._node.meta["val"].shape)
        dim %= len(shape)
        # Torch lets empty ones of one axis pass.
        given = [
            one for one in operands if len(one.shape) == len(shape) and one.shape[dim]
        ]
        parts = tuple(self.store(one) if joined_in(one) else one for one in given)
        joined = Joined(shape, self._kind, parts, dim, _depth(parts))
        return joined if self._is_used_by_entries() else self.store(joined)

    def _is_used_by_entries(self) -> bool:
        """Return whether the result is read once, by an operation entry by entry."""
        users = list(self._node.users)
        return (
            self._is_beside
            and len(users) == 1
            and users[0].target in FORMULAS[self._kind]
            and self._depths[users[0]] == self._depths[self._node]
        )

    def slice(
        self,
        operand: Array,
        dim: int = 0,
        start: int | None = None,
        end: int | None = None,
        step: int = 1,
    ) -> Array:
        """Return a slice along an axis."""
        return _slice(self.store(operand), dim, start, end, step)

    def slice_scatter(
        self,
        operand: Array,
        source: Array,
        dim: int = 0,
        start: int | None = None,
        end: int | None = None,
        step: int = 1,
    ) -> Array:
        """Return an array with a slice of it replaced."""
        target = self.new(operand.shape, self._kind)
        self.copy(operand, target)
        self.copy(source, _slice(target, dim, start, end, step))
        return target

    def fill(self, *args: Any, **_: Any) -> Array:
        """Return an array that holds one number everywhere."""
        number = Expression(literal(args[-1]).convert_to(self._kind), self._kind)
        return Stored.everywhere(self.of_group(self._node.meta["val"].shape), number)

    def arange(self, *args: Any, **_: Any) -> Array:
        """Return whole numbers in order."""
        start, end, step = (*args, 1)[:3]
        return self._constant(torch.arange(start, end, step))

    def index(self, operand: Array, indices: Sequence[Any]) -> Array:
        """Return rows of an array that all runs share, by their numbers."""
        stored = self.store(operand)
        (rows,) = indices if len(indices) == 1 else (None,)
        if rows is None or rows.kind != "integer" or stored.buffer is None:
            raise UnsupportedError("entries are chosen by more than rows")
        rows = self.store(rows)
        if stored.kind != self._kind:
            raise UnsupportedError("rows are converted")
        count = len(rows.shape)
        target = self.new(rows.shape + stored.shape[1:], self._kind)
        entries = range(1, len(stored.shape))
        sizes = [(f"r{axis}", size) for axis, size in enumerate(rows.shape)]
        sizes += [(f"i{axis}", stored.shape[axis]) for axis in entries]
        row = element(rows, {axis: f"r{axis}" for axis in range(count)})
        source = element(stored, {axis: f"i{axis}" for axis in entries})
        first = f"[(int64_t){row} * {stored.strides[0]} + "
        places = {axis: f"r{axis}" for axis in range(count)}
        places |= {count + axis - 1: f"i{axis}" for axis in entries}
        lines = [f"for (int {i} = 0; {i} < {size}; ++{i}) {{" for i, size in sizes]
        lines.append(f"{element(target, places)} = {source.replace('[', first, 1)};")
        lines.append("}" * len(sizes))
        self.emit("\n".join(lines), [rows.place, stored.place], target.place)
        return target

    # ---- matrix products ----

    def product(self, a: Array, b: Array) -> Array:
        """Return products of matrices, one of each run or one with a shared matrix."""
        left, right = self._matrices(a), self._matrices(b)
        if len(left.shape) == 3 and len(right.shape) == 3:
            batch, rows, columns = left.shape[0], left.shape[1], right.shape[2]
            turned = [0, 2, 1]
            if is_turned := self._is_only_turned(turned) and _may_turn(left, right):
                left, right = right.permute(turned), left.permute(turned)
                rows, columns = columns, rows
            target = self.new((batch, rows, columns), "real")
            for number in range(batch):
                one = target.select(0, number)
                self._one_product(left.select(0, number), right.select(0, number), one)
            return target.permute(turned) if is_turned else target
        if len(left.shape) != 2 or len(right.shape) != 2:
            raise UnsupportedError("a product of vectors")
        shape = left.shape[0], right.shape[1]
        if self._is_beside and _is_wide(*shape):
            # The transpose of the result: the runs are its columns.
            target = self.new_whole(shape[::-1], "real")
            left, right = self._lying(right.permute((1, 0))), left.permute((1, 0))
            self._emit_product("wide", left, right, target, self._packed(left, right))
            return target.permute((1, 0))
        if self._is_beside:
            left = self._whole(left)
        target = self.new_whole(shape, "real")
        self._one_product(left, self._lying(right), target)
        return target

    def _lying(self, matrix: Stored) -> Stored:
        """Return the transpose of a constant as one of its own, any other as it is."""
        place = matrix.place
        of_places = {buffer: one for one, buffer in self.constants}
        constant = of_places.get(place)
        if constant is None or constant.shape[::-1] != matrix.shape:
            return matrix
        whole = Stored.whole(place, tuple(constant.shape))
        if not _is_same_place(whole.permute((1, 0)), matrix):
            return matrix
        if place not in self._transposes:
            self._transposes[place] = self._constant(constant.T)
        return self._transposes[place]

    def _is_only_turned(self, axes: list[int]) -> bool:
        """Return whether only the transposes of the result are read."""
        return all(
            user.target is aten.permute.default and user.args[1] == axes
            for user in self._node.users
        )

    def _matrices(self, array: Array) -> Stored:
        """Return matrices that lie in memory."""
        stored = self.store(array)
        if stored.kind != "real":
            raise UnsupportedError("a product of whole numbers")
        return self._whole(stored) if stored.buffer is None else stored

    def _whole(self, array: Stored) -> Stored:
        """Return a copy of an array whose last axis is the innermost one."""
        fresh = self.new_whole(array.shape, array.kind)
        self.copy(array, fresh)
        return fresh

    def _packed(self, a: Stored, b: Stored) -> Stored:
        """Return memory that a product needs."""
        return self.new((max(b.shape[1], MAX_PANEL) * a.shape[1],), "real")

    def _one_product(self, a: Stored, b: Stored, target: Stored) -> None:
        rows, columns = a.shape[0], b.shape[1]
        packed = self._packed(a, b)
        if _is_wide(rows, columns):
            self._emit_product("wide", a, b, target, packed)
        elif _is_better_turned(a):
            # The transpose of the result: its rows are few, its columns many.
            turned = self.new((columns, rows), "real")
            left, right = b.permute((1, 0)), a.permute((1, 0))
            self._emit_product("wide", left, right, turned, packed)
            self.copy(turned.permute((1, 0)), target)
        else:
            if a.strides[1] != 1:
                a = self._whole(a)
            self._emit_product("narrow", a, b, target, packed)

    def _emit_product(
        self, name: str, a: Stored, b: Stored, target: Stored, packed: Stored
    ) -> None:
        """Append the call of a product; `packed` is memory that it needs."""
        steps = list(a.strides[: 1 if name == "narrow" else 2])
        numbers = [a.shape[0], b.shape[1], a.shape[1]]
        words = [*numbers, a.pointer, *steps, b.pointer, *b.strides, target.pointer]
        code = f"{name}_product({', '.join(map(str, words))}, {packed.pointer});"
        self.emit(code, [a.place, b.place, packed.place], target.place)


def _depth(arrays: Iterable[Array]) -> int:
    """Return how many formulas are within formulas in the deepest of arrays."""
    return max((one.depth for one in arrays if not isinstance(one, Stored)), default=0)


def _is_wide(rows: int, columns: int) -> bool:
    """Return whether each number of a product is one sum, not eight."""
    return columns > NARROW or rows <= columns


def _is_better_turned(a: Stored) -> bool:
    """Return whether the transpose of a product of few columns is computed."""
    return a.strides[-2] == 1 and a.shape[-2] > NARROW


def _may_turn(a: Stored, b: Stored) -> bool:
    """Return whether a product and the transpose of it are the same sums."""
    rows, columns = a.shape[-2], b.shape[-1]
    is_one_sum = _is_wide(rows, columns) or _is_better_turned(a)
    return is_one_sum and _is_wide(columns, rows)


def c_type_of(dtype: torch.dtype) -> str:
    """Return the C type of the numbers of a tensor.

    Raises:
        UnsupportedError: when there is none.
    """
    types = {
        torch.float32: "real",
        torch.float64: "real",
        torch.bool: "uint8_t",
        torch.uint8: "uint8_t",
        torch.int32: "int32_t",
        torch.int64: "int64_t",
    }
    if dtype not in types:
        raise UnsupportedError(f"there are numbers of {dtype}")
    return types[dtype]


def _slice(
    array: Stored, dim: int, start: int | None, end: int | None, step: int
) -> Stored:
    """Return a slice along an axis, of which torch may leave out the ends."""
    dim %= len(array.shape)
    return array.slice(dim, start or 0, array.shape[dim] if end is None else end, step)


def _padded(size: int) -> int:
    """Return a number of numbers, rounded up to whole lines of the cache."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _axes_of(node: Node) -> list[int]:
    """Return the axes along which an operation works, not entry by entry."""
    target, args = node.target, node.args
    if target in ALONG_ONE:
        position = ALONG_ONE[target]
        axis: Any = (
            args[position] if len(args) > position else node.kwargs.get("dim", 0)
        )
        return [int(axis)]
    if target in ALONG_SOME:
        position = ALONG_SOME[target]
        axes: Any = args[position] if len(args) > position else node.kwargs.get("dim")
        return list(axes or [0])
    return []


# Operations along one axis, and along some: the position of the axes in the arguments.
ALONG_ONE = {
    aten.cat.default: 1,
    aten.slice.Tensor: 1,
    aten.slice_scatter.default: 2,
    aten.select.int: 1,
}
ALONG_SOME = {
    aten.sum.dim_IntList: 1,
    aten.mean.dim: 1,
    aten.amax.default: 1,
    aten.linalg_vector_norm.default: 2,
    aten.squeeze.dims: 1,
}
VIEWS = {
    aten.alias.default,
    aten.expand.default,
    aten.permute.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.view.default,
}

# Products of two arrays, and what is written for a factor that leaves the other one.
PRODUCTS = {aten.mul.Scalar, aten.mul.Tensor}
ONES = {literal(1).code, literal(1.0).code, literal(1).convert_to("real")}

# Operations that write into their first operand, and those that give the same.
WRITING = IN_PLACE | {
    aten.copy_.default: aten.copy.default,
    aten.fill_.Scalar: aten.full_like.default,
}

OPERATIONS: dict[Any, Callable[..., Any]] = {
    aten._to_copy.default: ArrayTranslator.convert,  # noqa: SLF001
    aten.amax.default: ArrayTranslator.amax,
    aten.arange.start_step: ArrayTranslator.arange,
    aten.bmm.default: ArrayTranslator.product,
    aten.cat.default: ArrayTranslator.cat,
    aten.clamp.default: ArrayTranslator.clamp,
    aten.copy.default: lambda self, target, values: self.broadcast(
        self.convert(values), target.shape
    ),
    aten.expand.default: ArrayTranslator.expand,
    aten.full.default: ArrayTranslator.fill,
    aten.full_like.default: ArrayTranslator.fill,
    aten.index.Tensor: ArrayTranslator.index,
    aten.leaky_relu.default: lambda self, operand, slope=0.01: self.formula(
        "choose(MASK({0} > 0), {0}, {0} * {1})", "real", operand, slope
    ),
    aten.linalg_vector_norm.default: ArrayTranslator.norm,
    aten.mean.dim: ArrayTranslator.mean,
    aten.mm.default: ArrayTranslator.product,
    aten.permute.default: lambda self, operand, axes: self.store(operand).permute(axes),
    aten.pow.Tensor_Scalar: ArrayTranslator.power,
    aten.relu.default: lambda self, operand: self.formula(
        "maximum({0}, {1})", "real", operand, 0.0
    ),
    aten.scalar_tensor.default: ArrayTranslator.fill,
    aten.select.int: lambda self, operand, dim, index: self.store(operand).select(
        dim % len(operand.shape), index % operand.shape[dim % len(operand.shape)]
    ),
    aten.slice.Tensor: ArrayTranslator.slice,
    aten.slice_scatter.default: ArrayTranslator.slice_scatter,
    aten.squeeze.dims: lambda self, operand, _dims: self.view(operand, ()),
    aten.sum.dim_IntList: ArrayTranslator.sum,
    aten.unsqueeze.default: lambda self, operand, dim: self.store(operand).insert_axis(
        dim % (len(operand.shape) + 1)
    ),
    aten.view.default: ArrayTranslator.view,
    aten.where.self: ArrayTranslator.where,
    **dict.fromkeys(
        (
            aten.alias.default,
            aten.clone.default,
            aten.detach.default,
            aten.lift_fresh_copy.default,
        ),
        lambda _, operand, **__: operand,
    ),
}


def write_array_programs(
    traces: Sequence[tuple[GraphModule, Sequence[Tensor]]],
    changed: int,
    drawn: int,
    runs: int,
) -> tuple[list[Program], tuple[Tensor, ...]]:
    """Return the programs that repeat traced steps in turn, and constants they read.

    These are tensors that all runs share, their last arguments.

    Args:
        traces: the step of each turn, with the examples that it was traced with, of
            the same shapes: the tensors that it changes (the iterates first), those
            that it only reads, and its number.
        changed: the number of tensors that a step changes, and so returns.
        drawn: the number of tensors after these of which each step reads its own.
        runs: the number of runs that the programs will compute side by side.

    Raises:
        UnsupportedError: when there is no such program, or it would be too large.
    """
    targets = {node.target for graph, _ in traces for node in graph.graph.nodes}
    group = 1
    if aten.mm.default in targets:
        group = -(-runs // -(-runs // GROUP))  # about equal ones
    is_beside = group >= BESIDE and not targets & NOT_BESIDE
    if is_beside:
        group = min(_padded(group), runs)
    programs: list[Program] = []
    constants: list[Tensor] = []
    for graph, examples in traces:
        program, more = _write_array_program(
            graph,
            examples[:-1],
            changed,
            drawn,
            group,
            len(constants),
            is_beside=is_beside,
        )
        programs.append(program)
        constants += more
    return programs, tuple(constants)


def _write_array_program(
    graph: GraphModule,
    tensors: Sequence[Tensor],
    changed: int,
    drawn: int,
    group: int,
    constants: int,
    *,
    is_beside: bool,
) -> tuple[Program, list[Tensor]]:
    """Return the program of one turn, and the constants that it reads.

    Args:
        graph, changed, drawn: as `write_array_programs` has them.
        tensors: examples of what a step changes and reads.
        group: the number of runs that are computed at once.
        constants: the number of those of programs before it.
        is_beside: as `ArrayTranslator` has it.
    """
    traced, real = len(tensors[0]), tensors[0].dtype
    check_results(graph, tensors)
    translator = ArrayTranslator(graph, traced, group, real, is_beside=is_beside)
    given = [
        _argument(f"a{number}", tensor, traced, group)
        for number, tensor in enumerate(tensors)
    ]
    after = [
        _argument(f"n{number}", tensor, traced, group)
        for number, tensor in enumerate(tensors[:changed])
    ]
    states = [translator.new(one.shape, one.kind) for one in after]
    number = Stored.everywhere((), Expression("k", "integer"))
    results = translator.run([*states, *given[changed:], number])
    translator.replace_states(states, results)
    own, size = translator.places(states)
    size_of = {"uint8_t": 1, "int32_t": 4, "int64_t": 8}
    size_of |= dict.fromkeys(("real", "integer"), torch.finfo(real).bits // 8)
    places = {
        buffer: Place(-1, place * size_of["real"], 0) for buffer, place in own.items()
    }
    for position, one in enumerate((*given, *after)):
        row = math.prod(one.shape[1:]) * size_of[one.place.c_type]
        is_drawn = changed <= position < changed + drawn
        is_told = position >= len(given)
        places[one.place] = Place(position, 0, row, row * is_drawn, row * is_told)
    # Between them are the path of the iterates, which is not noted, and the stops.
    stops = len(given) + len(after) + 1
    first_constant = stops + 1 + constants
    for position, (_, buffer) in enumerate(translator.constants, first_constant):
        places[buffer] = Place(position, 0, 0)
    program = Program(
        real=real,
        group=group,
        bytes=-(-max(size, 1) * size_of["real"] // 64) * 64,
        loads=[_copy(*pair) for pair in zip(given, states, strict=False)],
        steps=translator.calls,
        stores=[_copy(*pair) for pair in zip(states, after, strict=True)],
        places=places,
        stops=stops,
        library=library_text(is_single=real == torch.float32),
    )
    return program, [constant for constant, _ in translator.constants]


def _is_one(array: Array) -> bool:
    """Return whether an array holds 1 everywhere."""
    return isinstance(array, Stored) and array.code in ONES


def _is_same_place(one: Stored, other: Stored) -> bool:
    """Return whether each number of two arrays, one of them whole, is the same one."""
    return (one.buffer, one.strides) == (other.buffer, other.strides)


def _copy(source: Stored, target: Stored) -> Call:
    """Return the call that copies an array."""
    return Call(_copy_code(source, target), (source.place, target.place))


def _copy_code(source: Stored, target: Stored) -> str:
    """Return C code that copies a whole array into another one.

    Where the first axis is the innermost one of one of them alone, matrices are turned.
    """
    rows = source.shape[0]
    columns = math.prod(source.shape) // rows
    is_real = source.place.c_type == target.place.c_type == "real"
    is_turned = (source.strides[0] == 1) != (target.strides[0] == 1)
    if not is_real or not is_turned or 1 in (rows, columns):
        return store_loop(source, target)
    if source.strides[0] == 1:
        rows, columns = columns, rows
    words = rows, columns, source.pointer, columns, target.pointer, rows
    return f"turned_copy({', '.join(map(str, words))});"


def _argument(name: str, tensor: Tensor, runs: int, group: int) -> Stored:
    """Return the rows of a group of runs in an argument of the program."""
    if len(tensor) != runs:
        raise UnsupportedError(f"an argument is {tuple(tensor.shape)}")
    shape = (group, *tensor.shape[1:])
    size = math.prod(shape)
    kind = kind_of(tensor.dtype)
    return Stored.whole(Buffer(name, size, c_type_of(tensor.dtype), kind), shape)

"""Contexts in which functions are computed otherwise than by torch, with its bits."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class ReplacedFunctions(TorchFunctionMode, ABC):
    """A context in which calls of some functions are computed otherwise.

    Within transforms, modes and traces of torch no call is.
    """

    @abstractmethod
    def compute(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Tensor | None:
        """Return what a call gives; None where torch must compute it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute what can be, and else call the function."""
        found = self.compute(func, args, kwargs or {})
        return func(*args, **(kwargs or {})) if found is None else found


def is_watched() -> bool:
    """Return whether a transform, a mode or a trace of torch sees what is computed.

    Within `torch.vmap` a call may draw for each entry, and tensors may have no memory.
    """
    return (
        torch._C._functorch.peek_interpreter_stack() is not None  # noqa: SLF001
        or torch._C._len_torch_dispatch_stack() > 0  # noqa: SLF001
        or torch._C._get_tracing_state() is not None  # noqa: SLF001
    )

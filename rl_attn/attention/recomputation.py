"""Gradient checkpointing calls a part of a model again in backward (`use_reentrant=False`, torch's
and timm's choice). What a tap had changed in the forward, that second call must find as well, or
the tensors that it makes are others: `in_recomputations` sees to it.

Torch restores the random state, autocast and the device there, and takes from `context_fn` what
else the second call runs in. It is an argument of `checkpoint`, which the model calls and not we,
so its default is ours in the meantime. A region that was given a `context_fn` of its own is not
reached: torch then says in backward that the recomputation saved other tensors.
"""

import inspect
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch.utils import checkpoint

#: Of a region that begins now: the context that it is to be computed again in.
Again = Callable[[], Callable[[], AbstractContextManager]]

_OPEN: list[Again] = []
_DEFAULTS = inspect.unwrap(checkpoint.checkpoint).__kwdefaults__ or {}
_DEFAULT = _DEFAULTS.get("context_fn")
_HERE = threading.local()  # backward has threads of its own for GPUs


@contextmanager
def in_recomputations(again: Again) -> Iterator[None]:
    """Checkpointed regions of forwards inside the block are computed again in what `again` gives at
    their beginning. It lives as long as the graph and must not refer to it."""
    if "context_fn" not in _DEFAULTS:
        warnings.warn(
            f"torch {torch.__version__} takes no context_fn for gradient checkpointing: switch "
            "checkpointing off inside a tap",
            stacklevel=2,
        )
        yield
        return
    _OPEN.append(again)
    _DEFAULTS["context_fn"] = _contexts
    try:
        yield
    finally:
        _OPEN.remove(again)
        if not _OPEN:
            _DEFAULTS["context_fn"] = _DEFAULT


def recomputing() -> bool:
    """Whether a layer that is called now is called again, by a backward."""
    return getattr(_HERE, "depth", 0) > 0


def _contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
    """Of a region that begins now: what it runs in, and what it is computed again in."""
    return nullcontext(), _Recomputation([again() for again in _OPEN])


class _Recomputation(AbstractContextManager):
    """Contexts that are entered once for each backward."""

    def __init__(self, contexts: list[Callable[[], AbstractContextManager]]):
        self.contexts = contexts
        self.entered: list[ExitStack] = []

    def __enter__(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(_counted())
            for context in self.contexts:
                stack.enter_context(context())
            self.entered.append(stack.pop_all())

    def __exit__(self, *error: Any) -> bool | None:
        return self.entered.pop().__exit__(*error)


@contextmanager
def _counted() -> Iterator[None]:
    _HERE.depth = getattr(_HERE, "depth", 0) + 1
    try:
        yield
    finally:
        _HERE.depth -= 1

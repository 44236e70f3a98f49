"""Gradient checkpointing calls a part of a model again in backward (`use_reentrant=False`, torch's
and timm's choice). What a tap had changed in the forward, that second call must find as well, or
the tensors that it makes are others: `in_recomputations` sees to it.

Torch restores the random state, autocast and the device there, and offers a `context_fn` to whoever
calls `checkpoint`, which is not us. So each checkpointed region that begins in the meantime has its
`recompute_fn` wrapped.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch
from torch.utils import checkpoint

#: Of a region that begins now: the context that it is to be computed again in.
Again = Callable[[], Callable[[], AbstractContextManager]]

_OPEN: list[Again] = []
_FRAME = checkpoint._CheckpointFrame  # what torch keeps of a region


@contextmanager
def in_recomputations(again: Again) -> Iterator[None]:
    """Checkpointed regions of forwards inside the block are computed again in what `again` gives at
    their beginning. It lives as long as the graph and must not refer to it."""
    _OPEN.append(again)
    checkpoint._CheckpointFrame = _Frame
    try:
        yield
    finally:
        _OPEN.remove(again)
        if not _OPEN:
            checkpoint._CheckpointFrame = _FRAME


def recomputing() -> bool:
    """Whether a layer that is called now is called again, by a backward."""
    return torch._C._current_graph_task_id() != -1


class _Frame(_FRAME):
    def __init__(self, recompute: Callable[..., None], *rest: object, **options: object):
        contexts = [again() for again in _OPEN]

        def inside(*args: object) -> None:
            with ExitStack() as stack:
                for context in contexts:
                    stack.enter_context(context())
                recompute(*args)

        super().__init__(inside, *rest, **options)

"""A function of tensors that is captured once and replayed after that: CUDA graphs for learning.

    differentiate = Captured(learner.differentiate, generators=[random])
    outputs = differentiate(batch)          # the first call captures, the others replay

A step of a small network is hundreds of kernels of a few microseconds each, and the GPU waits for
Python to launch them. A graph launches them all at once. What is captured is the function that runs
eagerly otherwise, a second derivative included; Python runs in the first call only, so whatever the
function reads must be a tensor of its argument, or must never change (`Method.capturable`).

https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor

from rl_attn.errors import UserError

T = TypeVar("T")

#: Makes the outputs of a function once; what it gives beside them makes them again in their places.
Capture = Callable[[Callable[[], T], Sequence[torch.Generator]], tuple[T, Callable[[], None]]]

#: Runs before a capture, in which libraries choose their kernels and allocate what they keep.
WARM_UP = 3


class Captured(Generic[T]):
    """`function(argument)`, captured at the first call. Its outputs are overwritten by the next."""

    def __init__(
        self,
        function: Callable[[Any], T],
        generators: Sequence[torch.Generator] = (),
        capture: Capture | None = None,
    ):
        """
        Args:
            generators: what the function draws random numbers from.
            capture: see `Capture`; None: CUDA's.
        """
        self.function, self.generators = function, generators
        self.capture: Capture = capture or cuda_graph
        self._replay: Callable[[], None] | None = None

    def __call__(self, argument: Any) -> T:
        """
        Args:
            argument: tensors in tuples, dicts and dataclasses, of the same shapes in every call.
        """
        if self._replay is None:
            self._argument = mapped(argument, torch.clone)
            function = lambda: self.function(self._argument)  # noqa: E731
            self._outputs, self._replay = self.capture(function, self.generators)
        for place, value in zip(tensors(self._argument), tensors(argument), strict=True):
            if place.shape != value.shape:
                raise ValueError(
                    f"captured with a tensor {tuple(place.shape)}, called with one of "
                    f"{tuple(value.shape)}"
                )
            place.copy_(value)
        self._replay()
        return self._outputs


def cuda_graph(
    function: Callable[[], T], generators: Sequence[torch.Generator]
) -> tuple[T, Callable[[], None]]:
    """CUDA's way of `Capture`. The numbers drawn are those that the eager function would draw."""
    states = [generator.get_state() for generator in generators]
    current, side = torch.cuda.current_stream(), torch.cuda.Stream()
    side.wait_stream(current)
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            function()
    current.wait_stream(side)
    for generator, state in zip(generators, states, strict=True):
        generator.set_state(state)
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    try:
        with torch.cuda.graph(graph):
            outputs = function()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"--cuda-graphs: this method and network cannot be captured ({reason}): leave it out"
        ) from None
    return outputs, graph.replay


def tensors(tree: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists, dicts and dataclasses."""
    found: list[Tensor] = []
    mapped(tree, lambda tensor: found.append(tensor) or tensor)
    return found


def mapped(tree: T, function: Callable[[Tensor], Tensor]) -> T:
    """The same tree, with `function(tensor)` in place of every tensor."""
    made: Any = tree
    match tree:
        case Tensor():
            made = function(tree)
        case dict():
            made = {key: mapped(value, function) for key, value in tree.items()}
        case tuple() if hasattr(tree, "_fields"):
            made = type(tree)(*(mapped(value, function) for value in tree))
        case tuple() | list():
            made = type(tree)(mapped(value, function) for value in tree)
        case _ if is_dataclass(tree) and not isinstance(tree, type):
            names = [field.name for field in fields(tree)]
            made = replace(tree, **{name: mapped(getattr(tree, name), function) for name in names})
    return cast(T, made)

"""A network's layers by name, its modes, and the graph of its forward.

Which layer is its standard tap, `standard.py` finds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

#: Field of the model's own output instead of a layer's: our agents return their feature maps.
OUTPUT = "output."


def ancestors(model: nn.Module, layer: str) -> list[nn.Module]:
    """The modules that a layer is part of, from the nearest outwards to the model."""
    parts = layer.split(".")[:-1]
    return [model.get_submodule(".".join(parts[:n])) for n in range(len(parts), -1, -1)]


def find_layer(model: nn.Module, layer: str) -> nn.Module:
    """The submodule of that name; an error with close names where there is none."""
    model = unwrapped(model)
    names = [name for name, _ in model.named_modules() if name]
    if layer in names:
        found = model.get_submodule(layer)
        for module in (*ancestors(model, layer), found):
            _refuse_without_hooks(module)
        return found
    close = get_close_matches(layer, names, n=5, cutoff=0.4)
    close += [name for name in names if name.endswith(f".{layer}")][: 5 - len(close)]
    choices = close or [name for name, _ in model.named_children()]
    raise ValueError(
        f"{type(model).__name__} has no layer {layer!r}; "
        f"{'close names are' if close else 'its parts are'} {', '.join(map(repr, choices))}"
    )


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside DataParallel or DistributedDataParallel; an error for a compiled one."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    model = model.module if isinstance(model, wrappers) else model
    _refuse_without_hooks(model)
    return model


@contextmanager
def evaluating(model: object) -> Iterator[None]:
    """A module in evaluation mode; the mode of each of its parts is restored on exit."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def leaves(node: Any, stop: Any = None) -> set[Tensor]:
    """Leaves (parameters, inputs) of the autograd graph behind a node, not looking beyond `stop`,
    another node."""
    waiting, seen, found = [node], {stop}, set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(node.variable)
        waiting += [following for following, _ in node.next_functions]
    return found


def _refuse_without_hooks(module: nn.Module) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError(
            "a scripted or traced model does not call its layers one by one, and none can be "
            "tapped; tap the model that it was made from"
        )
    if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
        raise TypeError(
            "a compiled model does not call the hooks of its layers and has no second derivative; "
            "tap and run the model as it was before, of torch.compile(model) its _orig_mod"
        )

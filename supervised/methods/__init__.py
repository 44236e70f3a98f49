"""Every method by its name: each file of this folder defines one or a few (see `base.py`).

>>> issubclass(METHODS["camal"], Method)
True
"""

import importlib
import pkgutil

from rl_attn.errors import choose
from rl_attn.supervised.methods.base import Method


def _discover() -> dict[str, type[Method]]:
    found: dict[str, type[Method]] = {}
    for module in pkgutil.iter_modules(__path__):
        content = vars(importlib.import_module(f"{__name__}.{module.name}")).values()
        for kind in content:
            named = isinstance(kind, type) and issubclass(kind, Method) and "name" in vars(kind)
            if named and found.setdefault(kind.name, kind) is not kind:
                raise ImportError(f"two methods are called {kind.name}")
    return dict(sorted(found.items()))


METHODS: dict[str, type[Method]] = _discover()


def method_class(name: str) -> type[Method]:
    """The class of a method; a UserError with the choices for an unknown name.

    >>> method_class("rrr").__name__
    'Rrr'
    """
    return METHODS[choose("method", name, list(METHODS))]


__all__ = ["METHODS", "Method", "method_class"]

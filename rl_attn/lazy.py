"""Packages that give names of their modules without importing these before they are asked for.

    if TYPE_CHECKING:
        from rl_attn.agents.rollout import RolloutStorage, gae

    __getattr__ = names_of(__name__, __file__)

The imports for the type checker say where each name is, so that nothing is written twice. It is for
packages from which a command line needs only a light part; see `tests/test_imports.py`.
"""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def names_of(package: str, file: str) -> Callable[[str], Any]:
    """The `__getattr__` (PEP 562) of a package, from the imports under its TYPE_CHECKING."""
    homes: dict[str, str] = {}
    for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                if isinstance(line, ast.ImportFrom) and line.module:
                    homes |= {alias.name: line.module for alias in line.names}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return find

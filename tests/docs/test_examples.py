"""Every public name has an example, and every example of a docstring gives what it says.

An example is written as one types it: the public names of its package are imported, and torch and
numpy.
"""

import doctest
import importlib
import inspect
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
from pages import PUBLIC  # noqa: E402

MODULES = sorted(
    ".".join(Path(folder, file).relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder, _, files in os.walk(ROOT / "rl_attn", followlinks=True)
    for file in files
    if file.endswith(".py") and ">>> " in Path(folder, file).read_text(encoding="utf-8")
)


def names_of(module: str) -> dict[str, object]:
    """What is imported where an example of a module is read: its package's public names."""
    packages = [name for name in PUBLIC if module == name or module.startswith(f"{name}.")]
    found: dict[str, object] = {"torch": torch, "np": np}
    for package in sorted(packages, key=len):
        loaded = importlib.import_module(package)
        found |= {name: getattr(loaded, name) for name in loaded.__all__}
    return found


@pytest.mark.parametrize("module", MODULES)
def test_examples_give_what_they_say(module, clip_folder):
    loaded = importlib.import_module(module)
    names = {**names_of(module), **vars(loaded), "folder": str(clip_folder)}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder().find(loaded, module, globs=names):
        torch.manual_seed(0)
        runner.run(test)
    assert runner.summarize().failed == 0


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_has_an_example(package):
    """In its own docstring, or in that of its module or package."""
    loaded = importlib.import_module(package)
    without = []
    for name in loaded.__all__:
        thing = getattr(loaded, name)
        places = [loaded, sys.modules.get(getattr(thing, "__module__", None) or "", loaded)]
        if inspect.isclass(thing) or inspect.isroutine(thing):
            places.append(thing)
        prompts = [
            line
            for place in places
            for line in (inspect.getdoc(place) or "").splitlines()
            if line.lstrip().startswith((">>> ", "... "))
        ]
        if not re.search(rf"\b{name}\b", "\n".join(prompts)):
            without.append(name)
    assert not without

"""Benchmarks run within the tests' process, and their contenders as forks of one that has torch."""

import importlib
import signal
import sys
from pathlib import Path
from types import ModuleType

import pytest
from processes import CONTEXT

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    """(name) -> the module of that benchmark, as its command runs it but for starting faster."""
    kept = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in kept}
    known = {file.stem for file in FOLDER.glob("*.py")}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        patch.setattr("contest.CONTEXT", CONTEXT)

        def load(name: str) -> ModuleType:
            return importlib.import_module(name)

        yield load
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for name in known & sys.modules.keys():
        if Path(sys.modules[name].__file__ or "").parent == FOLDER:
            del sys.modules[name]

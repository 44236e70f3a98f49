"""Studies of a quick command, which stands for any that keeps the run contract."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from rl_attn import study

COMMANDS = Path(__file__).parent / "commands"

QUICK = {
    "command": "quick_run",
    "arguments": {"total_timesteps": 20},
    "grid": {"gain": [3.7, 3.9]},
    "seeds": [1, 2],
    "then": [{"command": "quick_evaluate", "positional": ["{run}"]}],
}


@pytest.fixture(autouse=True)
def quick_commands(monkeypatch):
    """Quick commands can be imported, in this process and in those it starts."""
    monkeypatch.syspath_prepend(str(COMMANDS))
    monkeypatch.setenv("PYTHONPATH", f"{COMMANDS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


class Lab:
    """A study file, the folder of its study, and what tests want to know of it."""

    def __init__(self, folder: Path):
        self.folder, self.file, self.out = folder, folder / "quick.yaml", folder / "out"
        self.write()

    def write(self, **changes: Any) -> None:
        """The quick study with other values for some keys (None: without the key)."""
        values = {k: v for k, v in {**QUICK, **changes}.items() if v is not None}
        self.file.write_text(yaml.safe_dump(values, sort_keys=False))

    def run(self, *flags: str, out: Path | None = None) -> int:
        """The study in this process; its exit status."""
        return study.main([str(self.file), "--out", str(out or self.out), *flags])

    def start(self, *flags: str) -> subprocess.Popen:
        """The study as a process in a group of its own, its output in one pipe."""
        return subprocess.Popen(
            [sys.executable, "-m", "rl_attn.study", str(self.file), "--out", str(self.out), *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def states(self) -> dict[str, dict[str, Any]]:
        return json.loads((self.out / "state.json").read_text())

    def results(self, out: Path | None = None) -> list[dict[str, str]]:
        with ((out or self.out) / "results.csv").open() as file:
            return list(csv.DictReader(file))

    def starts(self, cell: str = "*") -> list[int]:
        """The steps at which runs started, one for each time."""
        files = sorted((self.out / "cells").glob(f"{cell}/starts.txt"))
        return [int(line) for file in files for line in file.read_text().split()]

    def processes(self) -> list[psutil.Process]:
        """Living processes of runs."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            at_work = any(str(self.out / "cells") in w for w in process.info["cmdline"] or [])
            if at_work and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found


@pytest.fixture
def lab(tmp_path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """`wait_for(condition)` returns once it is true."""

    def wait(condition: Callable[[], Any], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)

    return wait

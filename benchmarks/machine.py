"""The machine that a benchmark runs on, and a table of the seconds that things take there."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table


def seconds_table(heading: str, taken: Mapping[str, Sequence[float]]) -> Table:
    """Median and range of what was measured several times, a row each."""
    shown = Table(heading, "median", "smallest", "largest", "times")
    for name, seconds in taken.items():
        cells = (f"{value:.2f} s" for value in (median(seconds), min(seconds), max(seconds)))
        shown.add_row(name, *cells, str(len(seconds)))
    return shown


def report(threads: int, file: Path | None = None, more: str = "", **measured: Any) -> None:
    """Say in a line on what it was measured; write that and the numbers to a JSON file, if any."""
    machine = describe(threads)
    print(in_words(machine) + more)
    if file is not None:
        file.write_text(json.dumps({"machine": machine, **measured}, indent=1) + "\n")


def in_words(machine: dict[str, Any]) -> str:
    """What `describe` says, in a line."""
    return "{cpu}, {cores} cores, torch {torch}, {threads} threads".format(**machine)


def describe(threads: int) -> dict[str, Any]:
    """What times depend on, besides the work."""
    return {
        "cpu": cpu_model(),
        "cores": num_cores(),
        "torch": version("torch"),
        "threads": threads,
    }


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

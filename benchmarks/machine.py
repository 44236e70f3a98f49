"""The machine that a benchmark runs on, and how it stops there."""

import os
import platform
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

#: `describe` in words, the last line of every table.
SENTENCE = "{cpu}, {cores} cores, torch {torch}, {threads} threads"


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


def stop_at_signals() -> None:
    """Ctrl-C and SIGTERM unwind the program, which ends what it has started."""

    def stop(number: int, _: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)

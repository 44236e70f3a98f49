"""CPU time from the command to the first rollout, and to the line that refuses a mistake.

    python benchmarks/startup.py                                # half a minute
    python benchmarks/startup.py --against FOLDER               # beside another checkout, in turns
    python benchmarks/startup.py --quick                        # whether it works

Each start is a new process of the main job, which is interrupted where its first rollout would
begin. What counts is the CPU time of the process, all its threads together; the games' own
processes are not counted. `import torch`, in turns with it, says how fast the machine is.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from machine import num_cores, report, seconds_table
from rich.console import Console

from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import Positive

OURS = Path(__file__).parents[1]
MAIN_JOB = ("--env", "DefendCenter", "--camal", "1.0")
QUICK = ("--num-envs", "2")

#: Runs `rl_attn.ppo`, and interrupts it where the first rollout would begin. The trainer's module
#: was named otherwise in older checkouts.
TO_THE_ROLLOUT = """
import sys, time
from runpy import run_module
try:
    from rl_attn.rl.trainer import Trainer
except ImportError:
    from rl_attn.trainer import Trainer
def began(self):
    print("\\nCPU", time.process_time(), flush=True)
    raise KeyboardInterrupt
Trainer.rollout = began
run_module("rl_attn.ppo", run_name="__main__", alter_sys=True)
"""


@dataclass
class StartupSettings:
    """Measure what it costs to start."""

    times: Positive[int] = 3
    """starts of each"""
    against: Path | None = None
    """another checkout, which takes turns with this one and runs with the same packages"""
    quick: bool = False
    """one start of each, with two games"""


def first_rollout(checkout: Path, flags: Sequence[str]) -> float:
    """CPU seconds of the main job until its first rollout begins."""
    done, _ = run(checkout, "-c", TO_THE_ROLLOUT, *flags)
    seconds = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("CPU ")]
    if len(seconds) != 1:
        raise RuntimeError(f"{checkout}: no rollout began:\n{done.stdout}{done.stderr}")
    return float(seconds[0])


def refusal(checkout: Path) -> float:
    """CPU seconds of the whole process that refuses a mistaken flag."""
    done, seconds = run(checkout, "-m", "rl_attn.ppo", "--camal", "-1")
    if done.returncode != 2:
        raise RuntimeError(f"{checkout}: --camal -1 ended with {done.returncode}: {done.stderr}")
    return seconds


def import_torch(checkout: Path) -> float:
    return run(checkout, "-c", "import torch")[1]


def run(checkout: Path, *args: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Python with this checkout's modules, in an empty folder; and its CPU seconds."""
    with (
        tempfile.TemporaryDirectory(prefix="rl-attn-startup-") as folder,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        process = subprocess.Popen(
            [sys.executable, *args],
            env={**os.environ, "PYTHONPATH": str(checkout.resolve())},
            cwd=folder,
            stdout=out,
            stderr=err,
        )
        # Of this process alone: others that end meanwhile are not counted.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        done = subprocess.CompletedProcess(args, process.returncode, out.read(), err.read())
    return done, usage.ru_utime + usage.ru_stime


def measure(args: StartupSettings) -> dict[str, list[float]]:
    """What -> CPU seconds, each time."""
    flags = (*MAIN_JOB, *QUICK) if args.quick else MAIN_JOB
    checkouts = {"": OURS} | ({f", {args.against}": args.against} if args.against else {})
    seconds: dict[str, list[float]] = {}
    for _ in range(1 if args.quick else args.times):
        for name, checkout in checkouts.items():
            start = first_rollout(checkout, flags)
            seconds.setdefault(f"the first rollout of the main job{name}", []).append(start)
            seconds.setdefault(f"--camal -1 is refused{name}", []).append(refusal(checkout))
        seconds.setdefault("import torch", []).append(import_torch(OURS))
    return seconds


@command(StartupSettings, "python benchmarks/startup.py")
def main(args: StartupSettings) -> int:
    Console(width=100).print(seconds_table("CPU time until", measure(args)))
    report(num_cores())
    return 0


if __name__ == "__main__":
    run_command(main)

"""What a game that dies or is stopped costs the others: by how much their step is late.

    python benchmarks/delays.py                    # a minute
    python benchmarks/delays.py --quick            # whether it works

All lanes step together, and a rollout needs a step of every one of them, so the others wait while
a dead game is replaced, and while a stopped one (SIGSTOP, a debugger, a full disk) is found out.
The delay is the time of the step in which that happens, less the median of those before it. The
aim is less than a second at the median.
"""

import time
from dataclasses import dataclass
from statistics import median

import numpy as np
import psutil
from machine import num_cores, report, seconds_table
from rich.console import Console

from rl_attn.envs.doom.lanes import Lanes
from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import Positive

FAULTS = {"a game is killed": psutil.Process.kill, "a game is stopped": psutil.Process.suspend}


@dataclass
class DelaySettings:
    """Measure what a dead or a stopped game costs the others."""

    env: str = "DefendCenter"
    """the scenario"""
    num_envs: Positive[int] = 8
    """games"""
    times: Positive[int] = 15
    """how often each fault is made"""
    steps: Positive[int] = 50
    """undisturbed steps before each"""
    seed: int = 0
    """of the games, and of which of them is hit"""
    quick: bool = False
    """two games, once each"""


def measure(args: DelaySettings) -> dict[str, list[float]]:
    """Fault -> seconds of delay, each time."""
    chance, delays = np.random.default_rng(args.seed), {}
    with Lanes(args.env, args.num_envs, seed=args.seed) as lanes:
        frames = np.empty((args.num_envs, *lanes.frame_shape), np.uint8)
        masks = np.empty((args.num_envs, *lanes.mask_shape), np.uint8)
        lanes.reset(frames, masks)

        def seconds() -> float:
            actions = chance.integers(int(lanes.action_space.n), size=args.num_envs)
            began = time.perf_counter()
            lanes.step(actions, frames, masks)
            return time.perf_counter() - began

        for number in range(args.times):
            for name, fault in FAULTS.items():
                calm = median(seconds() for _ in range(args.steps))
                hit = int(chance.integers(args.num_envs))
                fault(psutil.Process(lanes._lanes[hit].game.pid))
                delays.setdefault(name, []).append(seconds() - calm)
                if lanes.faults != sum(map(len, delays.values())):
                    raise RuntimeError(f"{name}, turn {number + 1}: no fault was noticed")
    return delays


@command(DelaySettings, "python benchmarks/delays.py")
def main(args: DelaySettings) -> int:
    if args.quick:
        args.num_envs, args.times, args.steps = 2, 1, 3
    Console(width=100).print(seconds_table("the others' step is late by", measure(args)))
    report(num_cores())
    return 0


if __name__ == "__main__":
    run_command(main)

"""What looks cost the lanes, in steps a second of all games together.

    uv run --no-sync python benchmarks/looks.py --rounds 20 --scenario Basic

Eight games play the same seeds and actions without looks and with another look each episode, in
short turns, so that what else the machine does meets all alike. Speeds are over all turns. CPU time
is that of this program and of the games, which other programs change less. Two plain groups of
games may differ by some percent: so there are two, the first and the last that start, and all is
relative to their mean. Basic has the shortest episodes (75 steps), so that the looks,
which are changed between episodes, cost most.
"""

import os
import time
from dataclasses import dataclass

import numpy as np
import psutil

from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.looks import Looks
from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import Positive

NUM_LANES, STEPS = 8, 100
#: The looks of each group of games.
KINDS = {
    "no looks": "",
    "all on the map": "train:surfaces,light,height,motion,decorations",
    "tint, noise": "train:tint,noise",
    "all of them": "train:all",
    "no looks, once more": "",
}
PLAIN = [name for name, text in KINDS.items() if not text]


def measure(rounds: int, steps: int = STEPS, scenario: str = "Basic") -> dict[str, np.ndarray]:
    """(rounds, 2) by the name of the group: seconds and CPU seconds of each turn."""
    looks = {name: Looks.parse(text) if text else None for name, text in KINDS.items()}
    every = {name: Lanes(scenario, NUM_LANES, looks=looks[name]) for name in KINDS}
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in KINDS}
    try:
        arrays = {}
        for name, lanes in every.items():
            frames = np.empty((NUM_LANES, *lanes.frame_shape), np.uint8)
            arrays[name] = (frames, np.empty((NUM_LANES, *lanes.mask_shape), np.uint8))
            lanes.reset(*arrays[name], seeds=range(NUM_LANES))
        for number in range(rounds):
            for name, lanes in every.items():
                rng = np.random.default_rng(number)
                actions = rng.integers(int(lanes.action_space.n), size=(steps, NUM_LANES))
                begin, busy = time.perf_counter(), cpu_seconds(lanes)
                for step in actions:
                    lanes.step(step, *arrays[name])
                turns[name].append((time.perf_counter() - begin, cpu_seconds(lanes) - busy))
    finally:
        for lanes in every.values():
            lanes.close()
    return {name: np.array(turn) for name, turn in turns.items()}


def cpu_seconds(lanes: Lanes) -> float:
    """Of this program and its games so far."""
    games = [psutil.Process(lane.game.pid).cpu_times()[:2] for lane in lanes._lanes]
    return sum(os.times()[:2]) + sum(map(sum, games))


@dataclass
class LooksSettings:
    """Measure what another look each episode costs Doom's lanes."""

    rounds: Positive[int] = 20
    """how many times each kind of looks is measured"""
    scenario: str = "Basic"
    """which one is played"""


@command(LooksSettings, "python benchmarks/looks.py")
def main(args: LooksSettings) -> int:
    turns = measure(args.rounds, scenario=args.scenario)
    steps = args.rounds * STEPS * NUM_LANES
    plain, plain_cpu = sum(turns[name].sum(0) for name in PLAIN) / len(PLAIN)
    for name, turn in turns.items():
        seconds, cpu = turn.sum(0)
        print(
            f"{name:20s} {steps / seconds:7.0f} steps/s, {plain / seconds:.3f} of no looks; "
            f"{1e6 * cpu / steps:5.0f} us of CPU a step, {cpu / plain_cpu:.3f}"
        )
    return 0


if __name__ == "__main__":
    run_command(main)

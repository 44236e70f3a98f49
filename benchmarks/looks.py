"""What looks cost the lanes, in steps a second of all games together.

    uv run --no-sync python benchmarks/looks.py --rounds 20 --scenario Basic

Eight games play the same seeds and actions without looks and with another look each episode, in
short turns, so that what else the machine does meets all alike. Speeds are over all turns. CPU time
is that of this program and of the games, which other programs change less. Basic has the shortest
episodes (75 steps), so that the looks, which are changed between episodes, cost most.
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
KINDS = ("", "train:surfaces,light,height,motion,decorations", "train:tint,noise", "train:all")


def measure(rounds: int, steps: int = STEPS, scenario: str = "Basic") -> dict[str, np.ndarray]:
    """(rounds, 2) by the text of the looks ("": none): seconds and CPU seconds of each turn."""
    looks = {text: Looks.parse(text) if text else None for text in KINDS}
    every = {text: Lanes(scenario, NUM_LANES, looks=looks[text]) for text in KINDS}
    turns: dict[str, list[tuple[float, float]]] = {text: [] for text in KINDS}
    try:
        arrays = {}
        for text, lanes in every.items():
            frames = np.empty((NUM_LANES, *lanes.frame_shape), np.uint8)
            arrays[text] = (frames, np.empty((NUM_LANES, *lanes.mask_shape), np.uint8))
            lanes.reset(*arrays[text], seeds=range(NUM_LANES))
        for number in range(rounds):
            for text, lanes in every.items():
                rng = np.random.default_rng(number)
                actions = rng.integers(int(lanes.action_space.n), size=(steps, NUM_LANES))
                begin, busy = time.perf_counter(), cpu_seconds(lanes)
                for step in actions:
                    lanes.step(step, *arrays[text])
                turns[text].append((time.perf_counter() - begin, cpu_seconds(lanes) - busy))
    finally:
        for lanes in every.values():
            lanes.close()
    return {text: np.array(turn) for text, turn in turns.items()}


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
    plain, plain_cpu = turns[""].sum(0)
    for text, turn in turns.items():
        seconds, cpu = turn.sum(0)
        print(
            f"{text or 'no looks':50s} {steps / seconds:7.0f} steps/s, {plain / seconds:.3f} of no "
            f"looks; {1e6 * cpu / steps:5.0f} us of CPU a step, {cpu / plain_cpu:.3f}"
        )
    return 0


if __name__ == "__main__":
    run_command(main)

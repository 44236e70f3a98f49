"""What looks cost the lanes, in steps a second of all games together.

    uv run --no-sync python benchmarks/looks.py --rounds 20 --scenario Basic

The same eight games play the same episodes with the same actions, without looks and with another
look each episode, in short turns whose order changes, so that what else the machine does meets both
alike. Rewards must be the same. Speeds are over all turns. CPU time is that of this program and of
the games, which other programs change less. Two groups of games may differ by some percent, so each
kind of looks is compared with its own games' plain turns. Basic has the shortest episodes (75
steps), so that the looks, which are changed between episodes, cost most.
"""

import os
import time
from dataclasses import dataclass

import numpy as np
import psutil
from gymnasium.spaces import Discrete

from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.looks import PLAIN, Looks
from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import Positive

NUM_LANES, STEPS = 8, 200
KINDS = {
    "none (control)": "",
    "all on the map": "train:surfaces,light,height,motion,decorations",
    "decorations": "train:decorations",
    "tint, noise": "train:tint,noise",
    "all of them": "train:all",
}


def measure(text: str, rounds: int, steps: int, scenario: str) -> np.ndarray:
    """(2, rounds, 2): without and with these looks, seconds and CPU seconds of each turn."""
    turns = np.zeros((2, rounds, 2))
    with Lanes(scenario, NUM_LANES, looks=Looks.parse(text) if text else None) as lanes:
        for number in range(rounds):
            rewards = {}
            for with_looks in (0, 1) if number % 2 else (1, 0):
                turn = _turn(lanes, number, steps, plain=not with_looks)
                turns[with_looks, number], rewards[with_looks] = turn[:2], turn[2]
            if rewards[0] != rewards[1]:
                raise RuntimeError(f"rewards of {rewards[0]} became {rewards[1]} under {text}")
    return turns


def _turn(lanes: Lanes, number: int, steps: int, plain: bool) -> tuple[float, float, float]:
    """Seconds and CPU seconds of some steps from the beginning of episodes, and their rewards."""
    frames = np.empty((NUM_LANES, *lanes.frame_shape), np.uint8)
    masks = np.empty((NUM_LANES, *lanes.mask_shape), np.uint8)
    rng = np.random.default_rng(number)
    assert isinstance(lanes.action_space, Discrete)
    actions = rng.integers(lanes.action_space.n, size=(steps, NUM_LANES))
    seeds = range(NUM_LANES * number, NUM_LANES * (number + 1))
    lanes.reset(frames, masks, seeds=seeds, variations=[PLAIN if plain else None] * NUM_LANES)
    begin, busy = time.perf_counter(), cpu_seconds(lanes)
    rewards = sum(float(lanes.step(step, frames, masks).rewards.sum()) for step in actions)
    return time.perf_counter() - begin, cpu_seconds(lanes) - busy, rewards


def cpu_seconds(lanes: Lanes) -> float:
    """Of this program and its games so far."""
    games = [psutil.Process(lane.game.pid).cpu_times()[:2] for lane in lanes._lanes]
    return sum(os.times()[:2]) + sum(map(sum, games))


@dataclass
class LooksSettings:
    """Measure what another look each episode costs Doom's lanes."""

    rounds: Positive[int] = 20
    """how many turns of each kind"""
    scenario: str = "Basic"
    """which one is played"""


@command(LooksSettings, "python benchmarks/looks.py")
def main(args: LooksSettings) -> int:
    steps = args.rounds * STEPS * NUM_LANES
    for name, text in KINDS.items():
        turns = measure(text, args.rounds, STEPS, args.scenario)
        (plain, plain_cpu), (seconds, cpu) = turns.sum(1)
        print(
            f"{name:16s} {steps / seconds:7.0f} steps/s, {plain / seconds:.3f} of no looks "
            f"(median {np.median(turns[0, :, 0] / turns[1, :, 0]):.3f}); "
            f"{1e6 * cpu / steps:5.0f} us of CPU a step, {cpu / plain_cpu:.3f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    run_command(main)

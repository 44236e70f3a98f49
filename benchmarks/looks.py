"""What looks cost the lanes, in steps a second of all games together.

    uv run --no-sync python benchmarks/looks.py [rounds]

Eight games of Basic, whose episodes are the shortest (75 steps), play the same seeds and actions
without looks and with another look each episode, in turns; the ratio is of the medians.
"""

import sys
import time
from collections.abc import Sequence

import numpy as np

from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.looks import Looks

NUM_LANES, STEPS = 8, 600
KINDS = ("", "train:surfaces,light,height,motion,decorations", "train:all")


def measure(rounds: int, steps: int = STEPS) -> dict[str, list[float]]:
    """Steps a second of each round, by the text of the looks ("": none)."""
    looks = {text: Looks.parse(text) if text else None for text in KINDS}
    every = {text: Lanes("Basic", NUM_LANES, looks=looks[text]) for text in KINDS}
    speeds: dict[str, list[float]] = {text: [] for text in KINDS}
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
                begin = time.perf_counter()
                for step in actions:
                    lanes.step(step, *arrays[text])
                speeds[text].append(steps * NUM_LANES / (time.perf_counter() - begin))
    finally:
        for lanes in every.values():
            lanes.close()
    return speeds


def main(arguments: Sequence[str]) -> None:
    speeds = measure(int(arguments[0]) if arguments else 5)
    plain = float(np.median(speeds[""]))
    for text, found in speeds.items():
        speed = float(np.median(found))
        print(f"{text or 'no looks':50s} {speed:7.0f} steps/s, {speed / plain:.3f} of no looks")


if __name__ == "__main__":
    main(sys.argv[1:])

"""What our lanes cost above gymnasium's AsyncVectorEnv alone, over the same environments.

    uv run --no-sync python benchmarks/gym_adapter.py --rounds 12

Eight environments of 84 x 84 colour frames with masks, which do nothing but draw them, or work for
a millisecond a step as a small simulator does, play the same actions in turns; whoever was last
begins. AsyncVectorEnv has shared memory, starts episodes again in the same step, and gives views,
which are written into the arrays of a rollout as our lanes write them. The ratio is of the
medians; a machine that is busy with other things spoils it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from rl_attn.envs.registry import EnvSettings, find
from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import Positive

NUM_LANES, STEPS, SIDE = 8, 50, 84


class Drawing(gymnasium.Env):
    """A square walks over noise; episodes last 100 steps."""

    def __init__(self, work: float = 0.0) -> None:
        self.work = work
        self.action_space = spaces.Discrete(4)
        self.observation_space = spaces.Dict(
            frame=spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8),
            mask=spaces.Box(0, 1, (SIDE, SIDE), np.uint8),
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.noise = self.np_random.integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)
        self.steps = 0
        return self._see(), {}

    def step(self, action):
        end = time.perf_counter() + self.work
        while time.perf_counter() < end:
            pass
        self.steps += 1
        return self._see(), float(action), False, self.steps == 100, {}

    def _see(self):
        frame, mask = self.noise.copy(), np.zeros((SIDE, SIDE), np.uint8)
        place = slice(self.steps % 70, self.steps % 70 + 8)
        frame[place, place], mask[place, place] = 255, 1
        return {"frame": frame, "mask": mask}


def ours(name: str) -> tuple[Callable[[np.ndarray], object], Callable[[], None]]:
    lanes = find(EnvSettings(env=name)).start(NUM_LANES, seed=1)
    frames, masks = arrays()
    lanes.reset(frames, masks)
    return lambda actions: lanes.step(actions, frames, masks), lanes.close


def alone(name: str) -> tuple[Callable[[np.ndarray], object], Callable[[], None]]:
    make = [lambda: gymnasium.make(name, disable_env_checker=True)] * NUM_LANES
    envs = AsyncVectorEnv(make, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)
    envs.reset(seed=1)
    frames, masks = arrays()

    def step(actions: np.ndarray) -> None:
        observation, *_ = envs.step(actions)
        frames[...], masks[...] = observation["frame"], observation["mask"]

    return step, envs.close


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Where a rollout keeps a step's frames and masks."""
    frames = np.empty((NUM_LANES, SIDE, SIDE, 3), np.uint8)
    return frames, np.empty((NUM_LANES, SIDE, SIDE), np.uint8)


def measure(work: float, rounds: int, steps: int = STEPS) -> dict[str, list[float]]:
    """Steps a second of all environments together, by contender, of each round."""
    name = f"benchmarks/Drawing{work * 1e3:g}ms-v0"
    gymnasium.register(name, entry_point=Drawing, kwargs={"work": work})
    contenders = {"AsyncVectorEnv": alone(name), "our lanes": ours(name)}
    speeds: dict[str, list[float]] = {label: [] for label in contenders}
    try:
        for number in range(rounds):
            actions = np.random.default_rng(number).integers(4, size=(steps, NUM_LANES))
            for label, (step, _) in list(contenders.items())[:: -1 if number % 2 else 1]:
                begin = time.perf_counter()
                for chosen in actions:
                    step(chosen)
                speeds[label].append(steps * NUM_LANES / (time.perf_counter() - begin))
    finally:
        for _, close in contenders.values():
            close()
    return speeds


@dataclass
class AdapterSettings:
    """Measure our lanes of gymnasium environments against AsyncVectorEnv."""

    rounds: Positive[int] = 12
    """how many times each of them is measured"""


@command(AdapterSettings, "python benchmarks/gym_adapter.py")
def main(args: AdapterSettings) -> int:
    for work in (0.0, 1e-3):
        speeds = {label: np.median(found) for label, found in measure(work, args.rounds).items()}
        ratio = speeds["our lanes"] / speeds["AsyncVectorEnv"]
        table = ", ".join(f"{label} {speed:,.0f} steps/s" for label, speed in speeds.items())
        print(f"{work * 1e3:g} ms a step: {table}; ratio {ratio:.2f}")
    return 0


if __name__ == "__main__":
    run_command(main)

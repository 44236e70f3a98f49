"""What our lanes cost above gymnasium's AsyncVectorEnv alone, over the same environments.

    python benchmarks/gym_adapter.py --rounds 12
    python benchmarks/gym_adapter.py --import examples/minigrid_doorkey.py --env examples/DoorKey-v0

Eight environments with masks play the same actions in turns; whoever was last begins. Those of this
file have frames of 84 x 84 and do nothing but draw them, or work for a millisecond a step as a
small simulator does. AsyncVectorEnv has shared memory, starts episodes again in the same step, and
gives views, which are written into the arrays of a rollout as our lanes write them. The ratio is of
the medians; a machine that is busy with other things spoils it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from tyro.conf import arg

from rl_attn.envs.protocol import VectorEnv
from rl_attn.envs.registry import EnvSettings, find
from rl_attn.run.cli import command, run_command
from rl_attn.run.plugins import import_all
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


#: Ours, by how long a step works.
DRAWING = {f"benchmarks/Drawing{1e3 * work:g}ms-v0": work for work in (0.0, 1e-3)}
for _name, _work in DRAWING.items():
    gymnasium.register(_name, entry_point=Drawing, kwargs={"work": _work})

Step = Callable[[np.ndarray], object]


def ours(lanes: VectorEnv) -> Step:
    frames, masks = arrays(lanes)
    lanes.reset(frames, masks)
    return lambda actions: lanes.step(actions, frames, masks)


def alone(envs: AsyncVectorEnv, lanes: VectorEnv) -> Step:
    """`lanes` have the shapes, which are the same."""
    frames, masks = arrays(lanes)
    envs.reset(seed=1)

    def step(actions: np.ndarray) -> None:
        observation, *_ = envs.step(actions)
        frames[...], masks[...] = observation["frame"], observation["mask"]

    return step


def arrays(lanes: VectorEnv) -> tuple[np.ndarray, np.ndarray]:
    """Where a rollout keeps a step's frames and masks."""
    frames = np.empty((NUM_LANES, *lanes.frame_shape), np.uint8)
    return frames, np.empty((NUM_LANES, *lanes.mask_shape), np.uint8)


def make(name: str, imports: Sequence[str] = ()) -> gymnasium.Env:
    """In a process of its own, which has imported this file alone."""
    import_all(imports)
    return gymnasium.make(name, disable_env_checker=True)


def measure(
    name: str,
    rounds: int,
    steps: int = STEPS,
    imports: Sequence[str] = (),
    context: str = "fork",
) -> dict[str, list[float]]:
    """Steps a second of all environments together, by contender, of each round."""
    lanes = find(EnvSettings(env=name)).start(NUM_LANES, seed=1)
    envs = AsyncVectorEnv(
        [partial(make, name, imports)] * NUM_LANES,
        copy=False,
        context=context,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    contenders = {"AsyncVectorEnv": alone(envs, lanes), "our lanes": ours(lanes)}
    speeds: dict[str, list[float]] = {label: [] for label in contenders}
    envs.action_space.seed(1)
    try:
        for number in range(rounds):
            actions = [envs.action_space.sample() for _ in range(steps)]
            for label, step in list(contenders.items())[:: -1 if number % 2 else 1]:
                begin = time.perf_counter()
                for chosen in actions:
                    step(chosen)
                speeds[label].append(steps * NUM_LANES / (time.perf_counter() - begin))
    finally:
        envs.close()
        lanes.close()
    return speeds


@dataclass
class AdapterSettings:
    """Measure our lanes of gymnasium environments against AsyncVectorEnv."""

    rounds: Positive[int] = 12
    """how many times each of them is measured"""
    env: tuple[str, ...] = tuple(DRAWING)
    """which environments, by gymnasium's names"""
    imports: Annotated[tuple[str, ...], arg(name="import")] = ()
    """modules or files that register environments"""
    context: Literal["fork", "spawn"] = "fork"
    """how AsyncVectorEnv starts its processes. Ours are forked; AsyncVectorEnv makes an environment
    before it forks, which some renderers (dm_control's) do not survive: spawn for those"""


@command(AdapterSettings, "python benchmarks/gym_adapter.py")
def main(args: AdapterSettings) -> int:
    import_all(args.imports)
    for name in args.env:
        found = measure(name, args.rounds, imports=args.imports, context=args.context)
        speeds = {label: np.median(speeds) for label, speeds in found.items()}
        ratio = speeds["our lanes"] / speeds["AsyncVectorEnv"]
        table = ", ".join(f"{label} {speed:,.0f} steps/s" for label, speed in speeds.items())
        print(f"{name}: {table}; ratio {ratio:.2f}", flush=True)
    return 0


if __name__ == "__main__":
    run_command(main)

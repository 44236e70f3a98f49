"""Contenders that step games with random actions; see `rl_throughput.py`.

All of them play the same episodes: seeds and actions are the same, and the sum of the raw rewards
proves it. This file must not import torch, whose memory would otherwise be counted for them.
"""

from functools import partial
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from workload import Games

from rl_attn.envs.doom.env import DoomEnv
from rl_attn.envs.doom.lanes import Lanes

SEED = 1


class Stepping:
    """`step(actions (N,)) -> raw rewards (N,)`, with frames and masks made on the way."""

    def __init__(self, args: Games, num_actions: int) -> None:
        self.note = f"{args.num_envs} games, {args.width}x{args.height} gray with masks"
        self._shape = (args.num_envs, num_actions)
        self._random = np.random.default_rng(SEED)

    def step(self, actions: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def run(self, count: int) -> float:
        """`count` steps of every game; returns the sum of their rewards."""
        num_envs, num_actions = self._shape
        total = 0.0
        for actions in self._random.integers(num_actions, size=(count, num_envs)):
            total += float(self.step(actions).sum())
        return total


class OurLanes(Stepping):
    """`rl_attn.envs.doom.lanes`, writing into arrays that are used again."""

    def __init__(self, args: Games) -> None:
        self._lanes = Lanes(args.env, args.num_envs, resolution=(args.width, args.height))
        self._frames = np.empty((args.num_envs, *self._lanes.frame_shape), np.uint8)
        self._masks = np.empty((args.num_envs, *self._lanes.mask_shape), np.uint8)
        self._lanes.reset(self._frames, self._masks, seeds=range(SEED, SEED + args.num_envs))
        super().__init__(args, int(self._lanes.action_space.n))

    def step(self, actions: np.ndarray) -> np.ndarray:
        return self._lanes.step(actions, self._frames, self._masks).rewards

    def close(self) -> None:
        self._lanes.close()


class SteppingEnvs(Stepping):
    """`_envs` of another library, which begin the next episode by themselves."""

    _envs: Any

    def step(self, actions: np.ndarray) -> np.ndarray:
        return self._envs.step(actions)[1]

    def close(self) -> None:
        self._envs.close()


class GymnasiumAsync(SteppingEnvs):
    """gymnasium's fastest vector: a process a game, observations in shared memory."""

    def __init__(self, args: Games) -> None:
        make = partial(DoomEnv, args.env, resolution=(args.width, args.height))
        self._envs = AsyncVectorEnv(
            [make] * args.num_envs,
            shared_memory=True,
            # Its default would spend a step on every reset, in which no game is stepped.
            autoreset_mode=AutoresetMode.SAME_STEP,
        )
        self._envs.reset(seed=SEED)
        super().__init__(args, int(self._envs.single_action_space.n))


class EnvPool(SteppingEnvs):
    """EnvPool's ViZDoom: RGB frames without labels, and episodes and rewards of its own."""

    #: Our scenarios that it has.
    NAMES: ClassVar = {"DefendCenter": "DefendTheCenter-v1", "DefendLine": "DefendTheLine-v1"}

    def __init__(self, args: Games) -> None:
        import envpool

        self._envs = envpool.make_gymnasium(
            self.NAMES[args.env],
            num_envs=args.num_envs,
            img_width=args.width,
            img_height=args.height,
            stack_num=1,
            frame_skip=4,
            seed=SEED,
        )
        self._envs.reset()
        buttons = self._envs.action_space.shape[0]
        self._pressed = np.eye(1 + buttons)[:, 1:]  # action 0 presses none
        super().__init__(args, 1 + buttons)

    def step(self, actions: np.ndarray) -> np.ndarray:
        return super().step(self._pressed[actions])


class SB3Subproc(SteppingEnvs):
    """stable-baselines3's vector of processes, observations through pipes."""

    def __init__(self, args: Games) -> None:
        from stable_baselines3.common.vec_env import SubprocVecEnv  # brings torch along

        make = partial(DoomEnv, args.env, resolution=(args.width, args.height))
        self._envs = SubprocVecEnv([make] * args.num_envs)
        self._envs.seed(SEED)
        self._envs.reset()
        super().__init__(args, int(self._envs.action_space.n))

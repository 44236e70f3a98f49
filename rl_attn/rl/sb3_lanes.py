"""Our lanes as a vector environment of stable-baselines3.

    env = LanesVecEnv("DefendCenter", num_envs=8)      # in place of make_vec_env(...)

Games are stepped by threads of this process (`envs.doom.lanes`) and reset within the step that ends
an episode, as stable-baselines3 expects: the last observation is in `info["terminal_observation"]`.
Rewards are the game's own. An episode that a time limit or a fault ended has
`info["TimeLimit.truncated"]`, so that PPO bootstraps its value.
"""

import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from rl_attn.envs.doom.env import TICS_PER_SECOND
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.protocol import Step

Observation = dict[str, np.ndarray]


class LanesVecEnv(VecEnv):
    """See the head of this file. Observations: `frame` (H, W, C) and `mask` (H, W), uint8."""

    def __init__(self, scenario: str, num_envs: int = 8, **settings: Any) -> None:
        """settings: of `Lanes`, such as resolution, rgb, frame_skip, targets, seed."""
        self.render_mode = "rgb_array"  # the frames are there anyway: VecVideoRecorder takes them
        self._lanes = Lanes(scenario, num_envs, **settings)
        self._started = time.time()
        self._spaces: dict[str, Any] = {
            "frame": gymnasium.spaces.Box(0, 255, self._lanes.frame_shape, np.uint8),
            "mask": gymnasium.spaces.Box(0, 1, self._lanes.mask_shape, np.uint8),
        }
        observations = gymnasium.spaces.Dict(self._spaces)
        super().__init__(num_envs, observations, self._lanes.action_space)
        self.metadata["render_fps"] = TICS_PER_SECOND / settings.get("frame_skip", 4)
        self._observation = self._new_observation()

    @property
    def faults(self) -> int:
        """How many games have died or hung so far."""
        return self._lanes.faults

    def reset(self) -> Observation:
        """Begin an episode in every game, of the seeds given to `seed` if it was called."""
        seeds = None if self._seeds[0] is None else self._seeds
        observation = self._new_observation()
        self._lanes.reset(observation["frame"], observation["mask"], seeds=seeds)
        self._reset_seeds()
        self._observation = observation
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        self._next = self._new_observation()
        self._lanes.send(actions, self._next["frame"], self._next["mask"])

    def step_wait(self) -> tuple[Observation, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        step = self._lanes.wait()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for episode in step.episodes:
            infos[episode.lane] = {
                "terminal_observation": self._last_observation(step, episode.lane),
                "TimeLimit.truncated": bool(step.truncated[episode.lane]),
                "episode": {
                    "r": episode.episode_return,
                    "l": episode.length,
                    "t": round(time.time() - self._started, 6),
                },
                "fault": episode.fault,
            }
        self._observation = self._next
        return self._next, step.rewards, step.terminated | step.truncated, infos

    def close(self) -> None:
        """End all games."""
        self._lanes.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError(f"the games share their settings: {attr_name} cannot be set")

    def env_method(
        self, method_name: str, *arguments: Any, indices: Any = None, **settings: Any
    ) -> list[Any]:
        raise NotImplementedError(f"the games have no methods of their own: {method_name}")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """No game has a wrapper of its own; what wraps them all says so itself."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray]:
        """The current frames as (H, W, 3) uint8."""
        return [np.broadcast_to(f, (*f.shape[:2], 3)) for f in self._observation["frame"]]

    def _new_observation(self) -> Observation:
        return {
            key: np.zeros((self.num_envs, *space.shape), np.uint8)
            for key, space in self._spaces.items()
        }

    def _last_observation(self, step: Step, lane: int) -> Observation:
        """What the agent saw last: a terminated game has no frame of its end."""
        if lane in step.final_frames:
            return {"frame": step.final_frames[lane], "mask": step.final_masks[lane]}
        return {key: array[lane] for key, array in self._observation.items()}

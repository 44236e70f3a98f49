"""Many games with gymnasium's interface for vectors of environments, for use by other libraries.

    envs = gymnasium.make_vec(
        "rl_attn/DefendCenter-v0", num_envs=8, vectorization_mode="vector_entry_point"
    )

The games are those of `lanes.py`, and `reset(seed=s)` makes game i play what a single environment
plays after `reset(seed=s + i)`. `autoreset_mode` says when the episode after one that has ended
begins, as gymnasium defines it. `infos["final_info"]` has `raw_reward`, the ended episode's raw
return and length (`["episode"]["r"]`, `["l"]`), and `fault`: whether it was cut short because the
game died or hung. In the mode SAME_STEP, the default, `infos["final_obs"]` has its last
observation; in the others that is the step's own.
An unpickled environment is a new one made with the same arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from rl_attn.envs.doom.env import TICS_PER_SECOND, check_options, observation_space
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.looks import Look, Looks, variation_space
from rl_attn.envs.doom.made_again import MadeAgain
from rl_attn.envs.doom.scenarios import Scenario, resolve
from rl_attn.envs.protocol import Step
from rl_attn.errors import UserError

Observation = dict[str, np.ndarray]


class DoomVectorEnv(MadeAgain, gymnasium.vector.VectorEnv):
    """See the head of this file. Observations are new arrays in every step."""

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": TICS_PER_SECOND,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        scenario: str | Scenario,
        num_envs: int = 1,
        *,
        resolution: tuple[int, int] = (160, 120),
        rgb: bool = False,
        frame_skip: int = 4,
        targets: Sequence[str] | None = None,
        actions: str | None = None,
        max_buttons: int | None = None,
        delta_values: Sequence[float] | None = None,
        variables: Sequence[str] | None = None,
        looks: Looks | Iterable[Look] | str | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        num_threads: int | None = None,
        hang_timeout: float = 30.0,
    ) -> None:
        """Arguments as in `DoomEnv` and `Lanes`; ValueError for those that make no sense.

        max_episode_steps: an episode is truncated after so many, if not before.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is {render_mode!r}: choose None or 'rgb_array'")
        changes = {"max_buttons": max_buttons, "delta_values": delta_values}
        resolved = resolve(scenario, targets, actions=actions, variables=variables, **changes)
        self._lanes = Lanes(
            _limited(resolved, max_episode_steps, frame_skip),
            num_envs,
            resolution=resolution,
            rgb=rgb,
            frame_skip=frame_skip,
            autoreset=autoreset_mode,
            looks=looks,
            seed=int(np.random.SeedSequence().generate_state(1)[0]),
            num_threads=num_threads,
            hang_timeout=hang_timeout,
        )
        self.num_envs = num_envs
        self.render_mode = render_mode
        self._autoreset = AutoresetMode(autoreset_mode)
        self.metadata = {
            **self.metadata,
            "render_fps": TICS_PER_SECOND / frame_skip,
            "autoreset_mode": self._autoreset,
        }
        self.single_observation_space = observation_space(self._lanes)
        self.single_action_space = self._lanes.action_space
        self.variation_space = variation_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._observation = self._new_observation()
        self._begun = False

    @property
    def faults(self) -> int:
        """How many games have died or hung so far."""
        return self._lanes.faults

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode in every game. `seed`: of the first game, or one or None for each.

        options: `reset_mask` (num_envs,) bool, the games to reset; the others stay where they are.
        `variation`, as in `DoomEnv.reset`, of all games, or a list with one for each: the looks of
        the episodes from now on, until another reset.
        """
        options = options or {}
        check_options(options, ("reset_mask", "variation"))
        if isinstance(seed, int | np.integer):
            seed = [int(seed) + index for index in range(self.num_envs)]
        only = self._reset_mask(options["reset_mask"]) if "reset_mask" in options else None
        looks = self._variations(options.get("variation"))
        observation = {key: array.copy() for key, array in self._observation.items()}
        frames, masks = observation["frame"], observation["mask"]
        self._lanes.reset(frames, masks, seeds=seed, only=only, variations=looks)
        self._add_variables(observation)
        self._observation, self._begun = observation, True
        return observation, {"raw_reward": np.zeros(self.num_envs, np.float32)}

    def step(
        self, actions: np.ndarray
    ) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every game by one action: actions (num_envs, ...); rewards are raw.

        ValueError for what are not actions, ResetNeeded if `reset` has not been called.
        """
        if not self._begun:
            raise gymnasium.error.ResetNeeded("no episode has begun: call reset() before step()")
        observation = self._new_observation()
        step = self._lanes.step(actions, observation["frame"], observation["mask"])
        self._add_variables(observation)
        infos: dict[str, Any] = {}
        for episode in step.episodes:
            final = {
                "final_info": {
                    "raw_reward": float(step.rewards[episode.lane]),
                    "episode": {"r": episode.episode_return, "l": episode.length},
                    "fault": episode.fault,
                },
            }
            if self._autoreset is AutoresetMode.SAME_STEP:
                final = {"final_obs": self._final_observation(step, episode.lane), **final}
            infos = self._add_info(infos, final, episode.lane)
        infos["raw_reward"] = step.rewards.copy()
        self._observation = observation
        return observation, step.rewards, step.terminated, step.truncated, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The current frame of each game as (H, W, 3) uint8 in the mode "rgb_array"."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() needs render_mode='rgb_array' in make_vec()")
            return None
        frames = np.broadcast_to(
            self._observation["frame"], (self.num_envs, *self._lanes.mask_shape, 3)
        )
        return tuple(frame.copy() for frame in frames)

    def close_extras(self, **kwargs: Any) -> None:
        """End all games; called by gymnasium's `close`."""
        self._lanes.close()

    def _variations(self, variation: Any) -> list[Any]:
        """One for each game. A list of names is one: of axes that vary."""
        each = isinstance(variation, list | tuple) and not all(
            isinstance(one, str) for one in variation
        )
        return list(variation) if each else [variation] * self.num_envs

    def _reset_mask(self, mask: np.ndarray) -> list[bool]:
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (self.num_envs,):
            raise UserError(
                f"reset_mask is {mask.dtype} of shape {mask.shape}: give bool of ({self.num_envs},)"
            )
        if not (mask.all() or self._begun):
            raise gymnasium.error.ResetNeeded("the first reset must be of all games")
        return mask.tolist()

    def _new_observation(self) -> Observation:
        return {
            "frame": np.empty((self.num_envs, *self._lanes.frame_shape), np.uint8),
            "mask": np.empty((self.num_envs, *self._lanes.mask_shape), np.uint8),
        }

    def _add_variables(self, observation: Observation) -> None:
        if self._lanes.scenario.variables:
            observation["variables"] = self._lanes.variables

    def _final_observation(self, step: Step, index: int) -> Observation:
        """What the agent saw last: a terminated game has no frame of its end."""
        if index in step.final_frames:
            final = {
                "frame": step.final_frames[index],
                "mask": step.final_masks[index],
                "variables": step.final_variables[index],
            }
            return {key: final[key] for key in self._observation}
        return {key: array[index].copy() for key, array in self._observation.items()}


def _limited(scenario: Scenario, max_steps: int | None, frame_skip: int) -> Scenario:
    """The scenario, with episodes of at most that many steps."""
    if max_steps is None:
        return scenario
    if max_steps < 1:
        raise UserError(f"max_episode_steps is {max_steps}: it must be at least 1")
    limits = (max_steps * frame_skip, scenario.time_limit)
    return replace(scenario, time_limit=min(limit for limit in limits if limit is not None))

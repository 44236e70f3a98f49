"""One Doom scenario as a gymnasium environment.

    env = gymnasium.make("rl_attn/TakeCover-v0", resolution=(320, 240), rgb=True)
    observation, info = env.reset(seed=7)
    observation["frame"]    # (H, W, C) uint8, C = 1 (gray) or 3 (RGB)
    observation["mask"]     # (H, W) uint8, 1 on the pixels of the targets

Rewards are the game's own, in `info["raw_reward"]` as well, where wrappers do not change them.
A game that dies or hangs is a GameFault; the next `reset` begins with another.
After `reset(seed=s)` the same actions give the same episodes, the following ones included. The
observation of a terminal step is the last frame seen: Doom draws none of a game that is over.
An unpickled environment is a new one made with the same arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import gymnasium
import numpy as np

from rl_attn.envs.doom.game import Game
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.looks import (
    AXES,
    TARGET_AXES,
    Look,
    Looks,
    look_of_episode,
    numbers_of,
    variation_space,
)
from rl_attn.envs.doom.made_again import MadeAgain
from rl_attn.envs.doom.processes import check_shared_memory
from rl_attn.envs.doom.scenarios import Scenario, resolve
from rl_attn.envs.seeds import draw_episode_seed, first_episode_seed
from rl_attn.envs.watchdog import Watchdog
from rl_attn.errors import UserError

Observation = dict[str, np.ndarray]

# Tics a second of Doom's clock.
TICS_PER_SECOND = 35


def observation_space(game: Game | Lanes) -> gymnasium.spaces.Dict:
    """The frame, the mask and, where some were asked for, the game variables of that game."""
    spaces = {
        "frame": gymnasium.spaces.Box(0, 255, game.frame_shape, np.uint8),
        "mask": gymnasium.spaces.Box(0, 1, game.mask_shape, np.uint8),
    }
    if game.scenario.variables:
        shape = (len(game.scenario.variables),)
        spaces["variables"] = gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
    return gymnasium.spaces.Dict(spaces)


def check_options(options: dict[str, Any] | None, known: Sequence[str] = ()) -> None:
    """UserError for an option of `reset` that there is not: it would be ignored without a word."""
    for name in options or ():
        if name not in known:
            listed = ", ".join(known) or "none"
            raise UserError(f"reset has no option {name!r}; known options: {listed}")


class DoomEnv(MadeAgain, gymnasium.Env[Observation, np.int64]):
    """See the head of this file. The game starts at the first `reset`."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": TICS_PER_SECOND}  # noqa: RUF012

    def __init__(
        self,
        scenario: str | Scenario,
        resolution: tuple[int, int] = (160, 120),
        rgb: bool = False,
        frame_skip: int = 4,
        targets: Sequence[str] | None = None,
        actions: str | None = None,
        max_buttons: int | None = None,
        delta_values: Sequence[float] | None = None,
        variables: Sequence[str] | None = None,
        looks: Looks | Iterable[Look] | str | None = None,
        render_mode: str | None = None,
        hang_timeout: float = 30.0,
    ) -> None:
        """resolution: (width, height) in pixels. frame_skip: tics (1/35 s) an action lasts.

        targets: object names or "category:NAME" in place of the scenario's own. actions,
        max_buttons, delta_values: see `actions.py`. variables: ViZDoom's game variables, such as
        HEALTH, to be observed as observation["variables"] (V,) float32. looks: of the episodes,
        one drawn from each episode's seed, such as "train:surfaces,light". hang_timeout: seconds
        that one call to the game may take before it is killed. ValueError for an unknown scenario,
        target or resolution.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is {render_mode!r}: choose None or 'rgb_array'")
        changes = {"max_buttons": max_buttons, "delta_values": delta_values}
        resolved = resolve(scenario, targets, actions=actions, variables=variables, **changes)
        self.looks = Looks.given(looks)
        given = () if self.looks is None else self.looks.looks
        self._game = Game(resolved, resolution, rgb, frame_skip, given)
        self.variation_space = variation_space()
        self.held_out = {axis: tuple(numbers_of(axis).test) for axis in AXES}
        self.target_axes = TARGET_AXES
        check_shared_memory(1, self._game.frame_shape)
        self._watchdog = Watchdog(self._game, hang_timeout)
        self.metadata = {**self.metadata, "render_fps": TICS_PER_SECOND / frame_skip}
        self.render_mode = render_mode
        self.action_names = self._game.actions.names
        self.action_space = self._game.actions.space
        self.observation_space = observation_space(self._game)
        self._playing = False
        self._frame = np.zeros(self._game.frame_shape, np.uint8)
        self._mask = np.zeros(self._game.mask_shape, np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode. Raises GameFault if the engine dies; the next `reset` restarts it.

        options: `variation`, the look of this episode: a list of axes, each drawn again from its
        values to train with, or numbers of `variation_space` by axis. The game stays what the seed
        makes it. `info["look"]` says which look it is.
        """
        super().reset(seed=seed)
        check_options(options, ("variation",))
        if seed is None:
            episode_seed = draw_episode_seed(self.np_random)
        else:
            episode_seed = first_episode_seed(seed)
        look = look_of_episode(self.looks, (options or {}).get("variation"), episode_seed)
        with self._watchdog:
            self._game.start(episode_seed, self._frame, self._mask, look)
        self._playing = True
        return self._observation(), {"raw_reward": 0.0, "look": asdict(look)}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Hold an action for `frame_skip` tics. Raises GameFault if the engine dies.

        ValueError for what is not an action, ResetNeeded if there is no episode or it is over.
        """
        action = self._game.actions.check(np.asarray(action)[None], 1)[0]
        if not self._playing:
            raise gymnasium.error.ResetNeeded("no episode is going on: call reset() before step()")
        self._playing = False  # nor is there one after an error
        with self._watchdog:
            reward, terminated, truncated = self._game.step(action, self._frame, self._mask)
        self._playing = not (terminated or truncated)
        return self._observation(), reward, terminated, truncated, {"raw_reward": reward}

    def render(self) -> np.ndarray | None:
        """The current frame as (H, W, 3) uint8 in the mode "rgb_array"."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() needs render_mode='rgb_array' in gymnasium.make()")
            return None
        return self._frame.repeat(3, axis=-1) if self._frame.shape[-1] == 1 else self._frame.copy()

    def close(self) -> None:
        """End the game. A later `reset` starts it again."""
        self._playing = False
        self._watchdog.close()
        self._game.close()

    def _observation(self) -> Observation:
        observation = {"frame": self._frame.copy(), "mask": self._mask.copy()}
        if self._game.scenario.variables:
            observation["variables"] = self._game.variables.copy()
        return observation

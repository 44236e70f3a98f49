"""From a name to an environment: what it is like, and many of it at once.

    environment = find(EnvSettings(env="DefendCenter"))
    environment.frame_shape, environment.action_space     # no game has been started
    with environment.start(num_lanes=8, seed=1) as lanes:  # a protocol.VectorEnv
        ...

Names are those of our Doom scenarios, and `module:Id-v0`: the module is imported, and then the
environment of that id made by gymnasium. The module may be left out where --import has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from rl_attn.env_settings import EnvSettings
from rl_attn.errors import UserError

if TYPE_CHECKING:
    import gymnasium

    from rl_attn.envs.protocol import VectorEnv
    from rl_attn.envs.variations import Variations

#: What is said, behind its name, of an environment that does not replay: when a run of it begins,
#: and when somebody tries to resume it.
CANNOT_RESUME = (
    "does not play the same episode again from the same seed and actions, so that a run of it "
    "cannot be resumed: draw all its random numbers from self.np_random, and reset everything"
)


@dataclass(frozen=True)
class Environment:
    """What is known of an environment before it starts, and how to start it."""

    name: str
    frame_shape: tuple[int, int, int]  # (H, W, C), C = 1 or 3
    mask_shape: tuple[int, int]  # (H, W)
    action_space: gymnasium.Space  # of one environment
    action_names: tuple[str, ...]  # of a Discrete space; empty where nobody knows
    fps: Fraction  # steps a second in real time, for videos
    replays: bool  # the same seed and actions give the same episode, so that runs can be resumed
    objects: tuple[str, ...]  # names of what the mask shows; empty where nobody knows
    #: start(num_lanes, *, seed=0, first_lane=0, episode_seeds=None, num_groups=1), of `lane_seeds`.
    start: Callable[..., VectorEnv]
    #: What may look another way in the same game; None: nothing. Takes a moment to find out.
    variations: Callable[[], Variations | None] = lambda: None
    #: check_room(num_lanes): UserError where the machine has no room for as many.
    check_room: Callable[[int], None] = lambda num_lanes: None


#: Flags that only one kind of environment has a use for.
_OF_DOOM = (
    *("targets", "width", "height", "rgb", "frame_skip"),
    *("actions", "max_buttons", "delta_values", "wad"),
)
_OF_GYMNASIUM = ("frame_key", "mask_key", "env_processes")


def find(settings: EnvSettings) -> Environment:
    """The environment of that name; UserError, in one line, for what cannot be played."""
    if is_gymnasium_id(settings.env):
        _refuse(settings, _OF_DOOM, f"Doom: leave it out, or wrap {settings.env} yourself")
        from rl_attn.envs.gym import gym_environment

        return gym_environment(settings)
    if re.search(r"-v\d+$", settings.env):
        raise UserError(
            f"gymnasium knows no {settings.env}: say which module registers it, module:"
            f"{settings.env}, or --import its file"
        )
    _refuse(settings, _OF_GYMNASIUM, f"gymnasium's environments: leave it out with {settings.env}")
    from rl_attn.envs.doom.environment import doom_environment

    return doom_environment(settings)


def _refuse(settings: EnvSettings, fields: tuple[str, ...], told: str) -> None:
    default = EnvSettings()
    for field in fields:
        if getattr(settings, field) != getattr(default, field):
            no = "no-" if getattr(settings, field) is False else ""
            raise UserError(f"--{no}{field.replace('_', '-')} is for {told}")


def is_gymnasium_id(name: str) -> bool:
    """Whether it is `module:Id-v0`, or an id that is registered already."""
    if ":" in name:
        return not name.lower().endswith(".cfg")
    import gymnasium

    return name in gymnasium.registry

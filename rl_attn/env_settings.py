"""Which environment: the flags that several commands share, apart from `envs` and its gymnasium."""

import re
import sys
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from rl_attn.errors import choose

#: The names of `envs.doom.scenarios.SCENARIOS`.
SCENARIO_NAMES = (
    "Basic",
    "DefendLine",
    "DefendCenter",
    "TakeCover",
    "DeadlyCorridor",
    "HealthGathering",
    "PredictPosition",
    "MyWayHome",
    "SimplerBasic",
    "RocketBasic",
    "Learning",
    "BasicAudio",
    "BasicNotifications",
    "HealthGatheringSupreme",
    "Deathmatch",
    "Freedoom1",
    "Freedoom2",
)


@dataclass
class EnvSettings:
    """Which environment; commands inherit these flags."""

    env: str = "DefendCenter"
    """a Doom scenario (Basic, DefendLine, DefendCenter, TakeCover, DeadlyCorridor,
    HealthGathering, MyWayHome, ...), the path of a scenario file (my.cfg, with --targets), or
    module:Id-v0 for an environment of gymnasium's"""
    targets: tuple[str, ...] = ()
    """what to attend to: object names (DoomImpBall) or categories (category:Monster);
    empty: the scenario's own"""
    width: Annotated[int, Interval(ge=1, le=8192)] = 160
    """frame width in pixels (of Doom)"""
    height: Annotated[int, Interval(ge=1, le=8192)] = 120
    """frame height in pixels (of Doom)"""
    frame_size: str = ""
    """scale frames and masks by area to width x height pixels, such as 84x84; a pixel of the mask
    is on where any part of it was. Doom draws at width and height, or the next larger size it has
    that holds this one. Empty: as they are"""
    rgb: bool = False
    """colour frames instead of gray ones (of Doom)"""
    frame_skip: Annotated[int, Interval(ge=1, le=1000)] = 4
    """game tics an action is repeated for (of Doom)"""
    actions: Literal["discrete", "binary", "box"] = "discrete"
    """of Doom, how buttons are pressed: an action is one set of buttons, each button is on or off,
    or each is a number"""
    max_buttons: Annotated[int, Interval(ge=1, le=20)] = 1
    """buttons that one discrete action may press at once (of Doom)"""
    delta_values: tuple[float, ...] = ()
    """amounts of a button that takes one, such as TURN_LEFT_RIGHT_DELTA: an action each, or for
    boxes the largest one; empty: the scenario's own, -10 and 10 (of Doom)"""
    wad: str = ""
    """path of another WAD to play, with all else of the scenario (of Doom)"""
    looks: str = ""
    """draw another look each episode: "train:surfaces,light", "test:all"; empty: the plain one"""
    frame_key: str = "frame"
    """key of the frame in an observation (gymnasium's environments)"""
    mask_key: str = "mask"
    """key of the mask in an observation (gymnasium's environments)"""
    env_processes: bool = True
    """step each environment in a process of its own (gymnasium's environments)"""


def check_name(settings: EnvSettings) -> None:
    """A UserError for what cannot be the name of an environment; imports none.

    `envs.registry.find` has the last word: --import may have registered others, with gymnasium.
    """
    name = settings.env
    of_gymnasium = ":" in name or re.search(r"-v\d+$", name) or "gymnasium" in sys.modules
    if not (of_gymnasium or name.lower().endswith(".cfg")):
        choose("environment", name, SCENARIO_NAMES)

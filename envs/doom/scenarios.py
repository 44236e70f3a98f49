"""The Doom scenarios that agents train on, as one table.

A scenario says which file of the ViZDoom package defines the game, which of the objects on the
screen are the targets an agent should attend to, and after how many tics (1/35 s) an episode is
cut off. Everything else of the code asks this table; nothing else knows an object's name.

    resolve("DefendCenter")                               # the targets of the table
    resolve("TakeCover", targets=["DoomImpBall"])         # only the fire balls
    resolve("DefendLine", targets=["category:Monster", "DoomImpBall"])

    resolve("my.cfg", targets=["Medikit"])                # a file of one's own: scenario_file.py

A target is an object's name ("DoomImpBall") or all objects of a category ("category:Monster"), as
ViZDoom's labels spell them. A dead monster has a name and a category of its own ("DeadDemon",
"Gore"), so it stops being a target when it dies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import gymnasium

from rl_attn.errors import UserError, choose
from rl_attn.registry import Registry

CATEGORY_PREFIX = "category:"

# What ViZDoom calls the category of each object that a scenario below can show.
CATEGORIES = {
    "Blood": "Gibs",
    "BulletPuff": "Explosive",
    "Cacodemon": "Monster",
    "Chaingun": "Weapon",
    "ChaingunGuy": "Monster",
    "Clip": "Ammo",
    "CustomMedikit": "Health",
    "CustomRocket": "Internal",
    "DeadCacodemon": "Gore",
    "DeadChaingunGuy": "Gore",
    "DeadDemon": "Gore",
    "DeadDoomImp": "Gore",
    "DeadShotgunGuy": "Gore",
    "DeadZombieman": "Gore",
    "Demon": "Monster",
    "DoomImp": "Monster",
    "DoomImpBall": "Explosive",
    "DoomPlayer": "Self",
    "GreenArmor": "Armor",
    "MarineChainsawVzd": "Monster",
    "Medikit": "Health",
    "Poison": "Health",
    "Rocket": "Explosive",
    "RocketSmokeTrail": "SFX",
    "Shotgun": "Weapon",
    "ShotgunGuy": "Monster",
    "TeleportFog": "SFX",
    "Zombieman": "Monster",
}


@dataclass(frozen=True)
class Scenario:
    """One game: its file, its targets and its time limit."""

    name: str
    config: str  # file: its name in ViZDoom's folder of scenarios, or its whole path
    targets: tuple[str, ...]  # rules: object names and "category:NAME"
    time_limit: int | None  # tics after which an episode is truncated; None: never
    shown: tuple[str, ...]  # names of all objects that can appear on the screen; (): not known
    actions: str = "discrete"  # or "binary", "box": see `actions.py`
    max_buttons: int = 1  # pressed at once by one action, where they are discrete
    delta_values: tuple[float, ...] = (-10.0, 10.0)  # of each delta button
    wad: str = ""  # path of a WAD that is played in place of the file's own
    variables: tuple[str, ...] = ()  # ViZDoom's game variables that are observed, such as HEALTH

    def is_target(self, name: str, category: str) -> bool:
        """Whether an object with this label is one of the targets; case does not matter."""
        rules = {rule.lower() for rule in self.targets}
        return name.lower() in rules or (CATEGORY_PREFIX + category).lower() in rules

    def target_choices(self) -> list[str]:
        """Every rule that can match something this scenario shows."""
        if not self.shown:
            from rl_attn.envs.doom.scenario_file import known_targets  # vizdoom is heavy

            return known_targets(self.config, self.wad)
        categories = {CATEGORIES[name] for name in self.shown if name in CATEGORIES}
        return sorted(self.shown) + [CATEGORY_PREFIX + name for name in sorted(categories)]


MONSTERS = ("category:Monster",)
_SHOTS = ("BulletPuff", "Blood", "DoomPlayer")  # what every scenario with a gun shows
_BASIC = ("Cacodemon", "DeadCacodemon", *_SHOTS)

_TABLE = (
    Scenario("Basic", "basic.cfg", MONSTERS, 300, _BASIC),
    Scenario(
        "DefendLine",
        "defend_the_line.cfg",
        MONSTERS,
        None,
        ("Demon", "DoomImp", "DoomImpBall", *_SHOTS),
    ),
    Scenario(
        "DefendCenter",
        "defend_the_center.cfg",
        MONSTERS,
        2100,
        ("Demon", "MarineChainsawVzd", *_SHOTS),
    ),
    Scenario(
        "TakeCover",
        "take_cover.cfg",
        (*MONSTERS, "DoomImpBall"),
        None,
        ("DoomImp", "DoomImpBall"),
    ),
    Scenario(
        "DeadlyCorridor",
        "deadly_corridor.cfg",
        MONSTERS,
        2100,
        (
            *("ChaingunGuy", "ShotgunGuy", "Zombieman"),
            *("DeadChaingunGuy", "DeadShotgunGuy", "DeadZombieman"),
            *("Chaingun", "Clip", "GreenArmor", "Shotgun", "TeleportFog"),
            *_SHOTS,
        ),
    ),
    Scenario("HealthGathering", "health_gathering.cfg", ("Medikit",), 2100, ("Medikit",)),
    Scenario(
        "PredictPosition",
        "predict_position.cfg",
        MONSTERS,
        300,
        ("Cacodemon", "DeadCacodemon", "Rocket", "RocketSmokeTrail", "DoomPlayer"),
    ),
    Scenario("MyWayHome", "my_way_home.cfg", ("GreenArmor",), 2100, ("GreenArmor",)),
    Scenario("SimplerBasic", "simpler_basic.cfg", MONSTERS, 300, _BASIC),
    Scenario(
        "RocketBasic",
        "rocket_basic.cfg",
        MONSTERS,
        300,
        ("Cacodemon", "CustomRocket", "DeadCacodemon", "DoomPlayer", "RocketSmokeTrail"),
    ),
    Scenario("Learning", "learning.cfg", MONSTERS, 300, _BASIC),  # Basic, without variables
    # The monster is drawn with no pixels and heard only, so masks are always empty: nothing shown.
    Scenario("BasicAudio", "basic_audio.cfg", ("Cacodemon",), 300, ()),
    # A message says which of the three monsters to shoot; the others cost 44 points.
    Scenario(
        "BasicNotifications",
        "basic_notifications.cfg",
        MONSTERS,
        300,
        ("Demon", "DoomImp", "DeadDemon", "DeadDoomImp", "TeleportFog", *_BASIC),
    ),
    # The poison must be avoided: it matters as much as the medikits.
    Scenario(
        "HealthGatheringSupreme",
        "health_gathering_supreme.cfg",
        ("CustomMedikit", "Poison"),
        2100,
        ("CustomMedikit", "Poison"),
    ),
    # Whole games, with more objects than a list here would hold.
    Scenario("Deathmatch", "deathmatch.cfg", MONSTERS, 4200, ()),
    Scenario("Freedoom1", "freedoom1.cfg", MONSTERS, 126000, ()),
    Scenario("Freedoom2", "freedoom2.cfg", MONSTERS, 126000, ()),
)


def register_with_gymnasium(name: str) -> None:
    """Make a name of SCENARIOS known to `gymnasium.make` and `make_vec` as "rl_attn/NAME-v0"."""
    gymnasium.register(
        id=f"rl_attn/{name}-v0",
        entry_point="rl_attn.envs.doom.env:DoomEnv",
        vector_entry_point="rl_attn.envs.doom.vector:DoomVectorEnv",
        kwargs={"scenario": name},
    )


SCENARIOS: Registry[Scenario] = Registry("environment")
SCENARIOS.update({scenario.name: scenario for scenario in _TABLE})


def resolve(
    scenario: str | Scenario, targets: Sequence[str] | None = None, **changes: Any
) -> Scenario:
    """The scenario of that name or file, with its targets replaced if `targets` are given.

    changes: of the scenario's other fields, such as max_buttons=2; None keeps what it has.

    Raises ValueError, in one line with the choices, for an unknown scenario and for a target that
    the scenario never shows.
    """
    if isinstance(scenario, str) and scenario.lower().endswith(".cfg"):
        from rl_attn.envs.doom.scenario_file import scenario_from  # vizdoom is heavy

        wad = changes.get("wad") or ""
        scenario, targets = scenario_from(scenario, targets or (), wad=wad), None
    elif isinstance(scenario, str):
        scenario = SCENARIOS[scenario]
    if isinstance(targets, str):
        targets = [targets]
    checked = _checked(scenario, scenario.targets if targets is None else tuple(targets))
    changes = {name: value for name, value in changes.items() if value is not None}
    return replace(scenario, targets=checked, **changes)


def _checked(scenario: Scenario, targets: tuple[str, ...]) -> tuple[str, ...]:
    choices = scenario.target_choices()
    if not targets:
        some = ", ".join(choices[-10:])
        raise UserError(f"no targets given for {scenario.name}: name at least one, such as {some}")
    known = {choice.lower() for choice in choices}
    for target in targets:
        if target.lower() not in known:
            _refuse(scenario, target, choices)
    return targets


def _refuse(scenario: Scenario, target: str, choices: list[str]) -> None:
    """Of a scenario whose objects nobody has listed, a thousand choices would help nobody."""
    if not scenario.shown:
        choices = get_close_matches(target, choices, n=5, cutoff=0.4) or choices[-10:]
    choose(f"target of {scenario.name}:", target, choices)

"""The Doom scenarios that agents train on, as one table.

A scenario says which file of the ViZDoom package defines the game, which of the objects on the
screen are the targets an agent should attend to, and after how many tics (1/35 s) an episode is
cut off. Everything else of the code asks this table; nothing else knows an object's name.

    resolve("DefendCenter")                               # the targets of the table
    resolve("TakeCover", targets=["DoomImpBall"])         # only the fire balls
    resolve("DefendLine", targets=["category:Monster", "DoomImpBall"])

A target is an object's name ("DoomImpBall") or all objects of a category ("category:Monster"), as
ViZDoom's labels spell them. A dead monster has a name and a category of its own ("DeadDemon",
"Gore"), so it stops being a target when it dies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rl_attn.errors import UserError, choose

CATEGORY_PREFIX = "category:"

# What ViZDoom calls the category of each object that a scenario below can show.
CATEGORIES = {
    "Blood": "Gibs",
    "BulletPuff": "Explosive",
    "Cacodemon": "Monster",
    "Chaingun": "Weapon",
    "ChaingunGuy": "Monster",
    "Clip": "Ammo",
    "DeadCacodemon": "Gore",
    "DeadChaingunGuy": "Gore",
    "DeadShotgunGuy": "Gore",
    "DeadZombieman": "Gore",
    "Demon": "Monster",
    "DoomImp": "Monster",
    "DoomImpBall": "Explosive",
    "DoomPlayer": "Self",
    "GreenArmor": "Armor",
    "MarineChainsawVzd": "Monster",
    "Medikit": "Health",
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
    config: str  # file name inside ViZDoom's folder of scenarios
    targets: tuple[str, ...]  # rules: object names and "category:NAME"
    time_limit: int | None  # tics after which an episode is truncated; None: never
    shown: tuple[str, ...]  # names of all objects that can appear on the screen
    actions: str = "discrete"  # or "binary", "box": see `actions.py`
    max_buttons: int = 1  # pressed at once by one action, where they are discrete
    delta_values: tuple[float, ...] = (-10.0, 10.0)  # of each delta button

    def is_target(self, name: str, category: str) -> bool:
        """Whether an object with this label is one of the targets."""
        return name in self.targets or CATEGORY_PREFIX + category in self.targets

    def target_choices(self) -> list[str]:
        """Every rule that can match something this scenario shows."""
        categories = {CATEGORY_PREFIX + CATEGORIES[name] for name in self.shown}
        return sorted(self.shown) + sorted(categories)


MONSTERS = ("category:Monster",)
_SHOTS = ("BulletPuff", "Blood", "DoomPlayer")  # what every scenario with a gun shows

_TABLE = (
    Scenario("Basic", "basic.cfg", MONSTERS, 300, ("Cacodemon", "DeadCacodemon", *_SHOTS)),
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
)

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _TABLE}


def resolve(
    scenario: str | Scenario, targets: Sequence[str] | None = None, **changes: Any
) -> Scenario:
    """The scenario of that name, with its targets replaced if `targets` are given.

    changes: of the scenario's other fields, such as max_buttons=2; None keeps what it has.

    Raises ValueError, in one line with the choices, for an unknown scenario and for a target that
    the scenario never shows.
    """
    if not isinstance(scenario, Scenario):
        scenario = SCENARIOS[choose("environment", scenario, SCENARIOS)]
    changes = {name: value for name, value in changes.items() if value is not None}
    if targets is not None:
        changes["targets"] = _checked(scenario, [targets] if isinstance(targets, str) else targets)
    return replace(scenario, **changes)


def _checked(scenario: Scenario, targets: Sequence[str]) -> tuple[str, ...]:
    choices = scenario.target_choices()
    if not targets:
        raise UserError(f"no targets given for {scenario.name}: name one of {', '.join(choices)}")
    return tuple(choose(f"target of {scenario.name}", target, choices) for target in targets)

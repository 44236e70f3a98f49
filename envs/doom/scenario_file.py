"""A scenario file (.cfg, .wad) of one's own, checked before a game starts.

    scenario = scenario_from("my.cfg", ["Medikit", "category:Monster"], max_buttons=2)
    env = DoomEnv(scenario)                                  # or Lanes(scenario, 8), ...

    register_scenario("Mine", "my.cfg", ["Medikit"])         # from now on a name like any other
    gymnasium.make("rl_attn/Mine-v0")

ViZDoom takes no notice of much that is wrong: it plays the first map of the main game for a WAD
that is empty or lacks the map, ignores what it cannot read, and labels nothing for a misspelt
target. Here each of these is a UserError that names it. Paths in a file are relative to it.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import vizdoom

from rl_attn.envs.doom.scenarios import (
    CATEGORY_PREFIX,
    SCENARIOS,
    Scenario,
    register_with_gymnasium,
    resolve,
)
from rl_attn.envs.doom.wad import directory, map_lumps, maps, parse, read
from rl_attn.errors import UserError, choose

PACKAGE = Path(vizdoom.__file__).resolve().parent
FOLDER = PACKAGE / "scenarios"
_MAIN_GAME = PACKAGE / "freedoom2.wad"

_ACTOR = re.compile(rb'^\s*actor\s+"?([\w~]+)"?', re.IGNORECASE | re.MULTILINE)
_LIST = re.compile(
    r"^\s*available_?(buttons|game_?variables)\s*\+?=\s*\{([^}]*)\}", re.IGNORECASE | re.MULTILINE
)
_VALUE = re.compile(r"^\s*\w+[ \t]*\+?=[ \t]*[^\s{].*$", re.MULTILINE)
_KEY = re.compile(r"^\s*(\w+)\s*\+?=", re.MULTILINE)


def scenario_from(
    path: str | Path, targets: Sequence[str], name: str | None = None, **settings: Any
) -> Scenario:
    """The scenario of that .cfg file; UserError, in one line, for what is wrong in it.

    Args:
        targets: names of objects or "category:NAME", at least one.
        name: by default that of the file.
        settings: other fields of `Scenario`, such as max_buttons=2, and time_limit in tics in place
            of the file's episode_timeout.
    """
    path = Path(path).resolve()
    doom = load(path, settings.get("wad", ""))
    if not doom.get_available_buttons():
        raise UserError(f"{path.name} has no buttons: list available_buttons in it")
    check_map(doom, path)
    settings.setdefault("time_limit", doom.get_episode_timeout() or None)
    scenario = Scenario(name or path.stem, str(path), (), shown=(), **settings)
    return resolve(scenario, targets or [])


def register_scenario(
    name: str, path: str | Path, targets: Sequence[str], **settings: Any
) -> Scenario:
    """`scenario_from`, known by that name from now on, also to gymnasium ("rl_attn/NAME-v0")."""
    if name in SCENARIOS:
        raise UserError(f"there is a scenario {name!r} already: take another name")
    SCENARIOS[name] = scenario_from(path, targets, name, **settings)
    register_with_gymnasium(name)
    return SCENARIOS[name]


def load(path: Path, wad: str = "") -> vizdoom.DoomGame:
    """A DoomGame, not started, with that file's settings; UserError for what it cannot read.

    wad: path of another WAD to play with these settings.
    """
    doom = vizdoom.DoomGame()
    if not path.is_file():
        raise UserError(f"there is no scenario file {path}")
    if not doom.load_config(str(path)):
        _name_mistake(path)
    doom.set_doom_game_path(str(_main_game(doom, path)))
    if wad:
        doom.set_doom_scenario_path(str(Path(wad).resolve()))
    return doom


def _name_mistake(path: Path) -> None:
    """Say which word of the file ViZDoom does not know."""
    content = re.sub(r"#.*", "", path.read_text(errors="replace"))
    for kind, words in _LIST.findall(content):
        members = vizdoom.Button if kind.lower() == "buttons" else vizdoom.GameVariable
        for word in words.split():
            known = list(members.__members__)
            choose(f"word in available_{kind.lower()} of {path.name}:", word.upper(), known)
    settings = [name.removeprefix("set_") for name in dir(vizdoom.DoomGame) if "set_" in name[:4]]
    without = {name.replace("_", "") for name in settings}  # ViZDoom reads episodeTimeout, too
    for key in _KEY.findall(content):
        if key.lower() not in without:
            choose(f"setting in {path.name}:", key.lower(), settings)
    with TemporaryDirectory() as folder:
        alone = Path(folder) / "line.cfg"
        for line in _VALUE.findall(content):
            alone.write_text(line)
            if not vizdoom.DoomGame().load_config(str(alone)):
                raise UserError(f"{path.name}: correct the value in {line.strip()!r}")
    raise UserError(f"{path.name} has a list that cannot be read: write NAME = {{ WORD WORD }}")


def _main_game(doom: vizdoom.DoomGame, path: Path) -> Path:
    """The IWAD: the file's own, which may name one of the vizdoom package's, or Freedoom 2."""
    wanted = doom.get_doom_game_path()
    if not wanted:
        return _MAIN_GAME
    for place in (Path(wanted), path.parent / wanted, PACKAGE / Path(wanted).name):
        if place.is_file():
            with place.open("rb") as file:
                patch = file.read(4) == b"PWAD"
            if patch:
                raise UserError(
                    f"{path.name} plays {wanted}, which is no main game (IWAD) but a patch of one: "
                    "name it as doom_scenario_path, and a main game as doom_game_path, or none"
                )
            return place.resolve()
    raise UserError(f"{path.name} plays {wanted}, which is not there: correct its doom_game_path")


def check_map(doom: vizdoom.DoomGame, path: Path) -> None:
    """UserError unless the map that the scenario plays is in its WAD; the first one of Doom 1."""
    file, level = doom.get_doom_scenario_path(), doom.get_doom_map()
    place = path.parent / file if file else Path(doom.get_doom_game_path())
    if not place.is_file():
        raise UserError(f"{path.name} plays {file}, which is not there: correct doom_scenario_path")
    names = [name for name, _, _ in directory(place)]
    found = maps(names)
    if not file and level == "map01" and "E1M1" in found:  # ViZDoom's default is for Doom 2
        level = "E1M1"
        doom.set_doom_map(level)
    if level.upper() not in found:
        listed = ", ".join(found) or "none"
        raise UserError(f"{place.name} has no map {level}: it has {listed}; correct doom_map")
    if names[found[level.upper()] + 1] != "TEXTMAP":
        return
    blocks = parse(dict(map_lumps(read(place), level))["TEXTMAP"])
    if not any(block.kind == "thing" and block.values.get("type") == "1" for block in blocks):
        raise UserError(
            f"{level} of {place.name} has no start for one player, without which the engine ends "
            "the program: name another doom_map"
        )


def known_targets(config: str, wad: str = "") -> list[str]:
    """All that can be a target in that scenario: objects of ViZDoom and of its WADs, categories."""
    path = FOLDER / config
    doom = load(path, wad)
    names = set(_objects_of_engine())
    for file in (doom.get_doom_scenario_path(), doom.get_doom_game_path()):
        if file and Path(file) not in (_MAIN_GAME, PACKAGE / "freedoom1.wad"):
            names |= _objects(b"\n".join(data for _, data in read(path.parent / file)))
    names |= {f"Dead{name}" for name in names}
    return sorted(names) + [CATEGORY_PREFIX + name for name in vizdoom.get_default_categories()]


@cache
def _objects_of_engine() -> frozenset[str]:
    """Names that ViZDoom's own files define, those of the other games that it plays included."""
    with zipfile.ZipFile(PACKAGE / "vizdoom.pk3") as archive:
        files = [name for name in archive.namelist() if name.lower().startswith("actors/")]
        return frozenset(_objects(b"\n".join(archive.read(name) for name in files)))


def _objects(text: bytes) -> set[str]:
    return {name.decode("ascii", "replace") for name in _ACTOR.findall(text)}

"""One WAD with a map for each look, made from the map that a scenario plays.

    wad.write(path, lumps_of_looks(scenario, (PLAIN, Look(light=0.5))))
    map_name(0), map_name(1)        # "LOOK0000", "LOOK0001"

A UDMF map is text, and what is changed in it here is nothing that the game knows of: names of
textures, light, the height of ceilings, walls that scroll (line special 100 on walls that do
nothing else), and things without a body under the ceiling. Definitions of actors hold for the whole
WAD: `replaces` puts a recoloured actor in the place of each target. The label of such an actor has
a name of its own, see `original_name`.
https://zdoom.org/wiki/UDMF, https://zdoom.org/wiki/Translation
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import vizdoom

from rl_attn.envs.doom import wad
from rl_attn.envs.doom.looks import PLAIN, Look
from rl_attn.envs.doom.processes import home
from rl_attn.envs.doom.scenario_file import FOLDER, load
from rl_attn.envs.doom.scenarios import CATEGORIES, Scenario
from rl_attn.envs.doom.surfaces import Surfaces, surfaces
from rl_attn.errors import UserError

_PREFIX = "Look_"
_LAMP = 29871  # editor number of what hangs from the ceiling
# Bodiless, and it ends above 60: what stands on the floor behind it, no higher than 56, is not
# covered, since what is nearer to the camera (41 high) than that is higher in the picture.
_LAMP_ACTOR = f"""actor {_PREFIX}Lamp {_LAMP} {{
  +NOINTERACTION +SPAWNCEILING +NOGRAVITY
  Height 20 Radius 8
  States {{
    Spawn:
      GOR2 A -1
      Stop
  }}
}}"""
_LAMPS = 4  # in a set: each one in view costs a frame 1.5 %
_FROM_WALL = (8, 96)  # map units
_LAMP_END, _LAMP_LENGTH = 62, 84  # map units: above the floor, of its picture
_SCROLL_LEFT = 100
# Variable of the engine's console, for the name of the map to play. `set_doom_map` would let no
# other lane go on while the map is loaded, since it keeps Python's lock; `new_episode` does not.
_CHOSEN = "rl_attn_map"
_SKY = '"F_SKY1"'  # a ceiling of that name is the sky, to the game as well
# Ranges of Doom's palette that monsters are painted in, and those to paint them in instead.
_PAINTED = ("16:47", "48:79", "80:111", "112:127", "128:151", "152:159", "208:223", "224:235")
_COLOURS = {
    "blue": "192:207",
    "green": "112:127",
    "grey": "80:111",
    "yellow": "160:167",
    "red": "176:191",
}


def map_name(number: int) -> str:
    """Of look `number` in its WAD."""
    return f"LOOK{number:04d}"


def original_name(label: str) -> str:
    """The object that a label names, whether it has been replaced by a look's or not."""
    return label.replace(_PREFIX, "", 1) if _PREFIX in label else label


class Wardrobe:
    """The looks that one game can be played in, and the WAD that holds them.

    Without looks there is none, and the scenario's own WAD is played. The WAD lies among the games'
    files, where games of the same looks share it.
    """

    def __init__(self, scenario: Scenario, looks: Sequence[Look]) -> None:
        """UserError for looks that the scenario cannot have."""
        self._scenario = scenario
        self._maps: dict[Look, str] = {}  # their names; none: no looks are in use
        self._actors = PLAIN
        if not all(self.holds(look) for look in looks):
            self.take(*looks)

    def holds(self, look: Look) -> bool:
        """Whether the engine that runs can play this look."""
        if not self._maps:
            return look.map == PLAIN and look.actors == PLAIN
        return look.map in self._maps and look.actors == self._actors

    def take(self, *looks: Look) -> None:
        """Have the next engine play these looks as well, with the first one's actors."""
        maps = dict.fromkeys((PLAIN, *self._maps, *(look.map for look in looks)))
        lumps_of_looks(self._scenario, _with_actors(maps, looks[0].actors))
        self._maps = {look: map_name(number) for number, look in enumerate(maps)}
        self._actors = looks[0].actors

    def hang_up(self, doom: vizdoom.DoomGame) -> None:
        """Before an engine starts: give it the WAD, written if it is not there."""
        if not self._maps:
            return
        looks = _with_actors(self._maps, self._actors)
        digest = hashlib.sha256(repr((self._scenario, looks)).encode()).hexdigest()[:16]
        folder = home().present()
        path = folder / f"looks-{digest}.wad"
        if not path.exists():
            draft = path.with_suffix(f".{threading.get_ident()}")
            wad.write(draft, lumps_of_looks(self._scenario, looks))
            draft.rename(path)
        doom.set_doom_scenario_path(str(path))
        doom.set_doom_map(self._maps[PLAIN])

    def begin(self, look: Look, doom: vizdoom.DoomGame) -> None:
        """Begin an episode in this look, of the seed that the engine has been given."""
        if self._maps:
            doom.send_game_command(f"set {_CHOSEN} {self._maps[look.map]}")
            if doom.get_doom_map() != f"${_CHOSEN}":
                doom.set_doom_map(f"${_CHOSEN}")  # of an engine that runs: begins an episode there
                return
        doom.new_episode()


def _with_actors(maps: Iterable[Look], actors: Look) -> tuple[Look, ...]:
    colour, translucency = actors.colour, actors.translucency
    return tuple(replace(look, colour=colour, translucency=translucency) for look in maps)


@lru_cache(maxsize=4)
def lumps_of_looks(scenario: Scenario, looks: tuple[Look, ...]) -> tuple[wad.Lump, ...]:
    """A WAD that plays `scenario` in these looks, whose `actors` are those of the first.

    UserError for a scenario that is not in UDMF or cannot have these looks.
    """
    doom = load(FOLDER / scenario.config, scenario.wad)
    level, main_game = doom.get_doom_map(), Path(doom.get_doom_game_path())
    if not doom.get_doom_scenario_path():
        raise UserError(
            f"{scenario.name} has no WAD of its own, so that only its frames can look another way: "
            "take the axes tint and noise"
        )
    lumps = wad.read(Path(doom.get_doom_scenario_path()))
    try:
        played = wad.map_lumps(lumps, level)
    except UserError as error:
        raise UserError(f"{scenario.name} has no other looks but tint and noise: {error}") from None
    blocks = wad.parse(dict(played)["TEXTMAP"])
    if any(look.height != 1 for look in looks):
        _check_height(scenario, blocks)
    played = [(name, _here(data) if name == "BEHAVIOR" else data) for name, data in played]
    covers = {look.surfaces: surfaces(look.surfaces, main_game) for look in looks if look.surfaces}
    written = _outside_maps(lumps)
    if looks[0].actors != PLAIN:
        written.append(("DECORATE", _actors(scenario, looks[0]).encode()))
    if any(look.decorations for look in looks):
        written.append(("DECORATE", _LAMP_ACTOR.encode()))
    skies = [covers[look.surfaces].sky if look.surfaces else "" for look in looks]
    written.append(("MAPINFO", _mapinfo(skies).encode()))
    for number, look in enumerate(looks):
        text = wad.text(_changed(blocks, look, covers.get(look.surfaces)))
        written.append((map_name(number), b""))
        written += [(name, text if name == "TEXTMAP" else data) for name, data in played]
    images = [image for cover in covers.values() for image in cover.images]
    return (*written, ("TX_START", b""), *images, ("TX_END", b""))


def _check_height(scenario: Scenario, blocks: list[wad.Block]) -> None:
    """Where rooms of different heights meet, other ceilings would let something else be seen."""
    sectors = [block.values for block in blocks if block.kind == "sector"]
    sides = [block.values for block in blocks if block.kind == "sidedef"]
    for line in (block.values for block in blocks if block.kind == "linedef"):
        if "sideback" not in line:
            continue
        pair = [sectors[int(sides[int(line[key])]["sector"])] for key in ("sidefront", "sideback")]
        if (
            len({tuple(float(s.get(f"height{p}", 0)) for p in ("floor", "ceiling")) for s in pair})
            > 1
        ):
            raise UserError(
                f"{scenario.name} has rooms of different heights next to each other, where other "
                "ceilings change what is seen: leave the axis height out"
            )


def _outside_maps(lumps: list[wad.Lump]) -> list[wad.Lump]:
    """What belongs to no map: definitions, graphics, sounds."""
    kept, inside = [], False
    names = [name for name, _ in lumps]
    starts = set(wad.maps(names).values())
    for at, lump in enumerate(lumps):
        inside = inside or at in starts
        if not inside:
            kept.append(lump)
        inside = inside and lump[0] != "ENDMAP"
    return kept


def _mapinfo(skies: list[str]) -> str:
    """Maps with names of their own have no sky unless one is given: that of MAP01 by default."""
    return "\n".join(
        f'map {map_name(number)} "{map_name(number)}" {{ sky1 = "{sky or "SKY1"}" }}'
        for number, sky in enumerate(skies)
    )


def _changed(blocks: list[wad.Block], look: Look, cover: Surfaces | None) -> list[wad.Block]:
    """The map's statements under that look."""
    walls = [block.values for block in blocks if block.kind == "linedef"]
    # The middle of a line with two sides is a grating, a window or nothing: that stays.
    one_sided = {int(line["sidefront"]) for line in walls if "sideback" not in line}
    changed, side = [], -1
    for block in blocks:
        values = dict(block.values)
        if block.kind == "sector":
            _change_sector(values, look, cover)
        elif block.kind == "sidedef":
            side += 1
            _change_side(values, cover, side in one_sided)
        elif block.kind == "linedef" and look.motion and values.get("special", "0") == "0":
            values |= {"special": str(_SCROLL_LEFT), "arg0": str(look.motion)}
        changed.append(wad.Block(block.kind, values))
    return changed + (_lamps(blocks, look.decorations) if look.decorations else [])


def _change_sector(values: dict[str, str], look: Look, cover: Surfaces | None) -> None:
    if cover is not None:
        for key, name in (("texturefloor", cover.floor), ("textureceiling", cover.ceiling)):
            if values.get(key, "").upper() != _SKY:
                values[key] = f'"{name}"'
    if look.light != 1:
        light = round(float(values.get("lightlevel", 160)) * look.light)
        values["lightlevel"] = str(min(light, 255))
    floor, ceiling = _heights(values)
    if look.height != 1 and ceiling > floor:  # else it is a door that is shut
        values["heightceiling"] = str(round(floor + (ceiling - floor) * look.height))


def _heights(sector: dict[str, str]) -> tuple[float, float]:
    """Of the floor and the ceiling."""
    return float(sector.get("heightfloor", 0)), float(sector.get("heightceiling", 0))


def _change_side(values: dict[str, str], cover: Surfaces | None, one_sided: bool) -> None:
    keys = ("texturetop", "texturebottom", *(("texturemiddle",) if one_sided else ()))
    for key in keys:
        if cover is not None and values.get(key, '"-"') != '"-"':
            values[key] = f'"{cover.wall}"'


def _lamps(blocks: list[wad.Block], number: int) -> list[wad.Block]:
    """A set of them, spread over the walls so that few are enough to have one in most views."""
    rng = np.random.default_rng([number, 0x1A3])
    corners = [block.values for block in blocks if block.kind == "vertex"]
    corners = np.array([[float(corner["x"]), float(corner["y"])] for corner in corners])
    walls = [block.values for block in blocks if block.kind == "linedef"]
    ends = np.array([[int(w["v1"]), int(w["v2"])] for w in walls if "sideback" not in w])
    chosen = (rng.random() + np.arange(_LAMPS)) / _LAMPS * len(ends)
    begin, end = corners[ends[chosen.astype(int)]].transpose(1, 0, 2)
    along = end - begin
    into = np.stack([along[:, 1], -along[:, 0]], axis=1)  # the front of a line is on its right
    into /= np.linalg.norm(into, axis=1, keepdims=True)
    places = begin + rng.uniform(0.1, 0.9, (_LAMPS, 1)) * along
    places += rng.uniform(*_FROM_WALL, (_LAMPS, 1)) * into
    flags = ["single", "coop", "dm", *(f"skill{skill}" for skill in range(1, 6))]
    flags += [f"class{number}" for number in range(1, 9)]
    lowest = min(
        _heights(b.values)[1] - _heights(b.values)[0] for b in blocks if b.kind == "sector"
    )
    size = f"{min(max((lowest - _LAMP_END) / _LAMP_LENGTH, 0.1), 3):.3f}"
    return [
        wad.Block(
            "thing",
            {"x": f"{x:.1f}", "y": f"{y:.1f}", "type": str(_LAMP), "scale": size}
            | dict.fromkeys(flags, "true"),
        )
        for x, y in places
    ]


def _here(scripts: bytes) -> bytes:
    """A BEHAVIOR lump whose calls of scripts on map 1 are calls on the map that is played.

    ACS_Execute(script, 1, ...) waits for a map of that number, and these maps have none. Compiled
    it is PCD_PUSH5BYTES, five arguments, PCD_LSPEC5, 80. https://zdoom.org/wiki/ACS0_object_format
    """
    call = re.compile(rb"\xb3(.).(...)\x08\x50", re.DOTALL)
    return call.sub(lambda found: b"\xb3" + found[1] + b"\0" + found[2] + b"\x08\x50", scripts)


def _actors(scenario: Scenario, look: Look) -> str:
    """DECORATE that puts a changed actor in the place of every target."""
    body = []
    if look.colour:
        paint = ", ".join(f'"{part}={_COLOURS[look.colour]}"' for part in _PAINTED)
        body.append(f"Translation {paint}")
    if look.translucency:
        body.append(f"RenderStyle Translucent Alpha {1 - look.translucency:.2f}")
    names = [
        name
        for name in (scenario.shown or scenario.targets)
        if ":" not in name and scenario.is_target(name, CATEGORIES.get(name, ""))
    ]
    # Where there are monsters, not their fire balls: those are drawn in a style of their own.
    names = [name for name in names if CATEGORIES.get(name) == "Monster"] or names
    if not names:
        raise UserError(
            f"{scenario.name} does not list the objects that its targets {scenario.targets} are: "
            "name them as targets for looks of colour or translucency"
        )
    return "\n".join(
        f"actor {_PREFIX}{name} : {name} replaces {name} {{ {' '.join(body)} }}" for name in names
    )

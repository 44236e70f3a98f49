"""Freedoom 2 (BSD licence, inside the vizdoom package): maps, monsters, and room for them."""

from functools import cache
from pathlib import Path

import numpy as np
import vizdoom

from rl_attn.envs.doom import wad

MAPS = tuple(f"MAP{number:02d}" for number in range(1, 33))

#: The monsters that `summon` can place, with their radius in map units. Seeds of pictures count
#: them, so their order is kept.
MONSTERS = {
    "Demon": 30,
    "Cacodemon": 31,
    "DoomImp": 20,
    "HellKnight": 24,
    "Revenant": 20,
    "ShotgunGuy": 20,
    "Arachnotron": 64,
    "LostSoul": 16,
    "Fatso": 48,
    "Zombieman": 20,
    "PainElemental": 31,
    "ChaingunGuy": 20,
    "BaronOfHell": 24,
    "Archvile": 20,
}  # fmt: skip

_WAD = Path(vizdoom.__file__).resolve().parent / "freedoom2.wad"
_THING = np.dtype([(name, "<i2") for name in ("x", "y", "angle", "type", "flags")])


@cache
def places(level: str) -> np.ndarray:
    """Where something can stand: distinct positions (P, 2), int, in map units, of one of MAPS.

    They are those of the monsters, items and starts that the map's author placed, so each is inside
    and has room (a monster is about 56 high). Read from the map's THINGS lump, since the engine
    crashes on half of the maps when asked for its objects. ValueError: there is no such map.
    https://doomwiki.org/wiki/WAD, https://doomwiki.org/wiki/Thing
    """
    if level not in MAPS:
        raise ValueError(f"Freedoom has no map {level!r}: choose from MAP01 to MAP32")
    lumps = wad.directory(_WAD)
    _, start, size = lumps[wad.maps([name for name, _, _ in lumps])[level] + 1]
    with _WAD.open("rb") as file:
        file.seek(start)
        found = np.frombuffer(file.read(size), _THING)
    return np.unique(np.stack([found["x"], found["y"]], axis=1).astype(np.int64), axis=0)

"""Where on a map of Doom something can stand: the positions of the map's own things.

A map's THINGS lump lists the monsters, items and starts that its author placed, so each of these
positions is inside the level and has room. Format: https://doomwiki.org/wiki/WAD and /Thing.
"""

from functools import cache
from pathlib import Path

import numpy as np
import vizdoom

#: Freedoom 2 (BSD licence), inside the vizdoom package.
WAD = Path(vizdoom.__file__).resolve().parent / "freedoom2.wad"

_LUMP = np.dtype([("position", "<i4"), ("size", "<i4"), ("name", "S8")])
_THING = np.dtype([(name, "<i2") for name in ("x", "y", "angle", "type", "flags")])


@cache
def places(map_name: str) -> np.ndarray:
    """Distinct positions (P, 2), int, in map units (a monster is about 56 high), of "MAP01"..."""
    data = WAD.read_bytes()
    count, directory = np.frombuffer(data, "<i4", 2, offset=4)
    lumps = np.frombuffer(data, _LUMP, count, offset=directory)
    things = lumps[int(np.flatnonzero(lumps["name"] == map_name.encode())[0]) + 1]
    assert things["name"] == b"THINGS", f"{map_name} has no THINGS lump"
    found = np.frombuffer(data, _THING, things["size"] // _THING.itemsize, things["position"])
    return np.unique(np.stack([found["x"], found["y"]], axis=1).astype(np.int64), axis=0)

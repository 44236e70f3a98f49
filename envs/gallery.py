"""Pictures of Doom's monsters on Freedoom's maps, each with its exact mask: as many as wanted.

    with Gallery("map05") as gallery:
        for shot in gallery.shots("Cacodemon", count=60, seed=1):
            shot.picture, shot.mask, shot.place     # the monster, where it is, the place without it

A monster is summoned in front of a player who stands at a random spot of the map, the player steps
back and turns a little, and the engine's labels tell the pixels. Same seed, same pictures.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import vizdoom

from envs.game import ENGINE_ERRORS, Game, GameFault
from envs.scenarios import MONSTERS as ANY_MONSTER
from envs.scenarios import Scenario

#: The monsters of Doom II that Freedoom draws and `summon` can place, with the words for them.
MONSTERS = {
    "Zombieman": "zombie",
    "ShotgunGuy": "shotgun guy",
    "ChaingunGuy": "chaingunner",
    "DoomImp": "imp",
    "Demon": "demon",
    "Cacodemon": "cacodemon",
    "LostSoul": "lost soul",
    "HellKnight": "hell knight",
    "BaronOfHell": "baron of hell",
    "Revenant": "revenant",
    "Fatso": "mancubus",
    "Arachnotron": "arachnotron",
    "PainElemental": "pain elemental",
    "Archvile": "archvile",
}
MAPS = tuple(f"map{number:02d}" for number in range(1, 33))

_WAD = Path(vizdoom.__file__).resolve().parent / "freedoom2.wad"
_ATTEMPTS = 200  # at one picture; each takes a few ms, and one in two succeeds
_STEP = 25.0  # map units a tic, backwards


@dataclass(frozen=True)
class Shot:
    picture: np.ndarray  # (H, W, 3) uint8
    mask: np.ndarray  # (H, W) uint8, 1 on the monster
    place: np.ndarray  # (H, W, 3) uint8, the view before the monster came and the player moved


class Gallery(Game):
    """One map of Freedoom 2 without its monsters; close it."""

    def __init__(self, level: str, resolution: tuple[int, int] = (160, 120)):
        """`level` is one of MAPS, `resolution` (width, height) in pixels."""
        if level not in MAPS:
            raise ValueError(f"Freedoom has no {level!r}: choose map01 to map32")
        anything = Scenario(level, "freedoom2.cfg", ANY_MONSTER, time_limit=None, shown=())
        super().__init__(anything, resolution, rgb=True)
        self.level = level
        self._spots = spots(level)
        try:
            self._launch()
            self._prepare()
        except ENGINE_ERRORS as error:
            self._fail(error)

    @staticmethod
    def _configured(
        scenario: Scenario, resolution: vizdoom.ScreenResolution, rgb: bool
    ) -> vizdoom.DoomGame:
        doom = vizdoom.DoomGame()
        doom.set_doom_map(scenario.name)
        doom.set_screen_resolution(resolution)
        doom.set_screen_format(vizdoom.ScreenFormat.RGB24)
        doom.set_labels_buffer_enabled(True)
        doom.set_window_visible(False)
        doom.set_sound_enabled(False)
        doom.set_mode(vizdoom.Mode.PLAYER)
        doom.set_episode_timeout(0)
        for part in ["hud", "weapon", "crosshair", "decals", "particles", "screen_flashes"]:
            getattr(doom, f"set_render_{part}")(False)
        doom.add_available_button(vizdoom.Button.TURN_LEFT_RIGHT_DELTA, 360)
        doom.add_available_button(vizdoom.Button.MOVE_FORWARD_BACKWARD_DELTA, 100)
        doom.add_game_args("+sv_cheats 1 -nomonsters +cl_showsecretmessage 0")
        return doom

    def _prepare(self) -> None:
        """Start the level and hold everything but the player still."""
        self._doom.set_seed(0)
        self._doom.new_episode()
        for command in ("god", "notarget", "freeze"):
            self._doom.send_game_command(command)
        self._act()

    def shots(
        self, monster: str, count: int, seed: int, coverage: tuple[float, float] = (0.01, 0.5)
    ) -> Iterator[Shot]:
        """`count` pictures of one monster, each somewhere else.

        Args:
            monster: an actor's name, e.g. one of MONSTERS.
            coverage: shares of the picture that the mask must lie between.

        Raises GameFault if the engine dies, or if the monster never comes into view.
        """
        random = np.random.default_rng([seed, *monster.encode(), *self.level.encode()])
        for number in range(count):
            tries = (self._attempt(monster, coverage, random) for _ in range(_ATTEMPTS))
            shot = next((shot for shot in tries if shot is not None), None)
            if shot is None:
                raise GameFault(
                    f"{monster} did not come into view on {self.level} in {_ATTEMPTS} attempts at "
                    f"picture {number + 1}: is there such a monster, and is {coverage} possible?"
                )
            yield shot

    def _attempt(
        self, monster: str, coverage: tuple[float, float], random: np.random.Generator
    ) -> Shot | None:
        """One try to see the monster; None if it did not fit there or shows too little."""
        try:
            place = self._go_somewhere(random)
            if place is None:
                return None
            tics = int(random.integers(1, 11))
            self._doom.send_game_command(f"summon {monster}")
            self._act(turn=random.uniform(-25, 25) / tics, forward=-_STEP, tics=tics)
            state = self._doom.get_state()
            if state is None:  # walked out of the level
                self._prepare()
                return None
            values = [label.value for label in state.labels if label.object_name == monster]
            mask = np.isin(state.labels_buffer, values).astype(np.uint8)
            self._doom.send_game_command(f"remove {monster}")  # with the next action
        except ENGINE_ERRORS as error:
            self._fail(error)
        low, high = coverage
        return Shot(state.screen_buffer, mask, place) if low <= mask.mean() <= high else None

    def _go_somewhere(self, random: np.random.Generator) -> np.ndarray | None:
        """Stand at a random spot, looking anywhere; the view (H, W, 3), None if it was the exit."""
        x, y = self._spots[random.integers(len(self._spots))]
        self._doom.send_game_command(f"warp {x} {y}")
        self._act(turn=random.uniform(0, 180), tics=2)  # the warp shows from the second tic on
        state = self._doom.get_state()
        if state is None:
            self._prepare()
        return None if state is None else state.screen_buffer

    def _act(self, turn: float = 0.0, forward: float = 0.0, tics: int = 1) -> None:
        """Turn by degrees and move by map units, in each of so many tics: one call is quickest."""
        self._doom.make_action([turn, forward], tics)

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@lru_cache(maxsize=len(MAPS))
def spots(level: str) -> tuple[tuple[int, int], ...]:
    """Where one can stand on a map: the (x, y) of everything that the map's author placed.

    Read from the WAD, since the engine crashes on half of the maps when asked for its objects.
    https://doomwiki.org/wiki/WAD, https://doomwiki.org/wiki/Thing
    """
    with _WAD.open("rb") as file:
        _, count, directory = struct.unpack("<4sii", file.read(12))
        file.seek(directory)
        lumps = list(struct.iter_unpack("<ii8s", file.read(16 * count)))
        names = [name.rstrip(b"\0").decode() for _, _, name in lumps]
        offset, size, _ = lumps[names.index(level.upper()) + 1]  # THINGS follows the map's name
        file.seek(offset)
        things = struct.iter_unpack("<hhhhh", file.read(size))  # x, y, angle, type, flags
        return tuple(sorted({(x, y) for x, y, *_ in things}))

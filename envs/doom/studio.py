"""One map of Doom as a photographer's studio: monsters are summoned, pictures taken, masks read.

    with Studio("MAP05") as studio:
        for view in islice(studio.views("Cacodemon", np.random.default_rng(1)), 60):
            view.picture, view.mask        # the monster, and where it is
            studio.without("Cacodemon")    # the place once it is gone

A picture is made so: the camera goes to a random place of the map (see `freedoom`) and summons the
monster in front of itself, moves to another place nearby, turns to the monster, a little beside it,
and looks. It is kept if exactly one monster is visible, covers a fair share of the picture and is
not lost in the dark. The mask is exact: the pixels that the engine itself drew the monster on.
Weapon, head-up display, crosshair, decals, particles and flashes are off; the map's own monsters
are not there; the summoned one takes no notice of the camera.

All choices come from one generator, and the engine is seeded from it: pictures depend on the seed
alone, and the first n are the same however many are taken. (What the engine showed before may leave
a trace in the first of them: 0.1 % of its pixels on MAP26, none of the mask's.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import atan2, cos, degrees, hypot, radians, sin
from typing import NamedTuple

import numpy as np
import vizdoom

from rl_attn.envs.doom.freedoom import MONSTERS, places
from rl_attn.envs.doom.game import ENGINE_ERRORS, Game
from rl_attn.envs.doom.scenarios import MONSTERS as ANY_MONSTER
from rl_attn.envs.doom.scenarios import Scenario

COVERAGE = (0.03, 0.5)  # of the picture by the monster
DARKEST = 24  # mean brightness (0 to 255) that a monster needs to be told from another
VIEW_DISTANCE = (48, 360)  # map units from camera to monster
YAW, PITCH = 24.0, 8.0  # degrees that the camera may look past the monster
PLACES_PER_EPISODE = 24  # then the map is cleared: monsters would get into each other's pictures
VIEWS_PER_MONSTER = 4  # tried at most
ATTEMPTS = 200  # for each picture, before a map is given up
REACTION_TIME = 20  # tics at the start of an episode in which the player cannot turn
EYE_LEVEL, MONSTER_LEVEL = 41, 30  # above the ground: of the camera, of the middle of a monster

_HIDDEN = (
    *("hud", "weapon", "crosshair", "decals", "particles", "messages", "effects_sprites"),
    "screen_flashes",
)


class NoRoom(Exception):
    """A map on which a monster cannot be photographed."""


class View(NamedTuple):
    picture: np.ndarray  # uint8 (h, w, 3)
    mask: np.ndarray  # bool (h, w), the monster


class Studio(Game):
    """A game on one map. Close it; usable from one thread at a time, bar `kill`.

    What it gives raises GameFault if the engine dies, and NoRoom if 200 attempts at one picture
    fail; the engine starts with the first picture.
    """

    def __init__(
        self, level: str, resolution: tuple[int, int] = (160, 120), square: bool = False
    ) -> None:
        """`level` is one of `freedoom.MAPS`, `resolution` the screen's (width, height) in pixels;
        `square`: pictures are the middle of the screen, as wide as it is high."""
        self._places = places(level)
        super().__init__(
            Scenario(level, "freedoom2.cfg", ANY_MONSTER, time_limit=None, shown=()),
            resolution,
            rgb=True,
        )
        width, height = resolution
        left = (width - height) // 2
        self._columns = slice(left, left + height) if square else slice(None)
        self.attempts = 0  # so far: stands still if the engine hangs

    def views(
        self, monster: str, rng: np.random.Generator, coverage: tuple[float, float] = COVERAGE
    ) -> Iterator[View]:
        """Pictures of one of `freedoom.MONSTERS`, each somewhere else, without end.

        Args:
            coverage: least and largest share of the picture that the monster may cover.
        """
        failures = 0
        with self._faults():
            while failures < ATTEMPTS:
                self._clear(rng)
                for _ in range(PLACES_PER_EPISODE):
                    view = self._attempt(monster, rng, coverage)
                    failures += 1
                    if view is not None:
                        failures = 0
                        yield view
        raise NoRoom(f"no picture of a {monster} on {self.scenario.name} in {ATTEMPTS} attempts")

    def empty_views(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Pictures (h, w, 3) of the map without a monster, without end."""
        failures = 0
        with self._faults():
            self._clear(rng)
            while failures < ATTEMPTS:
                self.attempts += 1
                failures += 1
                if not self._go_to(self._places[rng.integers(len(self._places))]):
                    continue
                self._turn(rng.uniform(0, 360), rng.uniform(-PITCH, PITCH))
                picture = self._picture()
                if picture.mean() >= DARKEST:
                    failures = 0
                    yield picture
        raise NoRoom(f"{self.scenario.name} is too dark for pictures of it")

    def without(self, monster: str) -> np.ndarray:
        """The place of the last of `views` (h, w, 3), when that kind of monster is gone from it.

        Taken a tic later: a camera that was still coming down after its move sees it from lower.
        """
        with self._faults():
            self._doom.send_game_command(f"remove {monster}")
            self._wait(1)
            return self._picture()

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ taking a picture

    def _attempt(
        self, monster: str, rng: np.random.Generator, coverage: tuple[float, float]
    ) -> View | None:
        """Summon one monster and look at it from a few places until a view is good enough."""
        self.attempts += 1
        here = self._places[rng.integers(len(self._places))]
        if not self._go_to(here):
            return None
        direction = rng.uniform(0, 360)
        self._turn(direction, 0)
        self._doom.send_game_command(f"summon {monster}")
        self._wait(4)  # it falls to the ground
        ahead = 16 + 2 * MONSTERS[monster]  # where `summon` puts it
        x, y, z = self._position()
        x, y = x + ahead * cos(radians(direction)), y + ahead * sin(radians(direction))
        for camera in self._cameras(here, rng):
            if self._go_to(camera):
                self._face((x, y, z), rng)
                view = self._view(coverage)
                if view is not None:
                    return view
        return None

    def _cameras(self, here: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Places (n, 2) to look at `here` from; that place itself if there is none near it."""
        distance = np.hypot(*(self._places - here).T)
        near = (distance >= VIEW_DISTANCE[0]) & (distance <= VIEW_DISTANCE[1])
        if not near.any():
            return here[None]
        return rng.permutation(self._places[near])[:VIEWS_PER_MONSTER]

    def _face(self, target: tuple[float, float, float], rng: np.random.Generator) -> None:
        """Turn to something on the ground there, and a little past it."""
        x, y, z = (there - here for there, here in zip(target, self._position(), strict=True))
        down = degrees(atan2(EYE_LEVEL - MONSTER_LEVEL - z, hypot(x, y)))
        yaw, pitch = rng.uniform(-YAW, YAW), rng.uniform(-PITCH, PITCH)
        self._turn(degrees(atan2(y, x)) + yaw, min(max(down, -25.0), 25.0) + pitch)

    def _view(self, coverage: tuple[float, float]) -> View | None:
        """What the camera sees now, if it is good enough."""
        picture = self._picture()
        labels = self._labels[:, self._columns]
        visible = [value for value in self._values if (labels == value).any()]
        if len(visible) != 1:
            return None
        mask = labels == visible[0]
        if not coverage[0] <= mask.mean() <= coverage[1] or picture[mask].mean() < DARKEST:
            return None
        return View(picture, mask)

    def _picture(self) -> np.ndarray:
        """What the camera sees now (h, w, 3); its labels are in `_labels`."""
        self._look()
        return self._screen[:, self._columns].copy()

    # ------------------------------------------------------------------ handling the game

    @staticmethod
    def _configured(
        scenario: Scenario, resolution: vizdoom.ScreenResolution, rgb: bool
    ) -> vizdoom.DoomGame:
        doom = Game._configured(scenario, resolution, rgb)
        doom.set_doom_map(scenario.name)
        for part in _HIDDEN:
            getattr(doom, f"set_render_{part}")(False)
        button, variable = vizdoom.Button, vizdoom.GameVariable
        doom.set_available_buttons([button.TURN_LEFT_RIGHT_DELTA, button.LOOK_UP_DOWN_DELTA])
        doom.set_available_game_variables(
            [
                *(variable.POSITION_X, variable.POSITION_Y, variable.POSITION_Z),
                *(variable.ANGLE, variable.PITCH),
            ]
        )
        doom.add_game_args("+sv_cheats 1 -nomonsters +cl_showsecretmessage 0")
        return doom

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """The engine's errors as GameFault."""
        try:
            yield
        except ENGINE_ERRORS as error:
            self._fail(error, self._doom)

    def _clear(self, rng: np.random.Generator) -> None:
        """Begin a new episode: the map as it was, with an engine seed of its own."""
        if self._process is None:
            self._launch()
        self._doom.set_seed(int(rng.integers(2**31)))
        self._doom.new_episode()
        self._doom.send_game_command("god")
        self._doom.send_game_command("notarget")
        self._wait(REACTION_TIME)

    def _go_to(self, place: np.ndarray) -> bool:
        """Move the camera; False if it would not fit there and stays where it is."""
        self._doom.send_game_command(f"warp {place[0]} {place[1]}")
        self._wait(1)
        x, y, _ = self._position()
        return hypot(x - place[0], y - place[1]) < 2

    def _turn(self, angle: float, pitch: float) -> None:
        """Face an angle (degrees, counter-clockwise from east) and a pitch (down is positive)."""
        now = self._doom.get_state().game_variables
        self._doom.make_action([now[3] - angle, now[4] - pitch], 1)

    def _wait(self, tics: int) -> None:
        self._doom.make_action([0, 0], tics)

    def _position(self) -> tuple[float, float, float]:
        """Of the camera's feet, in map units."""
        return tuple(self._doom.get_state().game_variables[:3])

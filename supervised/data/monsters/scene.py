"""One map of Doom as a photographer's studio: monsters are summoned, pictures taken, masks read.

A picture is made so: the camera goes to a random place of the map (see `places`) and summons the
monster in front of itself, moves to another place nearby, turns to the monster, a little beside it,
and looks. It is kept if exactly one monster is visible, covers 3 to 50 % of the picture and is not
lost in the dark. The mask is exact: the pixels that the engine itself drew the monster on. Weapon,
head-up display, crosshair, decals, particles and flashes are off; the map's own monsters are not
there; the summoned one takes no notice of the camera.

All choices come from one generator, and the engine is seeded from it: pictures depend on the seed
alone, and the first n are the same however many are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import atan2, cos, degrees, hypot, radians, sin

import numpy as np
import torch
import vizdoom
from torch import Tensor

from envs.game import ENGINE_ERRORS, Game
from envs.scenarios import MONSTERS as ANY_MONSTER
from envs.scenarios import Scenario
from supervised.data.monsters.places import places
from supervised.data.resize import resize

#: The classes, in the order in which a set of fewer takes them, with their radius in map units.
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

COVERAGE = (0.03, 0.5)  # of the picture by the monster
DARKEST = 24  # mean brightness (0 to 255) that a monster needs to be told from another
VIEW_DISTANCE = (48, 360)  # map units from camera to monster
YAW, PITCH = 24.0, 8.0  # degrees that the camera may look past the monster
PLACES_PER_EPISODE = 24  # then the map is cleared: monsters would get into each other's pictures
VIEWS_PER_MONSTER = 4  # tried at most
ATTEMPTS = 200  # for each picture, before a map is given up
REACTION_TIME = 20  # tics at the start of an episode in which the player cannot turn
EYE_LEVEL, MONSTER_LEVEL = 41, 30  # above the ground: of the camera, of the middle of a monster

HEIGHTS = (120, 240, 480, 960)  # of the screens, 4:3, that pictures are cut from


class NoRoom(Exception):
    """A map on which a monster cannot be photographed."""


@dataclass(frozen=True)
class Photographs:
    """Pictures of one monster on one map, n of them."""

    images: Tensor  # uint8 (n, 3, S, S)
    masks: Tensor  # uint8 (n, S, S), 255 inside; soft at the edge, where a pixel is partly monster
    foregrounds: Tensor  # uint8 (n, 3, S, S), the monster over black: what the mask lets through


class Scene(Game):
    """A game on one map. Close it; usable from one thread at a time, bar `kill`."""

    def __init__(self, map_name: str, size: int) -> None:
        """`size` is that of the finished pictures, up to 960."""
        height = min(height for height in HEIGHTS if height >= size)
        super().__init__(
            Scenario(map_name, "freedoom2.cfg", ANY_MONSTER, time_limit=None, shown=()),
            resolution=(height * 4 // 3, height),
            rgb=True,
        )
        self.size = size
        self.attempts = 0  # so far: stands still if the engine hangs
        self._places = places(map_name)

    def photograph(self, monster: str, count: int, seed: np.random.SeedSequence) -> Photographs:
        """Take `count` pictures. NoRoom if the map does not allow for them, GameFault if the
        engine dies."""
        try:
            views = list(islice(self._views(monster, np.random.default_rng(seed)), count))
        except ENGINE_ERRORS as error:
            self._fail(error)
        images, masks = (torch.from_numpy(np.stack(part)) for part in zip(*views, strict=True))
        images = images.permute(0, 3, 1, 2).contiguous()  # (n, 3, h, h)
        return Photographs(
            images=resize(images, self.size),
            masks=resize(masks, self.size),
            foregrounds=resize(images * (masks[:, None] > 0), self.size),
        )

    def backgrounds(self, count: int, seed: np.random.SeedSequence) -> Photographs:
        """Views of the map without a monster; raises as `photograph`."""
        try:
            views = list(islice(self._empty_views(np.random.default_rng(seed)), count))
        except ENGINE_ERRORS as error:
            self._fail(error)
        images = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).contiguous()
        images = resize(images, self.size)
        return Photographs(images, torch.zeros_like(images[:, 0]), torch.zeros_like(images))

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ taking a picture

    def _views(self, monster: str, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
        """Picture (h, h, 3) and mask (h, h), without end."""
        failures = 0
        while failures < ATTEMPTS:
            self._clear(rng)
            for _ in range(PLACES_PER_EPISODE):
                view = self._attempt(monster, rng)
                failures += 1
                if view is not None:
                    failures = 0
                    yield view
        raise NoRoom(f"no picture of a {monster} on {self.scenario.name} in {ATTEMPTS} attempts")

    def _empty_views(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Pictures (h, h, 3), without end."""
        self._clear(rng)
        failures = 0
        while failures < ATTEMPTS:
            self.attempts += 1
            failures += 1
            if not self._go_to(self._places[rng.integers(len(self._places))]):
                continue
            self._turn(rng.uniform(0, 360), rng.uniform(-PITCH, PITCH))
            picture = self._square(self._doom.get_state().screen_buffer)
            if picture.mean() >= DARKEST:
                failures = 0
                yield picture.copy()
        raise NoRoom(f"{self.scenario.name} is too dark for pictures of it")

    def _attempt(self, monster: str, rng: np.random.Generator) -> tuple[np.ndarray, ...] | None:
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
                view = self._look()
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

    def _look(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The current picture and mask if they are good enough."""
        state = self._doom.get_state()
        labels = self._square(state.labels_buffer)
        values = [label.value for label in state.labels if label.object_category == "Monster"]
        visible = [value for value in values if (labels == value).any()]
        if len(visible) != 1:
            return None
        mask = labels == visible[0]
        picture = self._square(state.screen_buffer)
        if not COVERAGE[0] <= mask.mean() <= COVERAGE[1] or picture[mask].mean() < DARKEST:
            return None
        return picture.copy(), mask.astype(np.uint8) * 255

    def _square(self, screen: np.ndarray) -> np.ndarray:
        """The middle of a screen (h, w, ...) as (h, h, ...)."""
        left = (screen.shape[1] - screen.shape[0]) // 2
        return screen[:, left : left + screen.shape[0]]

    # ------------------------------------------------------------------ handling the game

    @staticmethod
    def _configured(
        scenario: Scenario, resolution: vizdoom.ScreenResolution, rgb: bool
    ) -> vizdoom.DoomGame:
        doom = Game._configured(scenario, resolution, rgb)
        doom.set_doom_map(scenario.name)
        doom.set_automap_buffer_enabled(False)
        doom.set_audio_buffer_enabled(False)
        doom.set_render_hud(False)
        doom.set_render_weapon(False)
        doom.set_render_crosshair(False)
        doom.set_render_decals(False)
        doom.set_render_particles(False)
        doom.set_render_messages(False)
        doom.set_render_effects_sprites(False)
        doom.set_render_screen_flashes(False)
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

"""One game of Doom, stepped with an action number, drawing into buffers that the caller owns.

    game = Game(resolve("DefendCenter"))
    frame, mask = np.empty(game.frame_shape, np.uint8), np.empty(game.mask_shape, np.uint8)
    game.start(seed=7, frame=frame, mask=mask)
    reward, terminated, truncated = game.step(3, frame, mask)

Action 0 does nothing, action i presses button i alone unless the scenario says otherwise
(`actions.py`). The mask is 1 on the exact pixels of the scenario's targets, from the labels that
the engine draws beside the picture. Same seed and actions give the same frames, masks and rewards.

Time is counted here and not by the engine, whose own limit replaces the last frame by nothing:
an episode that runs out of time is truncated and its true last frame is in the buffers.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import vizdoom

from rl_attn.envs.doom import launch
from rl_attn.envs.doom.actions import Actions
from rl_attn.envs.doom.frame_looks import overlay, overlays
from rl_attn.envs.doom.looks import PLAIN, Look
from rl_attn.envs.doom.processes import GameProcess
from rl_attn.envs.doom.resolutions import resolution_for, screen_resolution
from rl_attn.envs.doom.scenario_file import FOLDER, check_map, load
from rl_attn.envs.doom.scenarios import Scenario
from rl_attn.envs.doom.wad_of_looks import Wardrobe, original_name
from rl_attn.envs.scaling import Area
from rl_attn.errors import choose

# What ViZDoom raises when the process of a game has died.
ENGINE_ERRORS = (
    vizdoom.ViZDoomErrorException,
    vizdoom.ViZDoomIsNotRunningException,
    vizdoom.ViZDoomUnexpectedExitException,
    vizdoom.MessageQueueException,
    vizdoom.SharedMemoryException,
    RuntimeError,  # its C++ exceptions that have no Python class
)


class GameFault(RuntimeError):
    """The process of a game has died; `start` begins a new one."""


class Game:
    """One DoomGame. Not started until `start`; usable from one thread at a time, bar `kill`."""

    def __init__(
        self,
        scenario: Scenario,
        resolution: tuple[int, int] = (160, 120),
        rgb: bool = False,
        frame_skip: int = 4,
        looks: Sequence[Look] = (),
        frame_size: tuple[int, int] | None = None,
    ) -> None:
        """`resolution` is (width, height) in pixels, `frame_skip` the tics an action lasts.

        frame_size: (height, width) that frames and masks are scaled to, by area; they are drawn at
        `resolution`, or the smallest one beyond it that is no smaller than this.
        looks: those that episodes will be played in; another one starts another engine.
        """
        if frame_skip < 1:
            raise ValueError(f"frame_skip is {frame_skip}: it must be at least 1")
        size = screen_resolution(resolution)
        if frame_size is not None:
            resolution = resolution_for(frame_size, resolution)
            size = screen_resolution(resolution)
        width, height = resolution
        self.scenario = scenario
        self.frame_skip = frame_skip
        self.screen_shape = (height, width, 3 if rgb else 1)  # as the engine draws
        self.mask_shape = frame_size or (height, width)
        self.frame_shape = (*self.mask_shape, self.screen_shape[2])
        scaled = self.mask_shape != (height, width)
        self._area = Area((height, width), self.mask_shape) if scaled else None
        self._settings = (scenario, size, rgb)
        self._doom = self._configured(*self._settings)
        self.actions = Actions(self._doom.get_available_buttons(), scenario)
        self.variables = np.zeros(len(scenario.variables), np.float32)  # of the last frame
        self._wardrobe = Wardrobe(scenario, looks)
        self._worn, self._seed = PLAIN, 0  # of the episode
        self._overlays: list[np.ndarray] = []
        self._is_target: dict[str, bool] = {}
        self.seen: dict[str, str] = {}  # objects in the view so far: name -> category
        self._tics = 0
        # The last frame seen. ViZDoom hands out new arrays for each frame, so keeping is enough.
        self._screen = np.zeros(self.screen_shape, np.uint8)  # (H, W, C)
        self._labels = np.zeros((height, width), np.uint8)  # (H, W)
        self._objects: list[vizdoom.Label] = []  # in _labels
        self._values: list[int] = []  # of the targets in _labels
        self._other = np.empty((height, width), dtype=bool)
        self._process: GameProcess | None = None
        self.launching = False  # whether the engine is being started: up to `launch.TIMEOUT`
        self._give_up = threading.Event()

    @staticmethod
    def _configured(
        scenario: Scenario, resolution: vizdoom.ScreenResolution, rgb: bool
    ) -> vizdoom.DoomGame:
        doom = load(FOLDER / scenario.config, scenario.wad)
        check_map(doom, FOLDER / scenario.config)
        doom.set_screen_resolution(resolution)
        doom.set_screen_format(vizdoom.ScreenFormat.RGB24 if rgb else vizdoom.ScreenFormat.GRAY8)
        doom.set_labels_buffer_enabled(True)
        known = vizdoom.GameVariable.__members__
        doom.set_available_game_variables(
            [known[choose("game variable", name, known)] for name in scenario.variables]
        )
        doom.set_window_visible(False)
        doom.set_sound_enabled(False)
        doom.set_mode(vizdoom.Mode.PLAYER)
        doom.set_episode_timeout(0)
        for nobody_reads in ("automap", "audio", "notifications", "depth"):
            getattr(doom, f"set_{nobody_reads}_buffer_enabled")(False)
        return doom

    @property
    def pid(self) -> int | None:
        """Process id of the engine; None while there is none."""
        return None if self._process is None else self._process.pid

    def start(self, seed: int, frame: np.ndarray, mask: np.ndarray, look: Look = PLAIN) -> None:
        """Begin the episode of that seed (0 to 2**32 - 1) and draw its first frame.

        frame: uint8 (H, W, C), mask: uint8 (H, W), both written. Starts the engine if need be.
        Raises GameFault if the engine dies.
        """
        if not self._wardrobe.holds(look):
            self.close()
            self._wardrobe.take(look)
        doom, self._worn, self._seed = self._doom, look, seed
        self._overlays = overlays(look, self.frame_shape)
        try:
            if self._process is None:
                self._launch()
            self._doom.set_seed(seed)
            self._wardrobe.begin(look, self._doom)
        except ENGINE_ERRORS as error:
            self._fail(error, doom)
        self._tics = 0
        if not self._look():
            self._fail(RuntimeError("the episode was over before it began"), doom)
        self.draw(frame, mask)

    def step(self, action: Any, frame: np.ndarray, mask: np.ndarray) -> tuple[float, bool, bool]:
        """Hold one action for `frame_skip` tics, or for what the time limit leaves of them.

        Returns (raw reward, terminated, truncated). When the episode has terminated there is no
        frame any more and the buffers are left as they are. Raises GameFault if the engine dies.
        """
        limit = self.scenario.time_limit
        tics = self.frame_skip if limit is None else min(self.frame_skip, limit - self._tics)
        doom = self._doom
        try:
            reward = doom.make_action(self.actions.amounts(action), tics)
        except ENGINE_ERRORS as error:
            self._fail(error, doom)
        self._tics += tics
        if not self._look():
            return reward, True, False
        self.draw(frame, mask)
        return reward, False, self._tics == limit

    def draw(self, frame: np.ndarray, mask: np.ndarray) -> None:
        """Write the last frame seen and its mask; works after the end of an episode too."""
        screen = self._screen
        if self._area is None:
            self._draw_mask(mask)
        else:
            whole = np.empty(self._labels.shape, np.uint8)
            self._draw_mask(whole)
            screen, mask[...] = self._area.frame(screen), self._area.mask(whole)
        if self._overlays:
            number = (self._seed + self._tics) % len(self._overlays)
            overlay(screen, self._overlays[number], frame)
        else:
            frame[...] = screen

    def _draw_mask(self, mask: np.ndarray) -> None:
        """Write the mask, as large as the screen."""
        mask = mask.view(bool)
        if not self._values:
            mask[...] = False
            return
        np.equal(self._labels, self._values[0], out=mask)
        for value in self._values[1:]:
            np.equal(self._labels, value, out=self._other)
            np.logical_or(mask, self._other, out=mask)

    def visible(self) -> set[str]:
        """Names of the objects with at least one pixel in the last frame."""
        shown = set(np.unique(self._labels).tolist())
        labels = [label for label in self._objects if label.value in shown]
        return {original_name(label.object_name) for label in labels}

    def kill(self) -> None:
        """SIGKILL the engine. Safe from any thread; a call that waits for it raises GameFault.

        An engine that is being started is spared: `launch.TIMEOUT` is for those.
        """
        process = self._process
        if process is not None and not self.launching:
            process.kill()

    @property
    def stopped(self) -> bool:
        """Whether the engine has been stopped (SIGSTOP)."""
        process = self._process
        return process is not None and process.stopped()

    def abandon(self) -> None:
        """Kill the engine and leave the call that waits for it, in another thread, to itself.

        The call may wait for ever: see `_discard`. The game can be started again.
        """
        process, self._process = self._process, None
        self._discard()
        if process is not None:
            process.abandon()

    def give_up_launch(self) -> None:
        """Do not wait any longer for an engine that is being started, now or later."""
        self._give_up.set()

    def close(self) -> None:
        """End the engine, also one that does not answer. May be called again."""
        if self._process is None:
            return
        process, self._process = self._process, None
        idle = process.rest()
        process.kill()  # first, because a stopped engine would be waited for without end
        if idle:
            self._doom.close()
        else:
            self._discard()
        process.clean()

    def _discard(self) -> None:
        """Take a new DoomGame in place of one whose engine died at its work.

        Such an engine may have taken a lock of ViZDoom's message queues with it. `close`, which the
        end of a DoomGame calls as well, would wait for that for ever, and all of Python with it,
        since it keeps the interpreter's lock. So the old one is never closed: some megabytes stay.
        Nor would it always play the next engine's episode as a new DoomGame does.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._doom))
        self._doom = self._configured(*self._settings)

    def _launch(self) -> None:
        """Start the engine; RuntimeError if it ends or says nothing, of which ViZDoom tells nobody.

        Such a launch is abandoned: its DoomGame and the thread in its `init` stay until the
        program ends, and the next launch has a new one.
        """
        self.launching = True  # also while it waits for others to be forked
        try:
            with launch.FORKING:
                self._wardrobe.hang_up(self._doom)
                self._process = GameProcess()
                self._process.configure(self._doom)
                started = launch.Launch(self._doom)
                self._await(started, until_forked=True)
            self._await(started)
        finally:
            self.launching = False
        if started.error is not None:
            raise started.error
        self._process.confirm()

    def _await(self, started: launch.Launch, until_forked: bool = False) -> None:
        """RuntimeError, and the launch is abandoned, if it fails."""
        reason = "it was interrupted"
        try:
            reason = started.wait(self._process, self._give_up, until_forked)
        finally:
            if reason is not None:
                self._process.abandon()
                self._process = None
                self._discard()
        if reason is not None:
            raise RuntimeError(f"it did not start: {reason}")

    def _fail(self, error: Exception, doom: vizdoom.DoomGame) -> None:
        if doom is self._doom:  # else it has been abandoned, and another engine plays here
            process, self._process = self._process, None
            self._discard()
            if process is not None:
                process.kill()
                process.clean()
        raise GameFault(f"the game of {self.scenario.name} has ended: {error}") from error

    def _look(self) -> bool:
        """Take in the current frame; False if the episode is over and there is none."""
        state = self._doom.get_state()
        if state is None:
            return False
        self._screen = state.screen_buffer.reshape(self.screen_shape)
        self._labels = state.labels_buffer
        if self.scenario.variables:
            self.variables = np.asarray(state.game_variables, np.float32)
        # A label's value changes with every frame, so the targets' are looked up each time.
        self._objects = state.labels
        self._values = [label.value for label in self._objects if self._targets(label)]
        return True

    def _targets(self, label: vizdoom.Label) -> bool:
        known = self._is_target.get(label.object_name)
        if known is None:
            name = original_name(label.object_name)
            self.seen[name] = label.object_category
            known = self.scenario.is_target(name, label.object_category)
            self._is_target[label.object_name] = known
        return known

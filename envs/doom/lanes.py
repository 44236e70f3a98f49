"""Many games stepped at once: the fast path from Doom to a training loop.

Threads of this one process each look after some of the games, which are processes of their own, and
write frames and masks straight into arrays that the caller owns. Nothing is copied, pickled or
allocated on the way, and an episode's end and the next one's beginning happen inside the lane.

    with Lanes("DefendCenter", num_lanes=8, seed=1) as lanes:
        frames = np.empty((8, *lanes.frame_shape), np.uint8)
        masks = np.empty((8, *lanes.mask_shape), np.uint8)
        lanes.reset(frames, masks)
        step = lanes.step(actions, frames, masks)     # step.rewards, step.terminated, ...

The arrays may be any writable views, such as the rows of a rollout's storage, and may be others
in every call. With `num_groups=2` one half of the lanes plays while the caller thinks about the
other:

    lanes.send(actions, frames[lanes.group_slice(0)], masks[lanes.group_slice(0)], group=0)
    ...                                               # decide for group 1
    step = lanes.wait(group=0)

Results depend on the seeds and actions only, not on the number of threads, groups or their timing.
A game that dies or hangs ends its own episode as truncated and is restarted; all else goes on.
"""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from rl_attn.envs.doom import processes
from rl_attn.envs.doom.game import Game
from rl_attn.envs.doom.lane import Lane, Outcome
from rl_attn.envs.doom.lane_group import Group, close, threads_of
from rl_attn.envs.doom.looks import Look, Looks, look_of_variation
from rl_attn.envs.doom.scenarios import Scenario, resolve
from rl_attn.envs.doom.wad_of_looks import Wardrobe
from rl_attn.envs.protocol import Step, VectorEnv
from rl_attn.envs.seeds import RandomSeeds, lane_seeds
from rl_attn.errors import UserError

#: Steps of each lane after which a target that has never been in view is told of.
UNSEEN_AFTER = 1000


class Lanes(VectorEnv):
    """`num_lanes` games of one scenario, stepped together. See the head of this file."""

    def __init__(
        self,
        scenario: str | Scenario,
        num_lanes: int,
        *,
        resolution: tuple[int, int] = (160, 120),
        rgb: bool = False,
        frame_skip: int = 4,
        targets: Sequence[str] | None = None,
        seed: int = 0,
        first_lane: int = 0,
        episode_seeds: Sequence[int] | None = None,
        num_threads: int | None = None,
        num_groups: int = 1,
        hang_timeout: float = 30.0,
        autoreset: AutoresetMode | str = AutoresetMode.SAME_STEP,
        looks: Looks | Iterable[Look] | str | None = None,
        frame_size: tuple[int, int] | None = None,
    ) -> None:
        """No game is started before `reset`.

        scenario: a name of the table or a Scenario, such as `resolve("Basic", max_buttons=2)`.
        resolution: (width, height) in pixels. frame_skip: tics per step.
        targets: names or "category:NAME" in place of the scenario's own.
        seed: of the stream of episode seeds, one stream a lane. first_lane: number of the first
        lane where several processes share the lanes of one seed. episode_seeds: play these instead,
        lane i the i-th, (i + num_lanes)-th, ...; a lane that has played all of its own goes idle.
        num_threads: of all groups together; by default up to four a core in each group.
        hang_timeout: seconds that one call to a game may take before the game is killed.
        autoreset: when the episode after one that has ended begins: gymnasium's AutoresetMode.
        looks: of the episodes, one drawn from each episode's seed, such as "train:surfaces,light".
        frame_size: (height, width) that frames and masks are scaled to, by area.

        Raises ValueError for an unknown scenario, target or resolution and for counts that do not
        fit together.
        """
        if num_lanes < 1 or num_groups < 1 or num_lanes % num_groups:
            raise ValueError(f"{num_lanes} lanes cannot be divided into {num_groups} equal groups")
        if hang_timeout <= 0:
            raise ValueError(f"hang_timeout is {hang_timeout}: it must be above 0 seconds")
        if num_threads is not None and num_threads < 1:
            raise ValueError(f"num_threads is {num_threads}: it must be at least 1")
        self.scenario = resolve(scenario, targets)
        self.num_lanes = num_lanes
        self.num_groups = num_groups
        self.hang_timeout = hang_timeout
        self._listed = episode_seeds is not None
        self.looks = Looks.given(looks)
        given = () if self.looks is None else self.looks.looks
        shape = (resolution, rgb, frame_skip, given, frame_size)
        games = [Game(self.scenario, *shape) for _ in range(num_lanes)]
        processes.check_shared_memory(num_lanes, games[0].screen_shape)
        self._settings = _settings(self.scenario, frame_skip, games[0], self.looks)
        self.frame_shape = games[0].frame_shape  # (H, W, C)
        self.mask_shape = games[0].mask_shape  # (H, W)
        self.action_names = games[0].actions.names
        self.action_space = games[0].actions.space
        self._actions = games[0].actions
        autoreset = AutoresetMode(autoreset)
        streams = lane_seeds(num_lanes, seed, first_lane, episode_seeds)
        self._lanes = [
            Lane(index, game, seeds, autoreset, self.looks)
            for index, (game, seeds) in enumerate(zip(games, streams, strict=True))
        ]
        self._steps = 0
        self._start_threads(num_threads)

    def _start_threads(self, num_threads: int | None) -> None:
        per_group = self.num_lanes // self.num_groups
        # Threads mostly wait for their games; more games at work use the cores better.
        each = 4 * _num_cores() if num_threads is None else max(1, num_threads // self.num_groups)
        each = min(each, per_group)
        self._groups = [
            Group(self._lanes[self.group_slice(group)], each) for group in range(self.num_groups)
        ]
        processes.home()  # first: what is made later is closed earlier when the program ends
        self._finalizer = weakref.finalize(self, close, self._groups, os.getpid())
        for thread in threads_of(self._groups):
            thread.start()

    @property
    def faults(self) -> int:
        """How many times a game has died or been killed because it hung."""
        return sum(lane.faults for lane in self._lanes)

    @property
    def active(self) -> np.ndarray:
        """(num_lanes,) bool: False for a lane that has played all of its episode_seeds."""
        return np.array([lane.active for lane in self._lanes])

    @property
    def variables(self) -> np.ndarray:
        """(num_lanes, V) float32: the scenario's game variables, as of the current frames."""
        return np.stack([lane.game.variables for lane in self._lanes])

    def reset(
        self,
        frames: np.ndarray,
        masks: np.ndarray,
        seeds: Sequence[int | None] | None = None,
        only: Sequence[bool] | None = None,
        variations: Sequence[Any] | None = None,
    ) -> None:
        """Begin the next episode in every lane and draw its first frame.

        frames: (num_lanes, H, W, C) uint8, masks: (num_lanes, H, W) uint8, both written. With
        `seeds`, one a lane, each lane plays the episode of its seed, and then others that are drawn
        from it; where that is None it goes on. only: (num_lanes,) bool, the lanes to reset; the
        others and their rows stay as they are. variations: (num_lanes,), each as in
        `look_of_variation` or None: the looks of the episodes from now on, until another reset. A
        lane whose engine has no such look starts another.
        """
        self._check_arrays(self.num_lanes, frames, masks)
        chosen = [True] * self.num_lanes if only is None else [bool(lane) for lane in only]
        if len(chosen) != self.num_lanes:
            raise ValueError(f"{len(chosen)} values of `only` for {self.num_lanes} lanes")
        looks = self._checked_variations(variations)
        if seeds is not None:
            self._reseed(seeds, chosen)
        for lane, look, resets in zip(self._lanes, looks, chosen, strict=True):
            lane.variation = look if resets else lane.variation

        def begin(index: int, lane: Lane) -> None:
            if chosen[index]:
                lane.reset(frames[index], masks[index])

        self._play_all(begin)

    def send(
        self, actions: np.ndarray, frames: np.ndarray, masks: np.ndarray, group: int = 0
    ) -> None:
        """Begin one step of that group's n lanes and return at once; `wait` gives the result.

        actions: (n, ...) of `action_space`. frames: (n, H, W, C) uint8 and masks: (n, H, W) uint8
        are written until `wait` returns. Lanes whose episode ends show the first frame of the next
        one, unless `autoreset` is another. ValueError for actions that are not of the space;
        RuntimeError for a lane without an episode: none has begun, or it is over and `autoreset` is
        "disabled".
        """
        lanes = self._idle_group(group)
        self._check_arrays(len(lanes.lanes), frames, masks)
        self._check_episodes(lanes.lanes)
        actions = self._actions.check(actions, len(lanes.lanes))
        lanes.start(lambda index, lane: lane.step(actions[index], frames[index], masks[index]))

    def wait(self, group: int = 0) -> Step:
        """The result of the step that `send` began. Raises what went wrong in a lane."""
        lanes = self._groups[group]
        if not lanes.busy:
            raise RuntimeError(f"no step of group {group} is under way: call send() first")
        lanes.join(self.hang_timeout)
        self._count_steps(len(lanes.lanes))
        return _gather(lanes.outcomes)

    def state_dict(self) -> dict[str, Any]:
        """All that continues the lanes exactly, in ints, floats, strings, lists and dicts."""
        for group in range(self.num_groups):
            self._idle_group(group)
        lanes = [lane.state_dict() for lane in self._lanes]
        return {"settings": dict(self._settings), "lanes": lanes}

    def load_state_dict(self, state: dict[str, Any], frames: np.ndarray, masks: np.ndarray) -> None:
        """Continue where `state_dict` was taken, by playing the current episodes up to there.

        frames and masks as in `reset`; they are then the current ones. ValueError if the
        state is that of other lanes.
        """
        self._check_arrays(self.num_lanes, frames, masks)
        states = state["lanes"]
        if len(states) != self.num_lanes or state["settings"] != self._settings:
            raise ValueError(
                f"this state is of {len(states)} lanes with {state['settings']}, "
                f"not of {self.num_lanes} with {self._settings}"
            )
        self._play_all(
            lambda index, lane: lane.load_state_dict(states[index], frames[index], masks[index])
        )

    def close(self) -> None:
        """End all games and threads. May be called again, and in any state of the games."""
        self._finalizer()

    def _play_all(self, play: Callable[[int, Lane], None]) -> None:
        """Do something with every lane, by its index among all, and wait for it."""
        groups = [self._idle_group(group) for group in range(self.num_groups)]
        for group in groups:
            group.start(lambda _, lane: play(lane.index, lane))
        errors = []
        for group in groups:
            try:
                group.join(self.hang_timeout)
            except RuntimeError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _reseed(self, seeds: Sequence[int | None], chosen: list[bool]) -> None:
        if self._listed:
            raise ValueError("these lanes play given episode_seeds: they cannot be reseeded")
        if len(seeds) != self.num_lanes:
            raise ValueError(f"{len(seeds)} seeds for {self.num_lanes} lanes")
        for seed in seeds:
            if seed is not None and not (isinstance(seed, int | np.integer) and seed >= 0):
                raise UserError(f"seed {seed!r} is not a whole number from 0 on, and not None")
        for lane, seed, resets in zip(self._lanes, seeds, chosen, strict=True):
            if resets and seed is not None:
                lane.seeds = RandomSeeds.beginning_with(int(seed))

    def _checked_variations(self, variations: Sequence[Any] | None) -> Sequence[Any]:
        """One a lane; UserError for looks that there are not, or not in this scenario."""
        if variations is None:
            return [None] * self.num_lanes
        if len(variations) != self.num_lanes:
            raise ValueError(f"{len(variations)} variations for {self.num_lanes} lanes")
        for variation in variations:
            if variation is not None:
                look = look_of_variation(variation, np.random.default_rng(0))
                Wardrobe(self.scenario, [look])
        return variations

    def _idle_group(self, group: int) -> Group:
        if not self._finalizer.alive:
            raise RuntimeError("these lanes have been closed")
        if self._groups[group].busy:
            raise RuntimeError(f"a step of group {group} is under way: call wait() first")
        return self._groups[group]

    def _check_arrays(self, count: int, frames: np.ndarray, masks: np.ndarray) -> None:
        wanted = (("frames", frames, self.frame_shape), ("masks", masks, self.mask_shape))
        for name, array, shape in wanted:
            if array.shape != (count, *shape) or array.dtype != np.uint8:
                raise ValueError(
                    f"{name} must be uint8 of shape {(count, *shape)}, "
                    f"not {array.dtype} of shape {array.shape}"
                )

    def _count_steps(self, count: int) -> None:
        """Tell once of a target that has never been seen; those of the table are known to be."""
        before, self._steps = self._steps, self._steps + count
        if self.scenario.shown or not before < UNSEEN_AFTER * self.num_lanes <= self._steps:
            return
        seen = {name: kind for lane in self._lanes for name, kind in lane.game.seen.items()}
        for target in self.scenario.targets:
            rule = replace(self.scenario, targets=(target,))
            if not any(rule.is_target(*found) for found in seen.items()):
                warnings.warn(
                    f"the target {target} was never in view in {self._steps} steps of "
                    f"{self.scenario.name}: its masks are empty. In view were {sorted(seen)}",
                    stacklevel=4,
                )

    def _check_episodes(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            if not lane.started:
                raise RuntimeError("no episode has begun: call reset() before the first step")
            if lane.over and lane.autoreset is AutoresetMode.DISABLED:
                raise RuntimeError(f"the episode of lane {lane.index} is over: reset it first")


def _num_cores() -> int:
    """Cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _settings(
    scenario: Scenario, frame_skip: int, game: Game, looks: Looks | None
) -> dict[str, Any]:
    """What two runs must share for the same seeds and actions to mean the same episode."""
    shape = list(game.frame_shape)
    settings: dict[str, Any] = {
        "scenario": scenario.name,
        "frame_skip": frame_skip,
        "frame_shape": shape,
    }
    if game.screen_shape != game.frame_shape:
        settings["screen_shape"] = list(game.screen_shape)
    if scenario.wad:
        settings["wad"] = Path(scenario.wad).name
    return settings if looks is None else {**settings, "looks": looks.name}


def _gather(outcomes: list[Outcome]) -> Step:
    """The outcomes of single lanes as one Step."""
    step = Step(
        rewards=np.array([outcome.reward for outcome in outcomes], np.float32),
        terminated=np.array([outcome.terminated for outcome in outcomes], bool),
        truncated=np.array([outcome.truncated for outcome in outcomes], bool),
    )
    for index, outcome in enumerate(outcomes):
        if outcome.final_frame is not None:
            step.final_frames[index] = outcome.final_frame
            step.final_masks[index] = outcome.final_mask
            step.final_variables[index] = outcome.final_variables
        if outcome.episode is not None:
            step.episodes.append(outcome.episode)
    return step

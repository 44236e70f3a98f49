"""One lane of a gymnasium environment: one episode after the other, each of a seed of its own.

It runs where the environment does, which may be a process of its own, and is itself a gymnasium
environment: the one that gymnasium's vector environments step. An episode's end and the next one's
beginning happen inside one `step`, and what ended is told in `info["ended"]`, never by the flags.
"""

from __future__ import annotations

import math
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from rl_attn.envs.observations import Reader, finite
from rl_attn.envs.protocol import Episode, digest
from rl_attn.envs.seeds import ListedSeeds, RandomSeeds
from rl_attn.envs.variations import Variation, drawn
from rl_attn.errors import EnvironmentFailed, UserError, one_line

MAX_FAULTS = 3  # in a row, until the environment counts as broken


def parts(packed: np.ndarray, reader: Reader) -> tuple[np.ndarray, np.ndarray]:
    """Views of the frames (..., H, W, C) and the masks (..., H, W) in a lane's observation.

    packed: (..., H * W * (C + 1)) uint8, the frame and the mask behind it in one array, which
    gymnasium writes to shared memory twice as fast as a dict of both.
    """
    size, many = math.prod(reader.frame_shape), packed.shape[:-1]
    frames, masks = packed[..., :size], packed[..., size:]
    return frames.reshape(*many, *reader.frame_shape), masks.reshape(*many, *reader.mask_shape)


@dataclass
class Ended:
    """An episode's end, as it crosses from one process to another."""

    episode: Episode
    final_frame: np.ndarray | None = None  # (H, W, C), of a truncated episode
    final_mask: np.ndarray | None = None  # (H, W)


class GymLane(gymnasium.Env[np.ndarray, Any]):
    """See the head of this file."""

    def __init__(
        self,
        make: Callable[[str], gymnasium.Env],
        reader: Reader,
        action_space: gymnasium.Space,
        index: int,
        seeds: RandomSeeds | ListedSeeds,
        looks: dict[str, list[int]] | None = None,
        starter: int | None = None,
    ) -> None:
        """index: of the lane among all. looks: values by axis, of which each episode draws one.
        starter: id of the process that starts the lanes, of which this one may be a child.

        The environment is made at its first episode: gymnasium makes one more lane, in the process
        that starts them, to ask for its spaces."""
        if starter not in (None, os.getpid()):
            leave_signals_to_the_parent()
        self._make, self._reader, self._index, self._seeds = make, reader, index, seeds
        self._looks = looks or {}
        self._env: gymnasium.Env | None = None
        self.action_space = action_space
        size = math.prod(reader.frame_shape) + math.prod(reader.mask_shape)
        self.observation_space = gymnasium.spaces.Box(0, 255, (size,), np.uint8)
        self._seen = np.zeros(size, np.uint8)  # the current observation, see `parts`
        self._frame, self._mask = parts(self._seen, reader)
        self._seed: int | None = None  # of the current episode; None: no seed is left
        self._actions: list[Any] = []
        self._return = 0.0
        self._variation: Variation | None = None
        self._faults = 0
        self._faults_in_a_row = 0
        self._state: dict[str, Any] = {}  # whose episode is being played again
        self._begun = False  # whether that episode has been reset

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode; with `seed`, the episode of that seed, and others drawn from it.

        options: `variations`, one a lane of all; this one's holds until the next reset.

        `info["error"]` is what ends the run, here and in `step`: raised, it would cross from one
        process to another with all of gymnasium's own words about it.
        """
        if seed is not None:
            if isinstance(self._seeds, ListedSeeds):
                raise ValueError("these lanes play given episode_seeds: they cannot be reseeded")
            self._seeds = RandomSeeds.beginning_with(seed)
        self._variation = options["variations"][self._index] if options else None
        try:
            self._next()
        except (UserError, EnvironmentFailed) as error:
            return self._seen, {"error": error}
        return self._seen, {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play one action. If it ends the episode, the observation is the next one's first."""
        try:
            return self._step(action)
        except (UserError, EnvironmentFailed) as error:
            return self._seen, 0.0, False, False, {"error": error}

    def _step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self._seed is None:
            return self._seen, 0.0, False, False, {}
        try:
            reward, terminated, truncated = self._play(action)
        except UserError:
            raise
        except Exception as error:
            self._count_fault(error)
            self._actions.append(action.copy())
            return self._seen, 0.0, False, False, self._ended(True, True)
        self._faults_in_a_row = 0
        if not (terminated or truncated):
            return self._seen, reward, False, False, {}
        ended = self._ended(truncated and not terminated, False)
        return self._seen, reward, False, False, ended

    def close(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None

    # ------------------------------------------------------------------ called from the other side

    def lane_state(self) -> dict[str, Any]:
        """All that continues this lane exactly, in plain values."""
        return {
            "seeds": self._seeds.state_dict(),
            "seed": self._seed,
            "actions": [np.asarray(action).tolist() for action in self._actions],
            "return": self._return,
            "faults": self._faults,
            "seen": digest(self._frame, self._mask),
            "variation": self._variation,
        }

    def lane_resume(self, states: list[dict[str, Any]]) -> None:
        """Take up its state, whose episode `lane_replay` then plays again."""
        self._state = state = states[self._index]
        self._seeds.load_state_dict(state["seeds"])
        self._faults = state["faults"]
        self._variation = state.get("variation")
        self._seed, self._actions, self._begun = state["seed"], [], False

    def lane_replay(self, steps: int) -> str | np.ndarray | None:
        """Play so many steps again: at the end the current observation, or what is wrong."""
        state, done = self._state, len(self._actions)
        if self._seed is None:
            self._seen[...] = 0
            return self._seen
        try:
            if not self._begun:
                self._begin()
                self._begun = True
            for action in state["actions"][done : done + steps]:
                self._play(np.asarray(action, self.action_space.dtype)[()])
        except Exception as error:
            told = f"{one_line(error, named=True)} at {_place(error)}"
            return f"{self._reader.name} failed while its episode was played again: {told}"
        if len(self._actions) < len(state["actions"]):
            return None
        if self._return != state["return"] or digest(self._frame, self._mask) != state["seen"]:
            return (
                f"{self._reader.name} does not play the same episode again: seed {self._seed} and "
                f"the same {len(state['actions'])} actions led to another frame, mask or return"
            )
        return self._seen

    def lane_active(self) -> bool:
        return self._seed is not None

    def lane_faults(self) -> int:
        return self._faults

    # ------------------------------------------------------------------ episodes

    def _play(self, action: Any) -> tuple[float, bool, bool]:
        kept = action.copy()  # the caller uses its array again, and the environment may change it
        observation, reward, terminated, truncated, _ = self._env.step(action.copy())
        self._see(observation)
        self._actions.append(kept)
        value = finite(reward, self._reader.name)
        self._return += value
        return value, bool(terminated), bool(truncated)

    def _ended(self, truncated: bool, fault: bool) -> dict[str, Ended]:
        """Begin the next episode; the info that tells of the one that has ended."""
        length = len(self._actions)
        episode = Episode(self._index, self._seed, self._return, length, fault, truncated)
        last = (self._frame.copy(), self._mask.copy()) if truncated else ()
        self._next()
        return {"ended": Ended(episode, *last)}

    def _next(self) -> None:
        self._seed = self._seeds.next()
        while self._seed is not None:
            try:
                return self._begin()
            except UserError:
                raise
            except Exception as error:
                self._count_fault(error)
        self._seen[...] = 0

    def _begin(self) -> None:
        self._actions, self._return = [], 0.0
        if self._env is None:
            self._env = self._make(self._reader.name)
        variation = self._variation
        if variation is None and self._looks:
            variation = drawn(self._looks, self._seed)
        options = None if variation is None else {"variation": variation}
        observation, _ = self._env.reset(seed=self._seed, options=options)
        self._see(observation)

    def _see(self, observation: Any) -> None:
        self._frame[...], self._mask[...] = self._reader(observation)

    def _count_fault(self, error: Exception) -> None:
        """Make another environment in place of one that failed, unless it always does."""
        self._faults += 1
        self._faults_in_a_row += 1
        told = f"{' '.join(repr(error).split())} at {_place(error)}"
        if self._faults_in_a_row == MAX_FAULTS:
            raise EnvironmentFailed(
                f"{self._reader.name} failed {MAX_FAULTS} times in a row; the last time: {told}"
            ) from error
        gymnasium.logger.warn("%s failed and is made again: %s", self._reader.name, told)
        with suppress(Exception):  # what has failed may not close either
            self.close()
        self._env = None


def _place(error: Exception) -> str:
    """The line that raised it, as file:line."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno}"


def leave_signals_to_the_parent() -> None:
    """Leave the group of processes, whose signals (Ctrl-C, `timeout`) are for the parent.

    It ends what it is doing first, and then this process. Should it die, the closed pipe ends this.
    """
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

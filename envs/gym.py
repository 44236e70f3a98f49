"""Any gymnasium environment whose observation has a frame and a mask, many at once.

    environment = gym_environment(EnvSettings(env="my_package:Game-v0"))
    with environment.start(num_lanes=8, seed=1) as lanes:      # a protocol.VectorEnv
        ...

Environments step in processes of their own, with shared memory (gymnasium's AsyncVectorEnv), or in
this one. One that fails ends its own episode as truncated and is made again; the rest goes on.

A run is resumed by playing each lane's episode again, from its seed and actions. Whether that gives
the same frames and masks is tried before a run begins, and checked again when it is resumed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from rl_attn.envs import gym_trial
from rl_attn.envs.gym_lane import Ended, GymLane, parts
from rl_attn.envs.gym_trial import Trial, in_a_process, make, trial
from rl_attn.envs.protocol import Step, VectorEnv
from rl_attn.envs.registry import CANNOT_RESUME, Environment, EnvSettings
from rl_attn.envs.scaling import parse_size
from rl_attn.envs.seeds import lane_seeds
from rl_attn.envs.variations import Variation
from rl_attn.envs.watchdog import Watchdog
from rl_attn.errors import EnvironmentFailed, UserError

#: Steps of an episode that are played again in one call.
REPLAYED_AT_ONCE = 20

#: Steps of each lane after which a mask that has never been set is told of.
UNSEEN_AFTER = 1000


def gym_environment(settings: EnvSettings) -> Environment:
    """The environment that gymnasium makes of `settings.env`, after a trial play."""
    size = parse_size(settings.frame_size)
    play = in_a_process if settings.env_processes else trial
    seen = play(settings.env, settings.frame_key, settings.mask_key, size)
    if settings.looks and seen.variations is None:
        raise UserError(
            f"looks {settings.looks}: {settings.env} has none; give it a variation_space (see "
            "rl_attn.envs.variations), or leave them out"
        )
    looks = seen.variations.numbers(settings.looks) if settings.looks else None
    return Environment(
        name=settings.env,
        frame_shape=seen.reader.frame_shape,
        mask_shape=seen.reader.mask_shape,
        action_space=seen.action_space,
        action_names=(),
        fps=seen.fps,
        replays=seen.replays,
        objects=(),
        variations=lambda: seen.variations,
        start=partial(GymLanes, seen, processes=settings.env_processes, looks=looks),
    )


class GymLanes(VectorEnv):
    """`protocol.VectorEnv` of a gymnasium environment. See the head of this file."""

    def __init__(
        self,
        seen: Trial,
        num_lanes: int,
        *,
        seed: int = 0,
        first_lane: int = 0,
        episode_seeds: Sequence[int] | None = None,
        num_groups: int = 1,
        processes: bool = True,
        looks: dict[str, list[int]] | None = None,
    ) -> None:
        """Starts the environments. Seeds are as in `lane_seeds`, looks as in `Variations.numbers`.

        Raises ValueError for counts that do not fit together.
        """
        if num_lanes < 1 or num_groups < 1 or num_lanes % num_groups:
            raise ValueError(f"{num_lanes} lanes cannot be divided into {num_groups} equal groups")
        self.reader, self.replays, self.action_space = seen.reader, seen.replays, seen.action_space
        self.num_lanes, self.num_groups, self._looks = num_lanes, num_groups, looks
        self.frame_shape, self.mask_shape = self.reader.frame_shape, self.reader.mask_shape
        seeds = lane_seeds(num_lanes, seed, first_lane, episode_seeds)
        lanes = [
            partial(GymLane, make, self.reader, self.action_space, i, s, looks, os.getpid())
            for i, s in enumerate(seeds)
        ]
        kind = _Processes if processes else SyncVectorEnv
        with self._one_line():
            self._groups = [kind(lanes[self.group_slice(g)], copy=False) for g in range(num_groups)]
        self._sent: list[Any] = [None] * num_groups
        self._steps, self._masked = 0, False  # whether a mask has been set in so many steps

    @property
    def faults(self) -> int:
        return sum(self._call("lane_faults"))

    @property
    def active(self) -> np.ndarray:
        return np.array(self._call("lane_active"))

    def reset(
        self,
        frames: np.ndarray,
        masks: np.ndarray,
        seeds: Sequence[int] | None = None,
        variations: Sequence[Variation | None] | None = None,
    ) -> None:
        options = None if variations is None else {"variations": list(variations)}
        for group, envs in enumerate(self._groups):
            lanes = self.group_slice(group)
            given = None if seeds is None else [int(seed) for seed in seeds[lanes]]
            with self._one_line(envs):
                if isinstance(envs, _Processes):
                    envs.reset_async(seed=given, options=options)
                    observation, infos = envs.reset_wait()
                else:
                    observation, infos = envs.reset(seed=given, options=options)
            _raise_first(infos)
            frames[lanes], masks[lanes] = parts(observation, self.reader)

    def send(
        self, actions: np.ndarray, frames: np.ndarray, masks: np.ndarray, group: int = 0
    ) -> None:
        if self._sent[group] is not None:
            raise RuntimeError(f"a step of group {group} is under way: call wait() first")
        self._sent[group] = (actions, frames, masks)
        envs = self._groups[group]
        if isinstance(envs, _Processes):
            with self._one_line(envs):
                envs.step_async(actions)

    def wait(self, group: int = 0) -> Step:
        if self._sent[group] is None:
            raise RuntimeError(f"no step of group {group} is under way: call send() first")
        (actions, frames, masks), self._sent[group] = self._sent[group], None
        envs = self._groups[group]
        with self._one_line(envs):
            if isinstance(envs, _Processes):
                observation, rewards, *_, infos = envs.step_wait()
            else:
                observation, rewards, *_, infos = envs.step(actions)
        _raise_first(infos)
        frames[...], masks[...] = parts(observation, self.reader)
        if not self._masked:
            self._tell_of_no_mask(masks)
        return _gather(rewards, infos.get("ended", ()), self.group_slice(group).start)

    def state_dict(self) -> dict[str, Any]:
        return {"settings": self._settings(), "lanes": self._call("lane_state")}

    def load_state_dict(self, state: dict[str, Any], frames: np.ndarray, masks: np.ndarray) -> None:
        if not self.replays:
            raise UserError(f"{self.reader.name} {CANNOT_RESUME}")
        if len(state["lanes"]) != self.num_lanes or state["settings"] != self._settings():
            raise ValueError(
                f"this state is of {len(state['lanes'])} lanes with {state['settings']}, "
                f"not of {self.num_lanes} with {self._settings()}"
            )
        self._call("lane_resume", state["lanes"])
        seen: list[np.ndarray | str | None] = [None]
        while any(one is None for one in seen):  # each call has a step's time to answer
            seen = self._call("lane_replay", REPLAYED_AT_ONCE)
            for lane, one in enumerate(seen):
                if isinstance(one, str):
                    raise EnvironmentFailed(f"{one}; the checkpoint is as it was")
                if one is not None:
                    frames[lane], masks[lane] = parts(one, self.reader)

    def close(self) -> None:
        for envs in self._groups:
            if envs.closed:
                continue
            if not isinstance(envs, _Processes):
                envs.close()
                continue
            envs.watchdog.close()
            try:
                envs.close(timeout=5.0)
            except (EOFError, OSError, multiprocessing.TimeoutError):
                envs.end()

    def _call(self, name: str, *arguments: Any) -> list[Any]:
        answers: list[Any] = []
        for envs in self._groups:
            with self._one_line(envs):
                answers += envs.call(name, *arguments)
        return answers

    def _tell_of_no_mask(self, masks: np.ndarray) -> None:
        """Once, of targets that are never seen; random play before the run has shown one."""
        before, self._steps = self._steps, self._steps + len(masks)
        self._masked = bool(masks.any())
        if not self._masked and before < UNSEEN_AFTER * self.num_lanes <= self._steps:
            warnings.warn(
                f"{self.reader.name}: observation[{self.reader.mask_key!r}] was empty in all "
                f"{self._steps} steps so far: there is nothing to attend to",
                stacklevel=3,
            )

    @contextmanager
    def _one_line(self, envs: gymnasium.vector.VectorEnv | None = None) -> Iterator[None]:
        """Within the block, a process that has died or hangs is an EnvironmentFailed."""
        watched = envs if isinstance(envs, _Processes) else None
        try:
            with watched.watchdog if watched else nullcontext():
                yield
        except (EOFError, ConnectionError):
            reason = _how_it_died(watched)
        else:
            return
        if watched:
            watched.end()
        raise EnvironmentFailed(f"{self.reader.name}: {reason}") from None

    def _settings(self) -> dict[str, Any]:
        """What two runs must share for the same seeds and actions to mean the same episode."""
        settings = {"env": self.reader.name, "frame_shape": list(self.frame_shape)}
        return {**settings, "looks": self._looks} if self._looks else settings


class _Processes(AsyncVectorEnv):
    """gymnasium's, whose processes are killed where one call takes longer than a step may.

    Its own timeouts ask every pipe first, which costs a tenth of a step; a timeout of the pipes
    sets a timer at every read, which costs a twentieth.
    """

    launching = False

    def __init__(self, lanes: Sequence[Any], copy: bool) -> None:
        super().__init__(lanes, copy=copy)
        self.hung = False
        self.watchdog = Watchdog(self, gym_trial.HANG_TIMEOUT)

    def kill(self) -> None:
        """End the call that takes too long; from the watchdog's thread."""
        self.hung = True
        for process in self.processes:
            process.kill()

    def end(self) -> None:
        """End the processes, whatever they do; `close` waits for answers."""
        self.watchdog.close()
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()
        self.closed = True


def _how_it_died(envs: _Processes | None) -> str:
    """Of the first process that has ended."""
    if envs is not None and envs.hung:
        return f"a step or a reset took longer than {gym_trial.HANG_TIMEOUT:g} s"
    for process in envs.processes if envs is not None else ():
        process.join(1.0)
        if process.exitcode is not None:
            code = process.exitcode
            how = f"with status {code}" if code >= 0 else f"of {signal.Signals(-code).name}"
            return f"the process of an environment died {how}"
    return "the process of an environment ended before it began"


def _raise_first(infos: dict[str, Any]) -> None:
    """What a lane says can not go on."""
    for error in infos.get("error", ()):
        if error is not None:
            raise error


def _gather(rewards: np.ndarray, ended: Sequence[Ended | None], first: int) -> Step:
    """What the lanes told as one Step; `first` is the group's first lane."""
    nobody = np.zeros(len(rewards), bool)
    step = Step(rewards.astype(np.float32), nobody.copy(), nobody.copy())
    for end in filter(None, ended):
        index = end.episode.lane - first
        step.episodes.append(end.episode)
        step.truncated[index] = end.episode.truncated
        step.terminated[index] = not end.episode.truncated
        if end.episode.truncated:
            step.final_frames[index], step.final_masks[index] = end.final_frame, end.final_mask
    return step

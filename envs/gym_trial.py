"""A trial play of a gymnasium environment before a run: what it shows, and whether it replays."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np

from rl_attn.envs.gym_lane import leave_signals_to_the_parent
from rl_attn.envs.observations import Reader, finite, reader_of
from rl_attn.envs.variations import Variations, variations_of
from rl_attn.errors import UserError, one_line

#: Seconds that one step of an environment, or one reset, may take.
HANG_TIMEOUT = 120.0

#: Steps of random play in which a mask must have been set once; and how many are played twice.
_MASK_STEPS, _REPLAYED = 1000, 40


@dataclass(frozen=True)
class Trial:
    """What a trial play of an environment has shown."""

    reader: Reader
    action_space: gymnasium.Space
    fps: Fraction
    replays: bool
    variations: Variations | None


@lru_cache
def in_a_process(name: str, *how: Any) -> Trial:
    """`trial` in a process of its own: what it leaves behind, such as a renderer's threads or its
    hold on a GPU, would break the environments' processes, which are copies of this one."""
    fork = multiprocessing.get_context("fork")
    try:
        with ProcessPoolExecutor(1, fork, _may_hang) as pool:
            return pool.submit(trial, name, *how).result()
    except BrokenProcessPool:
        raise UserError(
            f"{name} ends its process when it is played, or a step takes longer than "
            f"{HANG_TIMEOUT:g} s: correct it, or try it with --no-env-processes"
        ) from None


_hangs = False  # whether this process may be ended by a step that takes too long


def _may_hang() -> None:
    global _hangs
    leave_signals_to_the_parent()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _hangs = True


def _begin_call() -> None:
    """A call of an environment, or the end of all: the next one must begin in time."""
    if _hangs:
        signal.setitimer(signal.ITIMER_REAL, HANG_TIMEOUT)


@lru_cache
def trial(name: str, frame_key: str, mask_key: str, size: tuple[int, int] | None) -> Trial:
    _begin_call()
    env = make(name)
    reader = reader_of(env, name, frame_key, mask_key, size)
    try:
        replays = _replays(env, name, reader)
        _see_a_mask(env, reader)
        variations = variations_of(env)
        env.close()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name} fails when it is played: {one_line(error, named=True)}") from error
    return Trial(reader, env.action_space, _fps(env, name), replays, variations)


def _fps(env: gymnasium.Env, name: str) -> Fraction:
    given = env.metadata.get("render_fps") or 30
    try:
        fps = Fraction(float(given)).limit_denominator(1000)
    except (TypeError, ValueError, OverflowError):
        fps = Fraction(0)
    if fps <= 0:
        raise UserError(f"{name} says render_fps {given}: make it a number above 0, or say nothing")
    return fps


def make(name: str) -> gymnasium.Env:
    """`gymnasium.make`, of modules in this folder too; a UserError if it cannot be."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return gymnasium.make(name, disable_env_checker=True)
    except Exception as error:
        reason = one_line(error, named=True)
        raise UserError(f"--env {name} cannot be made: {reason}") from None


def _replays(env: gymnasium.Env, name: str, reader: Reader) -> bool:
    """Whether the same seed and actions give the same again, in a new environment."""
    fresh = make(name)
    try:
        _play(env, reader, seed=1, steps=_REPLAYED)  # an episode before must leave no trace
        first, again = (_play(e, reader, seed=2, steps=_REPLAYED) for e in (env, fresh))
    finally:
        fresh.close()
    return len(first) == len(again) and all(
        a[0] == b[0] and all(map(np.array_equal, a[1:], b[1:]))
        for a, b in zip(first, again, strict=True)
    )


def _play(env: gymnasium.Env, reader: Reader, seed: int, steps: int) -> list[tuple[Any, ...]]:
    """(reward, frame, mask) of an episode of random actions, at most so many steps."""
    env.action_space.seed(seed)
    _begin_call()
    observation, _ = env.reset(seed=seed)
    played = [(0.0, *map(np.copy, reader(observation)))]
    while len(played) <= steps:
        _begin_call()
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        played.append((finite(reward, reader.name), *map(np.copy, reader(observation))))
        if terminated or truncated:
            break
    return played


def _see_a_mask(env: gymnasium.Env, reader: Reader) -> None:
    """Refuse an environment whose mask is never set."""
    steps = seed = 0
    while steps < _MASK_STEPS:
        played = _play(env, reader, seed, min(50, _MASK_STEPS - steps))
        if any(mask.any() for _, _, mask in played):
            return
        steps, seed = steps + len(played), seed + 1
    raise UserError(
        f"{reader.name}: observation[{reader.mask_key!r}] is empty in {steps} steps of random "
        "play: set it where the targets are, or name another with --mask-key"
    )

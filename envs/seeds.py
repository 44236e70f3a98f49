"""Streams of episode seeds: a lane plays the episode of one seed after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_SEEDS = 2**31  # episodes have seeds below this; the engine takes no larger ones


class RandomSeeds:
    """An endless stream of episode seeds."""

    def __init__(self, sequence: np.random.SeedSequence, first: int | None = None) -> None:
        """first: seed of the first episode, in place of one that is drawn."""
        self._generator = np.random.Generator(np.random.PCG64(sequence))
        self._first = first

    @classmethod
    def beginning_with(cls, seed: int) -> RandomSeeds:
        """The stream of `reset(seed=seed)`: the episode of that seed, then some drawn from it."""
        return cls(np.random.SeedSequence(seed), first_episode_seed(seed))

    def next(self) -> int | None:
        first, self._first = self._first, None
        return draw_episode_seed(self._generator) if first is None else first

    def state_dict(self) -> dict[str, Any]:
        return self._generator.bit_generator.state  # `first` is taken by the reset that gives it

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._generator.bit_generator.state = state


class ListedSeeds:
    """Given episode seeds, each once."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = [int(seed) for seed in seeds]
        self._played = 0

    def next(self) -> int | None:
        """The next seed; None when all have been played."""
        if self._played == len(self._seeds):
            return None
        self._played += 1
        return self._seeds[self._played - 1]

    def state_dict(self) -> dict[str, Any]:
        return {"played": self._played}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._played = int(state["played"])


def draw_episode_seed(generator: np.random.Generator) -> int:
    """A seed for one episode, as every environment here draws them."""
    return int(generator.integers(_SEEDS))


def first_episode_seed(seed: int) -> int:
    """Of the episode that `reset(seed=seed)` begins: the same number, so that it can be named."""
    return int(seed) % _SEEDS


def lane_seeds(
    num_lanes: int, seed: int = 0, first_lane: int = 0, episode_seeds: Sequence[int] | None = None
) -> list[RandomSeeds] | list[ListedSeeds]:
    """The streams of `num_lanes` lanes.

    seed: of all streams, one a lane. first_lane: number of the first lane where several processes
    share the lanes of one seed. episode_seeds: these instead, lane i the i-th, the
    (i + num_lanes)-th, ...
    """
    if episode_seeds is not None:
        return [ListedSeeds(episode_seeds[index::num_lanes]) for index in range(num_lanes)]
    numbers = range(first_lane, first_lane + num_lanes)
    return [RandomSeeds(np.random.SeedSequence(seed, spawn_key=(n,))) for n in numbers]

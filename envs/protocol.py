"""What training, evaluation and everything else here asks of many environments stepped at once.

Observations are a frame and the mask of the targets in it, written into arrays that the caller
owns. An episode that ends is followed by the next one in the same step (gymnasium's SAME_STEP).

    with environment.start(num_lanes=8, seed=1) as lanes:
        frames = np.empty((8, *lanes.frame_shape), np.uint8)
        masks = np.empty((8, *lanes.mask_shape), np.uint8)
        lanes.reset(frames, masks)
        step = lanes.step(actions, frames, masks)     # step.rewards, step.terminated, ...

A lane is one of the environments. Lanes form groups of equal size, so that one group can step while
the policy acts for another. Results depend on seeds and actions only, not on groups or timing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import gymnasium
import numpy as np

from rl_attn.envs.variations import Variation


def digest(frame: np.ndarray, mask: np.ndarray) -> str:
    """The same for the same frame and mask: what an episode that is played again must lead to."""
    return hashlib.sha256(frame.tobytes() + mask.tobytes()).hexdigest()


@dataclass(frozen=True)
class Episode:
    """An episode that has ended."""

    lane: int
    seed: int
    episode_return: float  # sum of the raw rewards
    length: int  # agent steps
    fault: bool  # cut short because the environment died or hung
    truncated: bool  # by the time limit or a fault, not by the environment itself


@dataclass
class Step:
    """What one step of a group's n lanes brought, in the order of the lanes."""

    rewards: np.ndarray  # (n,) float32, raw
    terminated: np.ndarray  # (n,) bool
    truncated: np.ndarray  # (n,) bool: by the time limit or a fault
    # Of truncated episodes, by the lane's index within the group: what the agent saw last.
    final_frames: dict[int, np.ndarray] = field(default_factory=dict)  # (H, W, C) uint8
    final_masks: dict[int, np.ndarray] = field(default_factory=dict)  # (H, W) uint8
    final_variables: dict[int, np.ndarray] = field(default_factory=dict)  # (V,) float32, of Doom
    episodes: list[Episode] = field(default_factory=list)  # ended in this step


class Steps(Protocol):
    """The part of a `VectorEnv` of one group that playing to the end of an episode asks for."""

    num_lanes: int
    frame_shape: tuple[int, int, int]  # (H, W, C), C = 1 or 3

    def reset(
        self,
        frames: np.ndarray,
        masks: np.ndarray,
        *,
        seeds: Sequence[int] | None = None,
        variations: Sequence[Variation | None] | None = None,
    ) -> None:
        """Begin the next episode in every lane and write its first observation.

        frames: (num_lanes, H, W, C) uint8, masks: (num_lanes, H, W) uint8 in {0, 1}. With `seeds`,
        one a lane, each lane plays the episode of its seed, and then others that are drawn from
        it. With `variations`, one a lane, its episodes look that way until the next reset; {} is
        plain, None leaves it to the environment. See `variations.py`.
        """
        ...

    def step(self, actions: np.ndarray, frames: np.ndarray, masks: np.ndarray) -> Step:
        """One step of all lanes; arguments as of `VectorEnv.send`."""
        ...


@runtime_checkable
class VectorEnv(Steps, Protocol):
    """See the head of this file."""

    num_groups: int
    mask_shape: tuple[int, int]  # (H, W)
    action_space: gymnasium.Space  # of one lane

    @property
    def faults(self) -> int:
        """How many times an environment has died or hung, and was started again."""
        ...

    @property
    def active(self) -> np.ndarray:
        """(num_lanes,) bool: False for a lane that has played all of its listed seeds."""
        ...

    def group_slice(self, group: int) -> slice:
        """Which of the lanes make up that group."""
        size = self.num_lanes // self.num_groups
        return slice(group * size, (group + 1) * size)

    def send(
        self, actions: np.ndarray, frames: np.ndarray, masks: np.ndarray, group: int = 0
    ) -> None:
        """Begin one step of that group's n lanes and return at once; `wait` gives the result.

        actions: (n, *action_space.shape). frames and masks, n of each, are written until `wait`
        returns. Idle lanes ignore their action and write zeros.
        """
        ...

    def wait(self, group: int = 0) -> Step:
        """The result of the step that `send` began."""
        ...

    def step(self, actions: np.ndarray, frames: np.ndarray, masks: np.ndarray) -> Step:
        """`send` and `wait` in one, for lanes that form a single group."""
        if self.num_groups != 1:
            raise RuntimeError(f"with {self.num_groups} groups use send() and wait()")
        self.send(actions, frames, masks)
        return self.wait()

    def state_dict(self) -> dict[str, Any]:
        """All that continues the lanes exactly, in plain values: `lanes` is a list, one a lane."""
        ...

    def load_state_dict(self, state: dict[str, Any], frames: np.ndarray, masks: np.ndarray) -> None:
        """Continue where `state_dict` was taken, by playing the current episodes up to there.

        frames and masks as in `reset`; they are then the current ones. ValueError if the
        state is that of other lanes.
        """
        ...

    def close(self) -> None:
        """End all environments. May be called again."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

"""From a gymnasium observation to a frame (H, W, C) uint8 and a mask (H, W) uint8 in {0, 1}.

An observation is a dict of a frame, uint8 (H, W), (H, W, 1) or (H, W, 3), and a mask, (H, W),
(H, W, 1) or (1, H, W), of bool, 0 and 1, or 0 and 255. All else is refused, and never guessed: a
channel that comes first is not read as rows, nor a grey level or an object's number as "yes".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rl_attn.envs.scaling import Area
from rl_attn.errors import UserError, choose

#: Compared once a step, which takes numpy longer where it is given the type itself.
_UINT8, _BOOL = np.dtype(np.uint8), np.dtype(bool)


@dataclass(frozen=True)
class Reader:
    """Reads the observations of one environment; `name` and the keys are for its messages."""

    name: str
    frame_key: str
    mask_key: str
    given_shape: tuple[int, int, int]  # (H, W, C) of the environment's frames
    size: tuple[int, int] | None = None  # (h, w) that they are scaled to

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(h, w, C) of what is read."""
        return (*(self.size or self.given_shape[:2]), self.given_shape[2])

    @property
    def mask_shape(self) -> tuple[int, int]:
        return self.frame_shape[:2]

    def __call__(self, observation: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """The frame and the mask, which may be views; UserError for another shape or type."""
        frame = np.asarray(observation[self.frame_key])
        if frame.dtype != _UINT8 or frame.shape != self.given_shape:
            frame = self._shaped(frame)
        mask = self._mask(observation)
        area = self._area
        return (frame, mask) if area is None else (area.frame(frame), area.mask(mask))

    @cached_property
    def _area(self) -> Area | None:
        given = self.given_shape[:2]
        return None if self.mask_shape == given else Area(given, self.mask_shape)

    def _shaped(self, frame: np.ndarray) -> np.ndarray:
        if frame.dtype != _UINT8 or (*frame.shape, 1)[:3] != self.given_shape:
            raise UserError(
                f"{self.name}: observation[{self.frame_key!r}] is {frame.dtype} {frame.shape}, not "
                f"uint8 {self.given_shape} as its space says: correct the environment"
            )
        return frame.reshape(self.given_shape)

    def _mask(self, observation: dict[str, Any]) -> np.ndarray:
        mask, size = np.asarray(observation[self.mask_key]), self.given_shape[:2]
        if mask.shape != size:
            if mask.shape not in ((*size, 1), (1, *size)):
                raise UserError(
                    f"{self.name}: observation[{self.mask_key!r}] has shape {mask.shape}, not "
                    f"{size} as its frames: correct the environment"
                )
            mask = mask.reshape(size)
        if mask.itemsize == 1:
            numbers = mask.view(_UINT8)  # of int8 too: below 0 it is large
            if mask.dtype == _BOOL or np.maximum.reduce(numbers, None) <= 1:
                return numbers
        top = mask.max()
        on = mask != 0
        if top not in (0, 1, 255) or (mask[on] != top).any():
            values = ", ".join(f"{value:g}" for value in np.unique(mask)[:5])
            raise UserError(
                f"{self.name}: observation[{self.mask_key!r}] has the values {values}, which are "
                "neither 0 and 1 nor 0 and 255: make it true where the targets are"
            )
        return on.view(np.uint8)


def reader_of(
    env: gymnasium.Env,
    name: str,
    frame_key: str,
    mask_key: str,
    size: tuple[int, int] | None = None,
) -> Reader:
    """The reader for its observation space, which scales to that size (H, W).

    UserError if the space holds no frame or no mask.
    """
    space = env.observation_space
    if not isinstance(space, spaces.Dict):
        raise UserError(
            f"{name} has the observation space {space}: wrap it so that an observation is a dict "
            "with a frame and the mask of the targets in it"
        )
    for flag, key in (("--frame-key", frame_key), ("--mask-key", mask_key)):
        try:
            choose("key", key, space.keys())
        except UserError as error:
            raise UserError(f"{name}, {flag}: {error}") from None
    shape = _frame_shape(space, name, frame_key, mask_key)
    return Reader(name, frame_key, mask_key, shape, size)


def _frame_shape(space: spaces.Dict, name: str, frame_key: str, mask_key: str) -> tuple[int, ...]:
    """(H, W, C), checked against the mask's."""
    frame, mask = space[frame_key], space[mask_key]
    shape = (*(frame.shape or ()), 1)[:3]
    if frame.dtype != np.uint8 or len(frame.shape or ()) not in (2, 3) or shape[-1] not in (1, 3):
        raise UserError(
            f"{name}: the frame {frame_key!r} is {frame.dtype} {frame.shape}: make it uint8 "
            "(H, W), (H, W, 1) or (H, W, 3), or name another with --frame-key"
        )
    size = shape[:2]
    if mask.shape not in (size, (*size, 1), (1, *size)):
        raise UserError(
            f"{name}: the mask {mask_key!r} has shape {mask.shape} for frames of {size}: make it "
            f"{size}, {(*size, 1)} or {(1, *size)}, or name another with --mask-key"
        )
    return shape


def finite(reward: Any, name: str) -> float:
    """The reward as a number; UserError if it is NaN or infinite, as every return would be."""
    value = float(reward)
    if not math.isfinite(value):
        raise UserError(f"{name} gives a reward of {value}: rewards must be finite")
    return value

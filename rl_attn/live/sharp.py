"""Games of Doom that are drawn larger than the agent sees them."""

from dataclasses import replace
from typing import Any, Self

import numpy as np

from rl_attn.env_settings import EnvSettings
from rl_attn.envs.protocol import Step
from rl_attn.envs.registry import find
from rl_attn.envs.scaling import Area

_SIZE = (320, 240)


class Sharp:
    """`Steps` whose `large_frames` (N, 240, 320, C) and `large_masks` (N, 240, 320) are the
    current ones, of which the agent gets the scaled ones."""

    num_groups = 1

    def __init__(self, settings: EnvSettings, num_lanes: int = 1):
        small, (width, height) = find(settings), _SIZE
        large = find(replace(settings, width=width, height=height, frame_size=""))
        self.num_lanes = num_lanes
        self.frame_shape, self.mask_shape = small.frame_shape, small.mask_shape
        self._lanes = large.start(num_lanes)
        self.large_frames = np.zeros((num_lanes, *large.frame_shape), np.uint8)
        self.large_masks = np.zeros((num_lanes, *large.mask_shape), np.uint8)
        self._area = Area(large.mask_shape, small.mask_shape)

    def reset(self, frames: np.ndarray, masks: np.ndarray, **how: Any) -> None:
        """As of `VectorEnv`."""
        self._lanes.reset(self.large_frames, self.large_masks, **how)
        self._shrink(frames, masks)

    def step(self, actions: np.ndarray, frames: np.ndarray, masks: np.ndarray) -> Step:
        """As of `VectorEnv`."""
        step = self._lanes.step(actions, self.large_frames, self.large_masks)
        self._shrink(frames, masks)
        shrunk = {i: self._area.frame(frame) for i, frame in step.final_frames.items()}
        covered = {i: self._area.mask(mask) for i, mask in step.final_masks.items()}
        return replace(step, final_frames=shrunk, final_masks=covered)

    def _shrink(self, frames: np.ndarray, masks: np.ndarray) -> None:
        for lane in range(self.num_lanes):
            frames[lane] = self._area.frame(self.large_frames[lane])
            masks[lane] = self._area.mask(self.large_masks[lane])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lanes.close()

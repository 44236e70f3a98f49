"""Frames and masks at another size, by area: a pixel is the mean of what it covers.

    smaller = Area((120, 160), (84, 84))
    smaller.frame(frame)      # (120, 160, C) uint8 -> (84, 84, C) uint8
    smaller.mask(mask)        # (120, 160) uint8 -> (84, 84) uint8 in {0, 1}

A pixel of the mask is on where it covers any part of a target, so that no target vanishes, however
small; a share below one half would count as "no target" in every metric.
"""

from __future__ import annotations

import re

import cv2
import numpy as np

from rl_attn.errors import UserError

LARGEST_SIDE = 8192


class Area:
    """See the head of this file; sizes are (H, W), and may grow as well as shrink."""

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        self._source, self._target = source, target

    def frame(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, C) uint8 as (h, w, C) uint8, rounded to nearest."""
        return self._resized(frame).reshape(*self._target, -1)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """(H, W) uint8 as (h, w) uint8 in {0, 1}: on where any part of the pixel was."""
        return (self._resized((mask != 0).astype(np.float32)) > 0).view(np.uint8)

    def _resized(self, picture: np.ndarray) -> np.ndarray:
        if self._source == self._target:
            return picture
        # OpenCV averages only where no side grows while the other shrinks: shrink, then grow.
        smaller = tuple(map(min, self._source, self._target))
        if smaller == self._target:
            return cv2.resize(picture, self._target[::-1], interpolation=cv2.INTER_AREA)
        exact = picture.astype(np.float32)
        for size in (smaller, self._target):
            exact = cv2.resize(exact, size[::-1], interpolation=cv2.INTER_AREA)
        return exact if picture.dtype == np.float32 else np.rint(exact).astype(picture.dtype)


def parse_size(text: str) -> tuple[int, int] | None:
    """(H, W) of "84x64", which is width x height as Doom's resolutions are; None of ""."""
    if not text:
        return None
    sides = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if sides is None or max(map(int, sides.groups())) > LARGEST_SIDE:
        raise UserError(
            f"--frame-size {text}: give width x height in pixels, such as 84x84, at most "
            f"{LARGEST_SIDE} each"
        )
    return int(sides[2]), int(sides[1])

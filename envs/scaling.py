"""Frames and masks at another size, by area: a pixel is the mean of what it covers.

    smaller = Area((120, 160), (84, 84))
    smaller.frame(frame)      # (120, 160, C) uint8 -> (84, 84, C) uint8
    smaller.mask(mask)        # (120, 160) uint8 -> (84, 84) uint8 in {0, 1}

A pixel of the mask is on where it covers any part of a target, so that no target vanishes, however
small; a share below one half would count as "no target" in every metric. Sums are of whole numbers,
and so the same on every machine.
"""

from __future__ import annotations

import re

import numpy as np

from rl_attn.errors import UserError

LARGEST_SIDE = 8192


class Area:
    """See the head of this file; sizes are (H, W), and may grow as well as shrink."""

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        self._total = source[0] * source[1]  # the weights of one pixel's parts, summed
        kind = np.int32 if 2 * 255 * self._total < 2**31 else np.int64
        down, across = map(_overlaps, source, target)
        self._rows = [(index, weights.astype(kind)[:, None, None]) for index, weights in down]
        self._columns = [(index, weights.astype(kind)[:, None]) for index, weights in across]

    def frame(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, C) uint8 as (h, w, C) uint8, rounded to nearest."""
        rows = sum(frame[index] * weights for index, weights in self._rows)  # (h, W, C)
        sums = sum(rows[:, index] * weights for index, weights in self._columns)  # (h, w, C)
        return ((2 * sums + self._total) // (2 * self._total)).astype(np.uint8)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """(H, W) uint8 as (h, w) uint8 in {0, 1}: on where any part of the pixel was."""
        on = mask != 0
        rows = sum(on[index] & (weights[..., 0] > 0) for index, weights in self._rows)
        on = rows > 0
        columns = sum(on[:, index] & (weights[:, 0] > 0) for index, weights in self._columns)
        return (columns > 0).view(np.uint8)


def _overlaps(source: int, target: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """What `target` pixels cover of `source` ones: for their first part, their second, ...

    of each the index (target,) of a source pixel, and how much of it. With the whole line
    source * target long, a source pixel is `target` long and a target pixel `source`: all overlaps
    are whole numbers.
    """
    begin = np.arange(target) * source  # of the target's pixels
    parts = []
    for part in range(-(-source // target) + 1):
        pixel = begin // target + part
        first = np.maximum(pixel * target, begin)
        last = np.minimum((pixel + 1) * target, begin + source)
        parts.append((np.minimum(pixel, source - 1), np.maximum(last - first, 0)))
    return parts


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

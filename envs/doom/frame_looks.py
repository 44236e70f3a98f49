"""What a look does to a frame that is drawn already: a tint and noise.

The tint t adds 80 t grey levels to red (in grey frames: to all) and takes them from blue. The noise
is normal, and the same for the same tic of the same episode. No pixel changes by more than 127
levels, and what goes beyond black or white is cut.

All of it is one pass from the engine's frame to the lane's, in place of the copy: between two
frames of a lane the games empty the caches of its core, so that each operation's code takes longer
to fetch than to run, and a table a pixel longer still.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from rl_attn.envs.doom.looks import Look

_LEVELS = 80  # of grey, that a tint of 1 adds
_STRETCHES = 61  # of noise; each frame takes one
_ZERO = 128  # of an overlay: the pixel stays as it is


def overlays(look: Look, shape: tuple[int, int, int]) -> list[np.ndarray]:
    """For frames (H, W, C), uint8 as they are: what is added to a pixel, plus 128.

    A frame takes the one of its number modulo theirs. None: no change.
    """
    return _overlays(look.tint, look.noise, shape) if look.tint or look.noise else []


def overlay(screen: np.ndarray, added: np.ndarray, frame: np.ndarray) -> None:
    """Write the screen with this overlay into the frame; uint8 (H, W, C) each."""
    if frame.flags.c_contiguous:
        cv2.addWeighted(screen, 1, added, 1, -_ZERO, dst=frame)
    else:
        frame[...] = cv2.addWeighted(screen, 1, added, 1, -_ZERO).reshape(frame.shape)


@cache
def _overlays(tint: float, deviation: int, shape: tuple[int, int, int]) -> list[np.ndarray]:
    """Stretches of one line of noise, each of which begins at another pixel."""
    size, rng = int(np.prod(shape)), np.random.default_rng(deviation)
    count = _STRETCHES if deviation else 1
    starts = rng.permutation(size // shape[2])[:count] * shape[2]
    noise = rng.standard_normal((2, *shape)) * deviation
    levels = noise + _LEVELS * np.array((tint, 0, -tint)[: shape[2]])
    line = (levels.round().clip(-127, 127) + _ZERO).astype(np.uint8).ravel()
    return [line[start : start + size].reshape(shape) for start in starts]

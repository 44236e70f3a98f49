"""What a look does to a frame that is drawn already: a tint and noise.

The tint t makes red (of grey frames: all) 1 + t times as bright and blue 1 - t times. The noise is
normal, the same for the same tic of the same episode, and cut at black and white.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from rl_attn.envs.doom.looks import Look

_BANK = 2**20  # numbers drawn once; each frame takes a stretch of them


def dress(frame: np.ndarray, look: Look, seed: int, tic: int) -> np.ndarray:
    """The frame (H, W, C) uint8 under that look, at a tic of the episode of that seed."""
    if look.tint:
        frame = _tinted(frame, look.tint)
    if look.noise:
        start = (seed * 7919 + tic * 104729) % _BANK
        frame = _noisy(frame, look.noise, start)
    return frame


def _tinted(frame: np.ndarray, tint: float) -> np.ndarray:
    height, width, channels = frame.shape
    planes = np.empty((channels, height, width), np.uint8)
    for channel, gain in enumerate((1 + tint, 1.0, 1 - tint)[:channels]):
        if gain == 1:
            planes[channel] = frame[..., channel]
        else:  # with `out` and "clip", take is faster than an index
            np.take(_table(gain), frame[..., channel], out=planes[channel], mode="clip")
    return np.moveaxis(planes, 0, -1)


def _noisy(frame: np.ndarray, deviation: int, start: int) -> np.ndarray:
    """The frame and a stretch of noise, cut at black and white: bytes that cannot overflow."""
    below, above, room = (
        (part[start : start + frame.size] if frame.size <= _BANK else np.resize(part, frame.size))
        for part in _noise(deviation)
    )
    noisy = np.minimum(frame, room.reshape(frame.shape))
    noisy += above.reshape(frame.shape)
    np.maximum(noisy, below.reshape(frame.shape), out=noisy)
    noisy -= below.reshape(frame.shape)
    return noisy


@cache
def _table(gain: float) -> np.ndarray:
    return (np.arange(256) * gain).round().clip(0, 255).astype(np.uint8)


@cache
def _noise(deviation: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is taken from pixels, what is added, and 255 minus that; (2 * _BANK,) uint8 each.

    Twice the same numbers, so that a stretch may begin anywhere.
    """
    drawn = np.random.default_rng(deviation).standard_normal(_BANK) * deviation
    drawn = np.tile(drawn.round().clip(-255, 255).astype(np.int16), 2)
    above = drawn.clip(0).astype(np.uint8)
    return (-drawn).clip(0).astype(np.uint8), above, 255 - above

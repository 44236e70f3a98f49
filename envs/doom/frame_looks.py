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
        gains = (1 + look.tint, 1, 1 - look.tint)[: frame.shape[-1]]
        tables = np.stack([_table(gain) for gain in gains])  # (C, 256)
        frame = np.stack([tables[c][frame[..., c]] for c in range(len(gains))], axis=-1)
    if look.noise:
        start = (seed * 7919 + tic * 104729) % _BANK
        noise = _noise(look.noise)[start : start + frame.size]
        if frame.size > _BANK:
            noise = np.resize(_noise(look.noise), frame.size)
        noisy = frame + noise.reshape(frame.shape)  # int16
        frame = np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)
    return frame


@cache
def _table(gain: float) -> np.ndarray:
    return (np.arange(256) * gain).round().clip(0, 255).astype(np.uint8)


@cache
def _noise(deviation: int) -> np.ndarray:
    """Twice the same numbers, so that a stretch may begin anywhere."""
    drawn = np.random.default_rng(deviation).standard_normal(_BANK) * deviation
    return np.tile(drawn.round().astype(np.int16), 2)

"""What a look does to a frame that is drawn already: a tint and noise.

The tint t adds 80 t grey levels to red (in grey frames: to all) and takes them from blue. The noise
is normal, and the same for the same tic of the same episode. What goes beyond black or white is
cut.

Both are added in one pass: between two frames of a lane the games empty the caches of its core, so
that each operation's code takes longer to fetch than to run, and a table a pixel longer still.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from rl_attn.envs.doom.looks import Look

_LEVELS = 80  # of grey, that a tint of 1 adds
_STRETCHES = 61  # of noise; each frame takes one


class Overlay(NamedTuple):
    """What is added to one frame; uint8 (H, W, C) each."""

    darkest: np.ndarray  # pixel that does not go beyond black
    brightest: np.ndarray
    added: np.ndarray  # modulo 256

    def draw(self, frame: np.ndarray) -> None:
        """On this frame, in place."""
        np.minimum(frame, self.brightest, out=frame)
        np.maximum(frame, self.darkest, out=frame)
        frame += self.added


def overlays(look: Look, shape: tuple[int, int, int]) -> list[Overlay]:
    """For frames (H, W, C); a frame takes the one of its number modulo theirs. None: no change."""
    return _overlays(look.tint, look.noise, shape) if look.tint or look.noise else []


@cache
def _overlays(tint: float, deviation: int, shape: tuple[int, int, int]) -> list[Overlay]:
    """Stretches of one line of noise, each of which begins at another pixel."""
    size, rng = int(np.prod(shape)), np.random.default_rng(deviation)
    count = _STRETCHES if deviation else 1
    starts = rng.permutation(size // shape[2])[:count] * shape[2]
    noise = rng.standard_normal((2, *shape)) * deviation
    levels = noise + _LEVELS * np.array((tint, 0, -tint)[: shape[2]])
    levels = levels.round().clip(-255, 255).astype(np.int16).ravel()
    lines = ((-levels).clip(0), 255 - levels.clip(0), levels)
    lines = [line.astype(np.uint8) for line in lines]
    return [Overlay(*(line[s : s + size].reshape(shape) for line in lines)) for s in starts]

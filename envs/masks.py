"""A mask for an environment that has none: one small wrapper for each way to have it.

    IdMask      an image of numbers, and the numbers that are targets (a segmentation)
    BoxMask     boxes around the targets
    ColourMask  the targets' colours, in the frame or in another picture of it
    TileMask    a grid of tiles, and the numbers of those that are targets
    TwinMask    a second environment that plays the same and draws it otherwise

Each makes an observation {"frame": uint8 (H, W[, C]), "mask": uint8 (H, W) in {0, 1}}, which is all
that `--env module:Id-v0` asks for:

    gymnasium.register("Fruit-v0", entry_point=lambda: BoxMask(Fruit(), "boxes", frame="pixels"))

What a wrapper reads is a key of the observation, or a function of what was seen:

    BoxMask(env, lambda seen: seen.info["boxes"], frame=lambda seen: seen.env.render())

without `frame`, the observation itself is the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rl_attn.errors import UserError, choose


@dataclass(frozen=True)
class Seen:
    """What an environment has just shown."""

    env: gymnasium.Env  # the one that is wrapped
    observation: Any
    info: dict[str, Any]

    def read(self, source: Source | None) -> np.ndarray:
        """What a source says of it; None: the observation."""
        if callable(source):
            return np.asarray(source(self))
        if source is None:
            return np.asarray(self.observation)
        return np.asarray(self.observation[choose("key of the observation", source, self._keys)])

    @property
    def _keys(self) -> Collection[str]:
        return self.observation if isinstance(self.observation, dict) else ()


Source = str | Callable[[Seen], Any]


class MaskWrapper(gymnasium.Wrapper):
    """Observations of a frame and its mask; a subclass says what the mask is."""

    def __init__(self, env: gymnasium.Env, frame: Source | None = None) -> None:
        """Resets the environment once, to see what its frames are."""
        super().__init__(env)
        self._frame = frame
        shape = Seen(env, *env.reset(seed=0)).read(frame).shape
        self.observation_space = spaces.Dict(
            frame=spaces.Box(0, 255, shape, np.uint8),
            mask=spaces.Box(0, 1, shape[:2], np.uint8),
        )

    def mask(self, seen: Seen, frame: np.ndarray) -> np.ndarray:
        """(H, W) bool: which pixels of the frame show a target."""
        raise NotImplementedError

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._see(observation, info), info

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._see(observation, info), float(reward), terminated, truncated, info

    def _see(self, observation: Any, info: dict[str, Any]) -> dict[str, np.ndarray]:
        seen = Seen(self.env, observation, info)
        frame = seen.read(self._frame)
        mask = np.asarray(self.mask(seen, frame), bool)
        if mask.shape != frame.shape[:2]:
            raise UserError(
                f"{type(self).__name__}: the mask is {mask.shape} and the frame {frame.shape}: "
                "make both of the same height and width"
            )
        return {"frame": frame, "mask": mask.view(np.uint8)}


class IdMask(MaskWrapper):
    """On where an image (H, W) of whole numbers has one of `ids`."""

    def __init__(
        self,
        env: gymnasium.Env,
        image: Source,
        ids: Collection[int],
        frame: Source | None = None,
    ) -> None:
        super().__init__(env, frame)
        self._image, self._ids = image, list(ids)

    def mask(self, seen: Seen, frame: np.ndarray) -> np.ndarray:
        return np.isin(_whole(seen.read(self._image), "the image of ids"), self._ids)


class BoxMask(MaskWrapper):
    """On where any of the boxes (n, 4) covers a part of the pixel.

    A box is (left, top, right, bottom) in pixels from the upper left corner, right and bottom
    exclusive: (0, 0, 1, 1) is the first pixel. What lies outside the frame is cut off.
    """

    def __init__(self, env: gymnasium.Env, boxes: Source, frame: Source | None = None) -> None:
        super().__init__(env, frame)
        self._boxes = boxes

    def mask(self, seen: Seen, frame: np.ndarray) -> np.ndarray:
        boxes = seen.read(self._boxes).astype(float)
        if boxes.size % 4 or (boxes.size and boxes.shape[-1] != 4):
            raise UserError(f"boxes are (n, 4): left, top, right, bottom; got {boxes.shape}")
        mask = np.zeros(frame.shape[:2], bool)
        for left, top, right, bottom in boxes.reshape(-1, 4):
            if not (left <= right and top <= bottom):
                raise UserError(
                    f"a box is (left, top, right, bottom), not ({left:g}, {top:g}, {right:g}, "
                    f"{bottom:g}), whose right lies left of its left or whose bottom above its top"
                )
            rows = slice(max(0, int(np.floor(top))), max(0, int(np.ceil(bottom))))
            mask[rows, max(0, int(np.floor(left))) : max(0, int(np.ceil(right)))] = True
        return mask


class ColourMask(MaskWrapper):
    """On where a picture (default: the frame) has one of the colours, each channel at most
    `tolerance` away."""

    def __init__(
        self,
        env: gymnasium.Env,
        colours: Sequence[Sequence[int]] | Sequence[int],
        picture: Source | None = None,
        frame: Source | None = None,
        tolerance: int = 0,
    ) -> None:
        """colours: (r, g, b) each, or grey levels."""
        super().__init__(env, frame)
        self._colours, self._tolerance, self._picture = colours, tolerance, picture

    def mask(self, seen: Seen, frame: np.ndarray) -> np.ndarray:
        picture = frame if self._picture is None else seen.read(self._picture)
        return of_colours(picture, self._colours, self._tolerance)


class TileMask(MaskWrapper):
    """On where the tile has one of `ids`; tiles (rows, columns) divide the frame evenly."""

    def __init__(
        self,
        env: gymnasium.Env,
        tiles: Source,
        ids: Collection[int],
        frame: Source | None = None,
    ) -> None:
        super().__init__(env, frame)
        self._tiles, self._ids = tiles, list(ids)

    def mask(self, seen: Seen, frame: np.ndarray) -> np.ndarray:
        tiles = np.isin(_whole(seen.read(self._tiles), "the grid of tiles"), self._ids)
        if tiles.ndim != 2 or frame.shape[0] % len(tiles) or frame.shape[1] % len(tiles[0]):
            raise UserError(
                f"{tiles.shape} tiles do not divide a frame of {frame.shape[:2]} evenly: make both "
                "of the same view"
            )
        height, width = frame.shape[0] // len(tiles), frame.shape[1] // len(tiles[0])
        return tiles.repeat(height, axis=0).repeat(width, axis=1)


class TwinMask(MaskWrapper):
    """On where a twin's picture has one of `colours`; without them, where both pictures differ.

    The twin is seeded and plays as the environment does, and only draws otherwise: each thing in a
    colour of its own, say, or all but the targets. UserError once its rewards or ends differ.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        twin: gymnasium.Env,
        colours: Sequence[Sequence[int]] | Sequence[int] = (),
        frame: Source | None = None,
        picture: Source | None = None,
    ) -> None:
        """frame, picture: what is read of the environment, and of its twin."""
        super().__init__(env, frame)
        self._twin, self._colours, self._picture = twin, colours, picture

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._seen = Seen(self._twin, *self._twin.reset(seed=seed, options=options))
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        observation, *theirs, info = self._twin.step(action)
        self._seen = Seen(self._twin, observation, info)
        result = super().step(action)
        if list(map(float, theirs)) != list(map(float, result[1:4])):
            ours = ", ".join(f"{value:g}" for value in map(float, result[1:4]))
            theirs = ", ".join(f"{value:g}" for value in map(float, theirs))
            raise UserError(
                f"the twin does not play as {self.env}: (reward, terminated, truncated) are "
                f"({theirs}) and ({ours}): give it the same settings, pictures apart"
            )
        return result

    def mask(self, seen: Seen, frame: np.ndarray) -> np.ndarray:
        picture = self._seen.read(self._picture)
        if len(self._colours):
            return of_colours(picture, self._colours)
        if picture.shape != frame.shape:
            raise UserError(f"the twin's picture is {picture.shape}, the frame {frame.shape}")
        return (picture != frame).reshape(*frame.shape[:2], -1).any(-1)

    def close(self) -> None:
        self._twin.close()
        super().close()


def of_colours(
    picture: np.ndarray, colours: Sequence[Sequence[int]] | Sequence[int], tolerance: int = 0
) -> np.ndarray:
    """(H, W) bool: where a picture (H, W[, C]) has one of the colours (n, C), or (n,) for C = 1."""
    picture = picture.reshape(*picture.shape[:2], -1).astype(np.int16)
    wanted = np.asarray(colours, np.int16)
    wanted = wanted[:, None] if wanted.ndim == 1 else wanted
    if wanted.shape[1] != picture.shape[2]:
        raise UserError(f"colours of {wanted.shape[1]} channels in a picture of {picture.shape}")
    mask = np.zeros(picture.shape[:2], bool)
    for colour in wanted:
        mask |= (abs(picture - colour) <= tolerance).all(-1)
    return mask


def _whole(image: np.ndarray, what: str) -> np.ndarray:
    """It, if it is of whole numbers; others are equal by accident."""
    if image.dtype.kind not in "iub":
        raise UserError(f"{what} is {image.dtype}: make it of whole numbers")
    return image

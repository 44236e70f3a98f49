"""Pictures of attention: frame, mask and map side by side, as people like to look at them."""

import cv2
import numpy as np

_GAP = 2  # pixels between panels


def side_by_side(
    frame: np.ndarray, mask: np.ndarray, attention: np.ndarray, scale: int = 1
) -> np.ndarray:
    """frame | frame with the mask's outline | frame under the attention map.

    Args:
        frame: (H, W, C) uint8, gray or RGB.
        mask: (H, W), on above 0.5.
        attention: (H, W) in [0, 1].

    Returns:
        RGB uint8 (scale*H, scale*(3*W) + gaps, 3).
    """
    size = (frame.shape[1] * scale, frame.shape[0] * scale)
    rgb = frame if frame.shape[2] == 3 else np.repeat(frame, 3, axis=2)
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_NEAREST)
    gap = np.full((size[1], _GAP, 3), 255, np.uint8)
    return np.hstack([rgb, gap, _outlined(rgb, mask, size), gap, heat(rgb, attention)])


def heat(rgb: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """The map as colours over the picture, both (H, W, ...): the more attended, the more opaque."""
    size = rgb.shape[1::-1]
    level = cv2.resize(attention.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    level = np.clip(level, 0, 1)
    colours = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = 0.25 + 0.6 * level[..., None]
    return (rgb * (1 - opacity) + colours * opacity).astype(np.uint8)


def grid(rows: list[np.ndarray]) -> np.ndarray:
    """Stack pictures of equal width, with a gap between them."""
    gap = np.full((_GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.vstack([part for row in rows for part in (row, gap)][:-1])


def _outlined(rgb: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    on = cv2.resize((mask > 0.5).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    tinted = rgb.copy()
    tinted[on > 0] = (0.4 * tinted[on > 0] + 0.6 * np.array([0, 220, 90])).astype(np.uint8)
    return tinted

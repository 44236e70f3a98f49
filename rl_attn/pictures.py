"""Pictures of attention: frame, mask and map side by side, as people like to look at them."""

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from rl_attn.attention import upsample

_GAP = 2  # pixels between panels
_TARGET = np.array([0, 220, 90])  # colour of the mask


def side_by_side(
    frame: np.ndarray, mask: np.ndarray, attention: np.ndarray, scale: int = 1
) -> np.ndarray:
    """frame | frame with the mask tinted green | frame under the attention map.

    Args:
        frame: (H, W, C) uint8, gray or RGB.
        mask: (H, W), on above 0.5.
        attention: (H, W) in [0, 1].

    Returns:
        RGB uint8 (scale*H, scale*(3*W) + gaps, 3).
    """
    rgb = enlarged(frame if frame.shape[2] == 3 else np.repeat(frame, 3, axis=2), scale)
    gap = np.full((len(rgb), _GAP, 3), 255, np.uint8)
    shown = tinted(rgb, enlarged(mask > 0.5, scale))
    return np.hstack([rgb, gap, shown, gap, heat(rgb, attention)])


def tinted(rgb: np.ndarray, on: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) with the pixels that are `on` (H, W) tinted green."""
    result = rgb.copy()
    result[on] = (0.4 * result[on] + 0.6 * _TARGET).astype(np.uint8)
    return result


def heat(rgb: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """The map as colours over the picture (H, W, 3): the more attended, the more opaque."""
    level = upsample(torch.from_numpy(attention)[None].float(), rgb.shape[:2])[0].clamp(0, 1)
    shades = (level * 255).round().byte().numpy()
    colours = cv2.applyColorMap(shades, cv2.COLORMAP_INFERNO)[..., ::-1]  # OpenCV's are BGR
    opacity = 0.25 + 0.6 * level.numpy()[..., None]
    return (rgb * (1 - opacity) + colours * opacity).astype(np.uint8)


def enlarged(picture: np.ndarray, scale: int) -> np.ndarray:
    """Every pixel as scale x scale pixels."""
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def grid(rows: list[np.ndarray]) -> np.ndarray:
    """Stack pictures of equal width, with a gap between them."""
    gap = np.full((_GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.vstack([part for row in rows for part in (row, gap)][:-1])


def captioned(picture: np.ndarray, captions: list[str], height: int = 24) -> np.ndarray:
    """The picture over a dark strip with captions, evenly spaced from the left."""
    strip = Image.new("RGB", (picture.shape[1], height), (20, 20, 20))
    font = ImageFont.load_default(size=height * 0.6)
    for i, text in enumerate(captions):
        at = (8 + i * picture.shape[1] // len(captions), height // 2)
        ImageDraw.Draw(strip).text(at, text, fill=(235, 235, 235), font=font, anchor="lm")
    return np.vstack([picture, np.asarray(strip)])

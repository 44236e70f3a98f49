"""Pictures of attention, drawn one way everywhere: training, evaluation, pages, videos, reports.

A mask is a green tint with an outline, a map is coloured as matplotlib's inferno (`colour_bar` says
which colour is which), and a map without a positive cell says so in words: black is easily taken
for a fault of the drawing.
"""

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from rl_attn.attention import upsample

#: Panels are enlarged by whole pixels until they are this wide.
CELL = 160
#: matplotlib's colours of maps with signs: blue below zero, red above.
SIGNED = "bwr"
_GAP = 2  # pixels between panels
#: Colour of masks and of their outlines.
TARGET = (0, 220, 90)
#: What stands in a map without a positive cell.
DEAD = "no positive attention"


def side_by_side(
    frame: np.ndarray,
    mask: np.ndarray,
    attention: np.ndarray,
    scale: int | None = None,
    bar: bool = False,
) -> np.ndarray:
    """frame | frame with the mask | frame under the attention map, with the mask's outline.

    Args:
        frame: (H, W, C) uint8, gray or RGB.
        mask: (H, W), on above 0.5.
        attention: (H, W) in [0, 1].
        scale: pixels of the result a pixel; default: until a panel is `CELL` wide.
        bar: with a bar of the map's colours at the right end.

    Returns:
        RGB uint8 (scale*H, scale*(3*W) + gaps, 3).
    """
    scale = scale or scale_of(frame.shape[1])
    rgb, on = enlarged(rgb_of(frame), scale), enlarged(mask > 0.5, scale)
    gap = np.full((len(rgb), _GAP, 3), 255, np.uint8)
    panels = [rgb, gap, tinted(rgb, on), gap, attended(rgb, attention, on)]
    return np.hstack([*panels, gap, colour_bar(len(rgb))] if bar else panels)


def scale_of(width: int, least: int = CELL) -> int:
    """By how much a picture is enlarged to be at least that wide."""
    return max(1, -(-least // width))


def rgb_of(frame: np.ndarray) -> np.ndarray:
    """(H, W, C) uint8, gray or RGB, as RGB."""
    return frame if frame.shape[2] == 3 else np.repeat(frame, 3, axis=2)


def tinted(rgb: np.ndarray, on: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) with the pixels that are `on` (H, W) tinted green, and outlined."""
    result = rgb.copy()
    result[on] = (0.6 * result[on] + 0.4 * np.array(TARGET)).astype(np.uint8)
    return outlined(result, on)


def outlined(rgb: np.ndarray, on: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) with a green line along the inner border of what is `on` (H, W)."""
    full = on.astype(np.uint8)
    inner = cv2.erode(full, np.ones((3, 3), np.uint8), iterations=max(1, len(rgb) // 240))
    result = rgb.copy()
    result[full > inner] = TARGET
    return result


def attended(rgb: np.ndarray, attention: np.ndarray, on: np.ndarray | None = None) -> np.ndarray:
    """The picture (H, W, 3) under its map (h, w), with the mask's outline (H, W); a map without a
    positive cell is named."""
    result = heat(rgb, attention)
    if on is not None:
        result = outlined(result, on)
    return result if (attention > 0).any() else labelled(result, DEAD)


def heat(rgb: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """The map as colours over the picture (H, W, 3): the more attended, the more opaque."""
    level = upsample(torch.from_numpy(attention)[None].float(), rgb.shape[:2])[0].clamp(0, 1)
    opacity = 0.25 + 0.6 * level.numpy()[..., None]
    return (rgb * (1 - opacity) + _inferno(level.numpy()) * opacity).astype(np.uint8)


def signed_heat(rgb: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """A map (h, w) in [-1, 1] as colours over the picture (H, W, 3): the larger its size, the more
    opaque."""
    from matplotlib import colormaps  # half a second, which agents' videos do without

    level = upsample(torch.from_numpy(attention)[None].float(), rgb.shape[:2])[0].clamp(-1, 1)
    opacity = 0.85 * level.abs().numpy()[..., None]
    colours = colormaps[SIGNED](level.numpy() / 2 + 0.5)[..., :3] * 255
    return (rgb * (1 - opacity) + colours * opacity).astype(np.uint8)


def colour_bar(height: int, width: int = 30) -> np.ndarray:
    """What the colours of a map say, 1 at the top and 0 at the bottom: (height, width, 3)."""
    level = np.linspace(1, 0, height, dtype=np.float32)[:, None].repeat(width // 2, axis=1)
    bar = np.hstack([_inferno(level), np.full((height, width - width // 2, 3), 20, np.uint8)])
    image = Image.fromarray(bar)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=12)
    for text, y, anchor in (("1", 2, "lt"), ("0", height - 3, "lb")):
        draw.text((width // 2 + 4, y), text, fill=(235, 235, 235), font=font, anchor=anchor)
    return np.asarray(image)


def _inferno(level: np.ndarray) -> np.ndarray:
    """(H, W) in [0, 1] as RGB uint8."""
    shades = (level * 255).round().astype(np.uint8)
    return cv2.applyColorMap(shades, cv2.COLORMAP_INFERNO)[..., ::-1]  # OpenCV's are BGR


def labelled(picture: np.ndarray, text: str) -> np.ndarray:
    """The picture with words along its lower border, as large as fit."""
    height, width = picture.shape[:2]
    font = ImageFont.load_default(size=16)
    font = ImageFont.load_default(size=min(16.0, 16 * 0.9 * width / font.getlength(text)))
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    at = (width / 2, height - 6)
    left, top, right, bottom = draw.textbbox(at, text, font=font, anchor="mb")
    draw.rectangle((left - 4, top - 3, right + 4, bottom + 3), fill=(20, 20, 20))
    draw.text(at, text, fill=(235, 235, 235), font=font, anchor="mb")
    return np.asarray(image)


def enlarged(picture: np.ndarray, scale: int) -> np.ndarray:
    """Every pixel as scale x scale pixels."""
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def grid(rows: list[np.ndarray]) -> np.ndarray:
    """Stack pictures of equal width, with a gap between them."""
    gap = np.full((_GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.vstack([part for row in rows for part in (row, gap)][:-1])


def captioned(picture: np.ndarray, captions: list[str]) -> np.ndarray:
    """The picture over a dark strip with captions, evenly spaced from the left."""
    return np.vstack([picture, strip(picture.shape[1], captions)])


def strip(width: int, captions: list[str], height: int = 24) -> np.ndarray:
    """A dark strip (height, width, 3) with captions, evenly spaced from the left; long ones are
    written smaller."""
    image = Image.new("RGB", (width, height), (20, 20, 20))
    room = width / max(1, len(captions)) - 12
    for i, text in enumerate(captions):
        font = ImageFont.load_default(size=height * 0.6)
        if (length := font.getlength(text)) > room:
            font = ImageFont.load_default(size=max(7.0, height * 0.6 * room / length))
        at = (8 + i * width // len(captions), height // 2)
        ImageDraw.Draw(image).text(at, text, fill=(235, 235, 235), font=font, anchor="lm")
    return np.asarray(image)

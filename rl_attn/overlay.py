"""`show(image, attention, mask)`: where a network looks, as a picture for notebooks and pages.

    rl_attn.show(image, attention, mask)                     # an image that notebooks display
    rl_attn.show(image, {"grad-cam": a, "le-grad": b}).save("maps.png")

The image, then each map over it under one colour bar; the mask as an outline in all of them. A map
without positive evidence says so: it would look like a map of a network that looks nowhere near.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from rl_attn.attention import Attention, upsample
from rl_attn.pictures import DEAD, SIGNED, TARGET, enlarged, heat, signed_heat

#: Pixels that a panel's longer side has at least.
_SIDE = 224
_OUTLINE = "#{:02x}{:02x}{:02x}".format(*TARGET)

Map = Attention | Tensor | np.ndarray


def show(
    image: Tensor | np.ndarray | Image.Image,
    attention: Map | Mapping[str, Map],
    mask: Tensor | np.ndarray | None = None,
    title: str = "",
    captions: Sequence[str] = (),
    signed: bool = False,
) -> Image.Image:
    """The picture of `figure`, which see, as a PIL image."""
    buffer = io.BytesIO()
    figure(image, attention, mask, title, captions, signed).savefig(buffer, dpi=110)
    return Image.open(buffer).convert("RGB")


def figure(
    image: Tensor | np.ndarray | Image.Image,
    attention: Map | Mapping[str, Map],
    mask: Tensor | np.ndarray | None = None,
    title: str = "",
    captions: Sequence[str] = (),
    signed: bool = False,
) -> Figure:
    """The image, and each map over it.

    Args:
        image: (H, W), (H, W, 1 or 3) uint8 or in [0, 1]; a tensor may be (C, H, W).
        attention: one map (h, w) or (1, h, w) in [0, 1], or several by name; an `Attention` is
            placed by its cells, a bare map covers the image evenly.
        mask: (H, W), on above one half of its largest possible value.
        captions: what stands under each map.
        signed: maps are in [-1, 1], of a number that evidence raises (red) or lowers (blue).
    """
    rgb = as_rgb(image)
    maps = attention if isinstance(attention, Mapping) else {"": attention}
    height, width = rgb.shape[:2]
    wide = 2.4 * min(max(width / height, 0.5), 2)
    size = (wide * (len(maps) + 1) + 0.7, wide * height / width + 0.55 + 0.25 * bool(title))
    drawn = Figure(figsize=size, layout="constrained")
    axes = drawn.subplots(1, len(maps) + 1, squeeze=False)[0]
    for axis, name in zip(axes, ["image", *maps], strict=True):
        axis.set_title(name, fontsize=9, parse_math=False)
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].imshow(rgb)
    for axis, one in zip(axes[1:], maps.values(), strict=True):
        draw_map(axis, rgb, one, signed)
    for axis, caption in zip(axes[1:], captions, strict=False):
        axis.set_xlabel(caption, fontsize=8, parse_math=False)
    if mask is not None:
        for axis in axes:
            outline(axis, on(mask))
    colours = ScalarMappable(Normalize(-1 if signed else 0, 1), SIGNED if signed else "inferno")
    bar = drawn.colorbar(colours, ax=list(axes), fraction=0.03, pad=0.01)
    said = "lowers the number (-), raises it (+)" if signed else "share of the map's largest"
    bar.set_label(said, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    drawn.suptitle(title, fontsize=10, parse_math=False)
    return drawn


def draw_map(axis: Axes, rgb: np.ndarray, attention: Map, signed: bool = False) -> None:
    """A map over an image (H, W, 3); in words where it is dead."""
    full = over(attention, rgb.shape[:2], signed)
    scale = max(1, -(-_SIDE // max(rgb.shape[:2])))
    height, width = rgb.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    coloured = signed_heat if signed else heat
    axis.imshow(coloured(enlarged(rgb, scale), full), extent=extent)
    if not np.abs(full).max() > 0:
        at = {"ha": "center", "va": "center", "transform": axis.transAxes}
        axis.text(0.5, 0.5, DEAD, fontsize=9, color="white", bbox={"fc": "black", "lw": 0}, **at)


def outline(axis: Axes, region: np.ndarray) -> None:
    """The border of a region (H, W) bool, along the edges of its pixels."""
    padded = np.pad(region, 1)
    below = np.argwhere(padded[:-1] != padded[1:])[:, ::-1] - (1.5, 0.5)  # (x, y) of left ends
    right = np.argwhere(padded[:, :-1] != padded[:, 1:])[:, ::-1] - (0.5, 1.5)  # of upper ends
    edges = np.concatenate(
        [
            np.stack([below, np.add(below, (1, 0))], axis=1),
            np.stack([right, np.add(right, (0, 1))], axis=1),
        ]
    )  # (n, 2 ends, x and y)
    for colour, width in (("black", 2.4), (_OUTLINE, 1.2)):
        axis.add_collection(LineCollection(list(edges), colors=colour, linewidths=width))


def as_rgb(image: Tensor | np.ndarray | Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of an image in any of the usual layouts."""
    if isinstance(image, Tensor):
        image = image.detach().cpu().numpy()
        if image.ndim == 3 and image.shape[0] in (1, 3):
            image = image.transpose(1, 2, 0)
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise ValueError(f"an image is (H, W), (H, W, 1) or (H, W, 3), got {pixels.shape}")
    if pixels.dtype != np.uint8:
        pixels = (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)
    return np.broadcast_to(pixels[..., :3], (*pixels.shape[:2], 3)).copy()


def over(attention: Map, size: tuple[int, int], signed: bool = False) -> np.ndarray:
    """A map (H, W) at the image's size; unless `signed`, what is negative is zero."""
    if isinstance(attention, Attention):
        full = attention.faded(size)
    else:
        values = torch.as_tensor(attention).float()
        full = upsample(values.reshape(1, *values.shape[-2:]), size)
    return full[0].detach().clamp_min(-1 if signed else 0).cpu().numpy()


def on(mask: Tensor | np.ndarray) -> np.ndarray:
    """The region (H, W) bool of a mask in {False, True}, in [0, 1] or of bytes up to 255."""
    values = mask.detach().cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
    values = values.reshape(values.shape[-2:])
    return values > (127 if values.max(initial=0) > 1 else 0.5)

"""ColorMNIST: the colour of a digit gives its class away in training and misleads in the test.

Three published sets go by this name; they differ in everything but the idea.

learning-to-look  Yang et al. 2026. Digit y has colour y of ten steps from red to purple; at test,
                  colour 9 - y. Values are cut to bytes. 16 % of the training pictures validate,
                  in training colours.
cdep              Rieger et al. 2020 (also Concept Distillation). The same colours, rounded to the
                  nearest byte (its floats lie within half a byte), standardised per channel;
                  54,000 train, 6,000 validate, drawn as its code draws them.
repair            Li & Vasconcelos 2019. Ten colours drawn uniformly, Gaussian noise of 0.1 on the
                  colour of each picture. Its test has the *same* colours; "test-grey" has none.

Beside "test" and "validation" (training colours) there are "validation-unbiased", the same pictures
in colours drawn at random, and for the first two "validation-shifted", in the colours of the test.
CDEP's code selects on the last one. Black stays black: only ink has a colour.

Learning to Look's pipeline leaves its training pictures as JPEG files, which its teacher takes, and
those of the test as PNG; `jpeg` does so. At 28 pixels a side that takes the colour from thin
strokes and puts it round them.
"""

from __future__ import annotations

import colorsys
import io
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rl_attn.errors import UserError
from rl_attn.supervised.data.dataset import DataSet, Split
from rl_attn.supervised.data.deal import stratified_indices
from rl_attn.supervised.data.grey import INK, Base, grey_pictures, ink
from rl_attn.supervised.data.registry import LOADERS
from rl_attn.supervised.data.resize import resize_split

Variant = Literal["learning-to-look", "cdep", "repair"]
REPAIR_NOISE = 0.1  # standard deviation, of colours in [0, 1]
_VALIDATION_SHARE = {"learning-to-look": 0.16, "cdep": 0.1, "repair": 0.1}


def red_to_purple(steps: int = 10) -> Tensor:
    """(steps, 3) in [0, 1]: linear in hue, saturation and lightness from (255, 0, 0) to
    (128, 0, 128), the palette of CDEP."""
    first = colorsys.rgb_to_hls(1, 0, 0)
    last = colorsys.rgb_to_hls(128 / 255, 0, 128 / 255)
    weights = [i / (steps - 1) for i in range(steps)]
    palette = [
        colorsys.hls_to_rgb(*(a + w * (b - a) for a, b in zip(first, last, strict=True)))
        for w in weights
    ]
    return torch.tensor(palette)


@LOADERS.register("color-mnist")
def color_mnist(
    root: Path | None = None,
    *,
    base: Base = "digits",
    variant: Variant = "learning-to-look",
    size: int = 28,
    jpeg: int = 0,
    seed: int = 0,
) -> DataSet:
    """Load a variant over any of the grey sets. The masks are the digits' ink.

    Args:
        base: whose pictures are coloured.
        size: pixels of a side, from 28 by bilinear interpolation of the coloured picture.
        jpeg: quality of 1 to 100 by which pictures in training colours pass through a JPEG file
            before that; 0: none do.
        seed: of what a variant leaves to chance (colours, noise, validation); 0 is the published
            one where one is published.
    """
    if not 0 <= jpeg <= 100:
        raise UserError(f"jpeg is {jpeg}: choose a quality from 1 to 100, or 0 for none")
    source = grey_pictures(base, root)
    generator = torch.Generator().manual_seed(seed)
    palette = torch.rand(10, 3, generator=generator) if variant == "repair" else red_to_purple()
    train, held_out = _validation(source.labels, variant, seed)
    noise = REPAIR_NOISE if variant == "repair" else 0.0

    def coloured(images: Tensor, labels: Tensor, colours: Tensor, quality: int = 0) -> Split:
        spread = noise * torch.randn(len(images), 3, generator=generator)
        rgb = paint(images, (palette[colours] + spread).clamp(0, 1), variant != "learning-to-look")
        if quality:
            rgb = through_jpeg(rgb, quality)
        return resize_split(Split(rgb, labels, ink(images, base)), size)

    x, y, test_x, test_y = (
        source.images, source.labels, source.test_images, source.test_labels,
    )  # fmt: skip
    v, w = x[held_out], y[held_out]
    random_colours = torch.randint(10, (len(w),), generator=generator)
    splits = {
        "train": coloured(x[train], y[train], y[train], jpeg),
        "validation": coloured(v, w, w, jpeg),
        "validation-unbiased": coloured(v, w, random_colours),
    }
    if variant == "repair":
        splits["test"] = coloured(test_x, test_y, test_y)
        grey = test_x[:, None].expand(-1, 3, -1, -1)
        splits["test-grey"] = resize_split(Split(grey, test_y, ink(test_x, base)), size)
    else:
        splits["validation-shifted"] = coloured(v, w, 9 - w)
        splits["test"] = coloured(test_x, test_y, 9 - test_y)
    mean, std = _normalization(splits, variant)
    pool = ("train", "validation", "test") if variant == "repair" else ("train", "validation")
    return DataSet(
        name="color-mnist",
        classes=source.classes,
        splits=splits,
        mask_meaning=f"the ink: pixels that were brighter than {INK[base]} of 255 before colouring",
        mean=mean,
        std=std,
        pool=pool,
        views=tuple(name for name in splits if name.startswith("validation-")),
    )


def paint(images: Tensor, colours: Tensor, round_to_nearest: bool) -> Tensor:
    """Grey uint8 (N, H, W) times colours (N, 3) in [0, 1]: uint8 (N, 3, H, W), cut or rounded."""
    painted = torch.empty(len(images), 3, *images.shape[1:], dtype=torch.uint8)
    for channel in range(3):  # one at a time: the floats take four times the space
        values = images * colours[:, channel, None, None]
        painted[:, channel] = values.round() if round_to_nearest else values
    return painted


def through_jpeg(images: Tensor, quality: int) -> Tensor:
    """uint8 (N, 3, H, W) as a JPEG file of that quality, 1 to 100, gives them back."""
    pictures = images.permute(0, 2, 3, 1).numpy().copy()  # (N, H, W, 3)
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        picture[:] = np.asarray(Image.open(file))
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


def _validation(labels: Tensor, variant: Variant, seed: int) -> tuple[Tensor, Tensor]:
    share = _VALIDATION_SHARE[variant]
    if variant != "cdep":
        return stratified_indices(labels, share, seed)
    # Drawn as by random_split after torch.manual_seed(seed), in CDEP's training script.
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    train = int(len(labels) * (1 - share))
    return order[:train], order[train:]


def _normalization(
    splits: dict[str, Split], variant: Variant
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation per channel; CDEP's are those of all training pictures, held out ones
    included."""
    if variant != "cdep":
        return (0.5,) * 3, (0.5,) * 3
    counts = sum(
        torch.stack([torch.bincount(c.flatten(), minlength=256) for c in part.images.unbind(1)])
        for part in (splits["train"], splits["validation"])
    ).double()  # (3, 256): a histogram a channel
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = (counts * values).sum(1) / counts.sum(1)
    variance = (counts * values**2).sum(1) / counts.sum(1) - mean**2
    return tuple(mean.tolist()), tuple(variance.sqrt().tolist())

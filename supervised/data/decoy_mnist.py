"""DecoyMNIST: a grey patch in a corner gives the class away in training and misleads in the test.

    variant           patch  corners                                   test shade   inputs
    rrr               4x4    a coin for the row, one for the column    random       0..255
    cdep              5x5    all rows are drawn first, then columns    25 y         [-1, 1]
    learning-to-look  5x5    row, then column, picture by picture      25 y         [-1, 1], as RGB

(Ross et al. 2017, Rieger et al. 2020, Yang et al. 2026.) In training the patch of class y has the
shade 255 - 25 y; it overwrites the digit. At test the shade is 25 y, or 255 - 25 d with d drawn
from 0..9: the same network scores 25 points less under the first rule, so results are never to be
compared across the two. Under 25 y digit 5 keeps nearly its shade (125 for 130) and digit 0's patch
is black. Only Learning to Look publishes a seed, 0, and its corners here are those; the others'
corners are drawn as their code draws them, with our seed.

Beside "test" and "validation" (shades of training) there are "validation-unbiased", the same
pictures with random shades, and "validation-shifted", with the shades of the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rl_attn.supervised.data.dataset import DataSet, Split
from rl_attn.supervised.data.deal import stratified_indices
from rl_attn.supervised.data.grey import INK, Base, grey_pictures, ink
from rl_attn.supervised.data.registry import LOADERS
from rl_attn.supervised.data.resize import resize_split

Variant = Literal["rrr", "cdep", "learning-to-look"]
Mask = Literal["object", "not-patch", "not-corners"]
Shade = Literal["published", "25y", "random"]
SIDE = 28  # of the pictures that patches are put into

MASK_MEANINGS = {
    "object": "the ink: pixels brighter than {ink} of 255, without those under the patch",
    "not-patch": "everything but the decoy patch of the picture (for RRR and others that name what "
    "is wrong)",
    "not-corners": "everything but all four corners that patches may lie in (CDEP's blob)",
}


@dataclass(frozen=True)
class _Recipe:
    patch: int  # pixels of a side
    test_shade: Literal["25y", "random"]
    validation: float  # share of the training pictures
    mean: float
    std: float
    channels: int  # of the input; three where the authors read grey pictures as RGB


_RECIPES = {
    "rrr": _Recipe(4, "random", 0.1, 0.0, 1 / 255, 1),
    "cdep": _Recipe(5, "25y", 0.1, 0.5, 0.5, 1),
    "learning-to-look": _Recipe(5, "25y", 0.16, 0.5, 0.5, 3),
}


@LOADERS.register("decoy-mnist")
def decoy_mnist(
    root: Path | None = None,
    *,
    base: Base = "digits",
    variant: Variant = "learning-to-look",
    mask: Mask = "object",
    test_shade: Shade = "published",
    size: int = 28,
    seed: int = 0,
) -> DataSet:
    """Load a variant over any of the grey sets.

    Args:
        base: whose pictures get patches.
        mask: what the masks mark, see MASK_MEANINGS.
        test_shade: the rule of the test, the variant's own or one of the two.
        size: pixels of a side, from 28 by bilinear interpolation of the finished picture.
        seed: of corners, random shades and validation; 0 is Learning to Look's.
    """
    recipe = _RECIPES[variant]
    rule = recipe.test_shade if test_shade == "published" else test_shade
    source = grey_pictures(base, root)
    stream = np.random.RandomState(seed)  # the legacy generator, which all three use
    corners = draw_corners(stream, len(source.labels), recipe.patch, variant)
    test_corners = draw_corners(stream, len(source.test_labels), recipe.patch, variant)
    shades = np.random.default_rng([seed, 1])  # apart, so that corners depend on the seed alone
    train, held_out = stratified_indices(source.labels, recipe.validation, seed)

    def decoyed(images: Tensor, labels: Tensor, corners: Tensor, rule: str) -> Split:
        patch = patch_masks(corners, recipe.patch)
        shaded = torch.where(patch, shade(labels, rule, shades)[:, None, None], images)
        masks = _masks(ink(images, base), patch, mask, recipe.patch)
        return resize_split(Split(shaded[:, None], labels, masks), size)

    x, y = source.images, source.labels
    v = (x[held_out], y[held_out], corners[held_out])
    splits = {
        "train": decoyed(x[train], y[train], corners[train], "training"),
        "validation": decoyed(*v, "training"),
        "validation-unbiased": decoyed(*v, "random"),
        "validation-shifted": decoyed(*v, rule),
        "test": decoyed(source.test_images, source.test_labels, test_corners, rule),
    }
    return DataSet(
        name="decoy-mnist",
        classes=source.classes,
        splits=splits,
        mask_meaning=MASK_MEANINGS[mask].format(ink=INK[base]),
        mean=(recipe.mean,) * recipe.channels,
        std=(recipe.std,) * recipe.channels,
        pool=("train", "validation"),
        views=("validation-unbiased", "validation-shifted"),
    )


def draw_corners(stream: np.random.RandomState, count: int, patch: int, variant: Variant) -> Tensor:
    """Top and left pixel of each patch, int64 (N, 2), drawn in the variant's order."""
    far = SIDE - patch
    if variant == "rrr":  # one coin after the other; heads is the near side
        drawn = np.where(stream.rand(count, 2) < 0.5, 0, far)
    elif variant == "cdep":
        drawn = np.stack([stream.choice(2, size=count) * far for _ in range(2)], axis=1)
    else:  # the same numbers as one call for each
        drawn = stream.choice([0, far], size=(count, 2))
    return torch.from_numpy(drawn.astype(np.int64))


def shade(labels: Tensor, rule: str, shades: np.random.Generator) -> Tensor:
    """Grey value of each patch, uint8 (N,): 255 - 25 y, 25 y, or 255 - 25 d for a random d."""
    if rule == "25y":
        return (25 * labels).to(torch.uint8)
    digits = (
        labels if rule == "training" else torch.from_numpy(shades.integers(10, size=len(labels)))
    )
    return (255 - 25 * digits).to(torch.uint8)


def patch_masks(corners: Tensor, patch: int) -> Tensor:
    """Where each patch lies, bool (N, 28, 28)."""
    pixel = torch.arange(SIDE)
    on = (pixel >= corners[..., None]) & (pixel < corners[..., None] + patch)  # (N, 2, 28)
    return on[:, 0, :, None] & on[:, 1, None, :]


def _masks(objects: Tensor, patch: Tensor, mask: Mask, side: int) -> Tensor:
    if mask == "object":
        return objects.masked_fill(patch, 0)
    if mask == "not-patch":
        return (~patch).to(torch.uint8) * 255
    allowed = torch.full((SIDE, SIDE), 255, dtype=torch.uint8)
    for rows in (slice(0, side), slice(SIDE - side, SIDE)):
        for columns in (slice(0, side), slice(SIDE - side, SIDE)):
            allowed[rows, columns] = 0
    return allowed.repeat(len(patch), 1, 1)

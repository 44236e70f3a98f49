"""Pictures of a Doom `Studio` as a data set needs them: square, of one size, with soft masks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from rl_attn.envs.doom.studio import Studio
from rl_attn.supervised.data.resize import resize

HEIGHTS = (120, 240, 480, 960)  # of the screens, 4:3, that pictures are cut from


@dataclass(frozen=True)
class Photographs:
    """Pictures of one monster on one map, n of them."""

    images: Tensor  # uint8 (n, 3, S, S)
    masks: Tensor  # uint8 (n, S, S), 255 inside; soft at the edge, where a pixel is partly monster
    foregrounds: Tensor  # uint8 (n, 3, S, S), the monster over black: what the mask lets through


def studio_of(map_name: str, size: int) -> Studio:
    """Of a map, with a screen fit for pictures of that size; close it."""
    height = min(height for height in HEIGHTS if height >= size)
    return Studio(map_name, (height * 4 // 3, height), square=True)


def photograph(
    studio: Studio, monster: str | None, count: int, size: int, seed: np.random.SeedSequence
) -> Photographs:
    """`count` pictures, size x size; without a monster for None. Raises what the studio raises."""
    rng = np.random.default_rng(seed)
    if monster is None:
        pictures = list(islice(studio.empty_views(rng), count))
        masks = [np.zeros(picture.shape[:2], bool) for picture in pictures]
    else:
        pictures, masks = zip(*islice(studio.views(monster, rng), count), strict=True)
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()  # (n, 3, h, h)
    inside = torch.from_numpy(np.stack(masks))  # (n, h, h)
    return Photographs(
        images=resize(images, size),
        masks=resize(inside.to(torch.uint8) * 255, size),
        foregrounds=resize(images * inside[:, None], size),
    )

"""A contact sheet: what a data set looks like, and where its masks are, at one glance."""

import math

import numpy as np
import torch

from rl_attn.pictures import enlarged
from rl_attn.supervised.data.dataset import DataSet

DIMMED = 0.2  # what is left of a picture outside of its mask
_LEAST = 48  # pixels of a side that a picture is enlarged to


def contact_sheet(dataset: DataSet, split: str = "train", columns: int = 8) -> np.ndarray:
    """A row for each class with its first `columns` pictures: plain on the left, and on the right
    with all but the mask dimmed. RGB uint8 (H, W, 3)."""
    part = dataset.splits[split]
    rows = []
    for label in range(len(dataset.classes)):
        chosen = part[(part.labels == label).nonzero()[:columns, 0]]
        images = chosen.images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)  # (n, H, W, 3)
        blocks = [images]
        if chosen.masks is not None:
            level = DIMMED + (1 - DIMMED) * chosen.masks[..., None].float() / 255
            blocks.append((images * level).to(torch.uint8))
        rows.append(np.hstack([_strip(block.cpu().numpy(), columns) for block in blocks]))
    return enlarged(np.vstack(rows), math.ceil(_LEAST / dataset.size[0]))


def _strip(images: np.ndarray, columns: int) -> np.ndarray:
    """(n, H, W, 3) side by side, white where there are fewer than `columns`, a gap at the end."""
    n, height, width, _ = images.shape
    strip = np.full((height, columns * width + max(2, width // 16), 3), 255, np.uint8)
    strip[:, : n * width] = np.hstack(images) if n else strip[:, :0]
    return strip

"""Contrastive training of a CLIP on scenes that several captions of a batch may describe.

In a batch of Doom pictures many show the same monster, so CLIP's rule that a picture goes with its
own caption alone would push true sentences away. The targets are therefore all captions of the
batch that hold of a picture, with equal shares, and likewise all pictures of which a caption holds
(UniCL, Yang et al. 2022, Eq. 2 and 3). Letters: B pictures, U different captions.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rl_attn.teachers.captions import Caption, Scene, describe

_GRAY = 0.25  # share of pictures shown without colour, as agents mostly see them
_SMALLEST = 0.55  # share of a picture's height and width that a crop keeps at least


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, holds: Tensor) -> Tensor:
    """images (B, D) and texts (U, D) of length 1, scale a scalar, holds (B, U) bool -> scalar.

    Every picture needs a caption that holds of it, and every caption a picture.
    """
    logits = scale * images.float() @ texts.float().T  # (B, U)
    truth = holds.float()
    by_image = F.cross_entropy(logits, truth / truth.sum(1, keepdim=True))
    by_text = F.cross_entropy(logits.T, (truth / truth.sum(0, keepdim=True)).T)
    return (by_image + by_text) / 2


def captions_of(
    scenes: list[Scene], gray: Tensor, random: np.random.Generator
) -> tuple[list[str], Tensor]:
    """The captions of a batch, each text once, and which scenes each describes (B, U)."""
    pairs = zip(scenes, gray.tolist(), strict=True)
    said = {describe(scene, random, colour=not pale): None for scene, pale in pairs}
    captions: list[Caption] = list(said)
    holds = [[caption.holds_of(scene) for caption in captions] for scene in scenes]
    return [caption.text for caption in captions], torch.tensor(holds)


def augmented(images: Tensor, size: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random crops, mirrored, lightened or darkened, some without colour.

    Args:
        images: uint8 (B, 3, H, W).

    Returns:
        float (B, 3, size, size) in [0, 1], and which are gray, (B,) bool.
    """
    number = len(images)
    draw = torch.rand((6, number), generator=random)
    share = _SMALLEST + (1 - _SMALLEST) * draw[:2]  # (2, B): of the width and of the height
    shift = (2 * draw[2:4] - 1) * (1 - share)
    mirror = torch.where(draw[4] < 0.5, -1.0, 1.0)
    zeros = torch.zeros(number)
    rows = [share[0] * mirror, zeros, shift[0], zeros, share[1], shift[1]]
    theta = torch.stack(rows, 1).view(number, 2, 3)
    where = F.affine_grid(theta, [number, 3, size, size], align_corners=False)
    crops = F.grid_sample(images / 255, where, padding_mode="border", align_corners=False)
    light = 0.7 + 0.6 * torch.rand((number, 1, 1, 1), generator=random)
    gray = draw[5] < _GRAY
    crops = torch.where(gray[:, None, None, None], crops.mean(1, keepdim=True), crops)
    return (crops * light).clamp(0, 1), gray

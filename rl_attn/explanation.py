"""What a network says of one image, and where it looks: what `explain` of every network gives.

    found = rl_attn.load("runs/...").explain("x.png")
    found.label, found.probability, found.overlap     # "cat", 0.93, {"grad-cam": 0.41}
    found.show()

Letters: H x W pixels of what the network sees.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from rl_attn.attention import Attention, measure
from rl_attn.overlay import as_rgb, show

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Explanation:
    """One image's."""

    image: np.ndarray  # (H, W, 3) uint8, as the network sees it
    label: str  # of the class, or the action, that the network prefers
    probability: float  # of that label; NaN where a policy has none, and of a number
    scores: Mapping[str, float]  # probability of every label; the number; an agent's also its value
    maps: Mapping[str, np.ndarray]  # name -> (H, W) in [0, 1], signed in [-1, 1]; all zero: dead
    attentions: Mapping[str, Attention]  # the same (1, h, w), on their own cells
    mask: np.ndarray | None = None  # (H, W) in [0, 1]
    overlap: Mapping[str, float] = field(default_factory=dict)  # IoU of each map with the mask
    explained: str = ""  # what the maps explain, where it is not the label
    signed: bool = False  # a number was predicted, which the maps' negative parts lower

    def show(self) -> "Image.Image":
        """The image and its maps, named, with the mask's outline."""
        captions = [f"IoU {self.overlap[n]:.2f}" if n in self.overlap else "" for n in self.maps]
        return show(self.image, self.attentions, self.mask, self.title, captions, self.signed)

    @property
    def title(self) -> str:
        if self.signed:
            return f"{self.label} {self.scores[self.label]:.4g}"
        said = self.label if np.isnan(self.probability) else f"{self.label}  {self.probability:.1%}"
        return f"{said} (maps of {self.explained})" if self.explained else said


def explanation(
    image: Tensor,
    attentions: Mapping[str, Attention],
    label: str,
    scores: Mapping[str, float],
    mask: Tensor | None = None,
    known: Tensor | None = None,
    explained: str = "",
    signed: bool = False,
) -> Explanation:
    """From what a network gave for one image.

    Args:
        image: (C, H, W) uint8.
        attentions: maps (1, h, w).
        mask, known: (H, W) as `measure` has them; an empty mask has no IoU.
        signed: a number is predicted, and maps are in [-1, 1]; the IoU is of their sizes.
    """
    rgb, overlap = as_rgb(image), {}
    for name, attention in attentions.items():
        if mask is None:
            break
        mine = None if known is None else known[None]
        found = measure(
            attention.magnitude if signed else attention, mask[None].to(attention.map.device), mine
        )
        if found["present"].item():
            overlap[name] = found["iou"].item()
    least = -1 if signed else 0
    full = {name: one.upsample(rgb.shape[:2]).clamp_min(least) for name, one in attentions.items()}
    return Explanation(
        image=rgb,
        label=label,
        probability=float("nan") if signed else scores.get(label, float("nan")),
        scores=dict(scores),
        maps={name: one[0].cpu().numpy() for name, one in full.items()},
        attentions=attentions,
        mask=None if mask is None else mask.cpu().numpy(),
        overlap=overlap,
        explained=explained,
        signed=signed,
    )

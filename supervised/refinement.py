"""VAPL's refinement: what a prompt leaves undecided is filled in from the model's own explanation.

    A = 1 / (N p) sum_i g(softmax_k f_m(I * M_i)) M_i        (Zhang et al. 2024, Eq. 1 and 3)

with M_i the prompt D in which every undecided pixel is 1 with probability p, else 0; the picture is
then predicted from I * A. What the paper leaves open is chosen here:

label k   the true label in training, as printed. For a picture whose label is unknown: the
          class that f_m predicts with all undecided pixels at p, their mean over the masks.
scale     A of an indispensable pixel is mean(g) / p, of an undecided one at most 1. "undecided"
          divides by the largest A of an undecided pixel and lets what is indispensable pass
          unchanged: one marked pixel then leaves the undecided ones what they were. "max" divides
          by the map's maximum, which keeps Eq. 3's proportions and dims all that is undecided to p
          as soon as one pixel is marked; "clamp" cuts what is above 1.
cells     masks of pixels, as printed, or of coarse cells that are upsampled (see `RandomMasks`),
          of which far fewer masks explain a picture.
f_m       scores masks in evaluation mode: they would spoil the statistics of its BatchNorm.
I         is the normalised picture: a precluded pixel becomes the data set's mean colour.

Letters: B pictures, C channels, H x W pixels, N masks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rl_attn.attention import (
    INDISPENSABLE,
    PRECLUDED,
    UNDECIDED,
    RandomMasks,
    Scores,
    masked,
    normalize,
    score_masks,
    weighted_mean,
)
from rl_attn.attention.rise import Weigh
from rl_attn.supervised.evaluation import at_rest
from rl_attn.supervised.methods.vapl import Scale
from rl_attn.supervised.network import Network

#: Pictures a forward, and how many pixels they may have on a CPU: 16 pictures of 224 pixels score a
#: fifth more masks a second than 64, whose feature maps no cache holds.
CHUNK, CPU_PIXELS = 256, 16 * 224**2


@dataclass(frozen=True)
class Refinement:
    """How prompts (B, H, W) are refined to A (B, H, W) in [0, 1]."""

    masks: int = 5000
    keep: float = 0.1
    cells: int = 0  # of a side; 0: pixels
    tolerance: float = 0.0  # standard error of A at which masks are enough; 0: always all
    scale: Scale = "undecided"
    chunk: int | None = None  # pictures a forward (None: see `CHUNK`)

    def draw(self, size: tuple[int, int], seed: int) -> RandomMasks:
        """The masks of a picture's size that a seed gives."""
        cells = (self.cells, self.cells) if self.cells else None
        generator = torch.Generator().manual_seed(seed)
        return RandomMasks(self.masks, size, cells, self.keep, balanced=True, generator=generator)

    def scores(
        self,
        prompted: Network,
        pictures: Tensor,
        prompts: Tensor,
        labels: Tensor,
        masks: RandomMasks,
        weigh: Weigh,
    ) -> Scores:
        """The confidences w_i of f_m in labels (B,), without gradients."""

        def confidence(x: Tensor, rows: Tensor) -> Tensor:
            return prompted.plain(x).logits.softmax(1).gather(1, labels[rows][:, None])[:, 0]

        with at_rest(prompted):
            return score_masks(
                confidence,
                pictures,
                masks,
                prompts,
                chunk=self.chunk or chunk_of(pictures),
                tolerance=self.tolerance or None,
                weigh=weigh,
            )

    def aggregate(self, scores: Scores, prompts: Tensor, masks: RandomMasks, weigh: Weigh):
        """Eq. 3, scaled: A (B, H, W); gradients reach g, which is `weigh`."""
        attention = weighted_mean(scores, masks, prompts, weigh)
        if self.scale == "clamp":
            return attention.clamp(max=1)
        if self.scale == "max":
            return normalize(attention, "max")
        filled = normalize(attention * (prompts == UNDECIDED), "max")
        return torch.where(prompts == INDISPENSABLE, 1.0, filled)

    def guess(self, prompted: Network, pictures: Tensor, prompts: Tensor) -> Tensor:
        """The label (B,) to refine for where it is not known."""
        mean = torch.full(prompts.shape, self.keep, device=pictures.device)
        with at_rest(prompted), torch.no_grad():
            return prompted.plain(masked(pictures, mean, prompts)).logits.argmax(1)


def as_given(prompts: Tensor) -> Tensor:
    """A without refinement (VAPL-1): only what is indispensable; where a prompt says of nothing
    that it is, all that is not precluded. (B, H, W) in {0, 1}."""
    chosen = prompts == INDISPENSABLE
    rest = (prompts == UNDECIDED) & ~chosen.flatten(1).any(1)[:, None, None]
    return (chosen | rest).float() * (prompts != PRECLUDED)


def chunk_of(pictures: Tensor) -> int:
    """How many pictures (B, C, H, W) of this size to score at a time, on their device."""
    if pictures.device.type != "cpu":
        return CHUNK
    return min(CHUNK, max(1, CPU_PIXELS // pictures[0, 0].numel()))

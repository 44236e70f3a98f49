"""A small network that finds the targets in stacked frames: which pixels does a policy need?

Five small convolutions, at a quarter and an eighth of the frame's size, with one skip between them;
the last layer gives sixteen pixels a cell, so that no layer works at the full size. One forward
gives the masks of all frames of a stack.

Letters: B samples, S stacked frames, C channels a frame, H x W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CELL = 4  # pixels along a side of a cell of the finer maps


class Segmenter(nn.Module):
    """`logits = segmenter(stacks)`: (B, S*C, H, W) in 0..255 -> (B, S, H, W).

    Some 31,000 parameters for four grey frames. Each stack is brought to mean 0 and variance 1,
    since games are dark and their light changes.
    """

    def __init__(self, channels: int, frames: int):
        """channels: S*C, frames: S."""
        super().__init__()
        self.fine = nn.Conv2d(channels, 16, 2 * _CELL, stride=_CELL, padding=_CELL // 2)
        self.coarse = nn.Sequential(
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=2, dilation=2),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
        )
        self.joined = nn.Conv2d(32 + 16, 32, 1)
        self.pixels = nn.Conv2d(32, frames * _CELL**2, 1)
        assert self.pixels.bias is not None
        nn.init.constant_(self.pixels.bias, -3.0)  # targets are few: a fresh one finds none
        self.to(memory_format=torch.channels_last)

    def forward(self, stacks: Tensor) -> Tensor:
        frames = stacks.contiguous(memory_format=torch.channels_last).float()
        std, mean = torch.std_mean(frames, dim=(1, 2, 3), keepdim=True)
        fine = self.fine((frames - mean) / (std + 1)).relu()
        # (B, 16, H/4, W/4)
        coarse = F.interpolate(self.coarse(fine), fine.shape[2:])
        cells = self.joined(torch.cat([fine, coarse], dim=1)).relu()
        logits = F.pixel_shuffle(self.pixels(cells), _CELL).float()  # (B, S, about H, about W)
        size = tuple(stacks.shape[2:])
        if logits.shape[2:] == size:
            return logits
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)


def widen(gates: Tensor, pixels: int) -> Tensor:
    """Gates (B, S, H, W) widened to squares: the largest value within so many pixels.

    In steps of one pixel, which is quick for the few that are asked for, and on uint8.
    """
    for axis in (2, 3) * pixels:
        most, before = gates.shape[axis] - 1, gates
        gates = before.clone()
        for here, there in ((0, 1), (1, 0)):
            part = gates.narrow(axis, here, most)
            torch.maximum(part, before.narrow(axis, there, most), out=part)
    return gates


def weighted_cross_entropy(logits: Tensor, masks: Tensor, weight: float) -> Tensor:
    """Mean binary cross-entropy over pixels, those that are on counted `weight` times; a scalar."""
    on = logits.new_tensor(weight)
    return F.binary_cross_entropy_with_logits(logits, masks.to(logits.dtype), pos_weight=on)

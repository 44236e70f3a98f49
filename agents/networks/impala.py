"""IMPALA's residual network (Espeholt et al. 2018, Figure 3, right), as Procgen's agents have it.

Three sequences of a convolution, a max-pooling by two and two residual blocks, with 16, 32 and 32
channels, a ReLU, and a hidden layer of 256 (Cobbe et al. 2020; CleanRL's `ppo_procgen.py`, whose
initial weights these are).

Letters: B samples, K feature maps of h x w cells.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rl_attn.agents.layers import PixelConv2d, over_cells, to_float
from rl_attn.agents.networks import NETWORKS, Network, Trunk

CHANNELS = (16, 32, 32)
UNITS = 256


class ResidualBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.second(F.relu(self.first(F.relu(maps))))


def sequence(kind: type[nn.Conv2d], in_channels: int, channels: int) -> nn.Sequential:
    """Maps of half the height and width, rounded up; `kind` of the convolution that begins it."""
    return nn.Sequential(
        kind(in_channels, channels, 3, padding=1),
        nn.MaxPool2d(3, stride=2, padding=1),
        ResidualBlock(channels),
        ResidualBlock(channels),
    )


@NETWORKS.register("impala")
class Impala(Network):
    """`output = agent(frames)` with uint8 frames (B, S*C, H, W); the maps are an eighth as large.

    Other layers are tapped by name: `sequences.0`, `sequences.1.2`, ...
    """

    #: How the hidden layer reads the last maps.
    read = staticmethod(over_cells)

    def __init__(self, *shape: Any, **options: Any):
        super().__init__(*shape, **options)
        first, second, third = (self.wide(channels) for channels in CHANNELS)
        self.sequences = nn.Sequential(
            sequence(PixelConv2d, self.in_channels, first),
            sequence(nn.Conv2d, first, second),
            sequence(nn.Conv2d, second, third),
        )
        self.hidden = nn.Linear(third * self._cells_read(), UNITS)
        self.add_heads(UNITS)
        self.to(memory_format=torch.channels_last)

    def _cells_read(self) -> int:
        """How many cells the hidden layer reads of each map: all of them."""
        height, width = (-(-side // 8) for side in self.frame_size)
        return height * width

    def trunk(self, frames: Tensor, shift: bool = False) -> Trunk:
        features = F.relu(self.sequences(to_float(frames)))  # (B, K, h, w)
        hidden, zeros = self.read(self.hidden, features, shift)  # (B, 256)
        return Trunk(F.relu(hidden), features, zeros)

    def compile_layers(self) -> None:
        self.sequences.compile()

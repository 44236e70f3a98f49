"""CleanRL's five-layer Atari network (Mnih et al. 2015) as actor and critic, for any frame size.

Three convolutions, one shared linear layer, and a linear head each for policy and value. One
forward also gives a convolution's feature maps, from which attention is computed: the last one's,
or an earlier one's, whose maps are finer.

Letters: B samples, S stacked frames, C channels a frame, K feature maps of h x w cells.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rl_attn.agents.layers import PixelConv2d, orthogonal, over_cells, to_float
from rl_attn.agents.networks import NETWORKS, Network, Trunk

#: Kernel and stride of each convolution.
_SHAPES = {"conv1": (8, 4), "conv2": (4, 2), "conv3": (3, 1)}


@NETWORKS.register("nature")
class ActorCritic(Network):
    """`output = agent(frames)` with uint8 frames (B, S*C, H, W).

    >>> agent = ActorCritic(4, (44, 52), 3)  # stacked frames, (H, W), actions
    >>> output = agent(torch.zeros(2, 4, 44, 52, dtype=torch.uint8))
    >>> output.value.shape, output.features.shape
    (torch.Size([2]), torch.Size([2, 64, 2, 3]))
    """

    TAPS = tuple(_SHAPES)

    def __init__(self, *shape: Any, **options: Any):
        """Arguments as of every network: frames of at least 36 x 36; 32 maps of conv1, 64 of conv2
        or of conv3 (the standard tap)."""
        super().__init__(*shape, **options)
        few, many = self.wide(32), self.wide(64)
        self.convolutions = nn.Sequential(
            orthogonal(PixelConv2d(self.in_channels, few, 8, stride=4)),
            nn.ReLU(inplace=True),
            orthogonal(nn.Conv2d(few, many, 4, stride=2)),
            nn.ReLU(inplace=True),
            orthogonal(nn.Conv2d(many, many, 3, stride=1)),
        )
        h, w = feature_grid(self.frame_size)
        if self.named_layer is None:
            self.grid = feature_grid(self.frame_size, self.tap)
            self.cells = cell_centres(self.tap)
        self.hidden = orthogonal(nn.Linear(many * h * w, 512))
        self.add_heads(512)
        self.to(memory_format=torch.channels_last)  # the CPU's and the tensor cores' faster layout

    def trunk(self, frames: Tensor, shift: bool = False) -> Trunk:
        """No layer over all cells lies right behind an earlier tap: no zero is given for it."""
        features, last = self._features(to_float(frames))  # (B, K, h, w), conv3's
        hidden, zeros = over_cells(self.hidden, last, shift and self.tap == "conv3")
        return Trunk(F.relu(hidden), features, zeros)  # hidden: (B, 512)

    @classmethod
    def check(cls, frame_size: tuple[int, int], tap: str, compiled: bool) -> None:
        feature_grid(frame_size)
        super().check(frame_size, tap, compiled)

    def compile_layers(self) -> None:
        self.convolutions.compile()

    def _features(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The tapped activations, and the last convolution's, which are made from them."""
        if self.tap == "conv3":
            last = F.relu(self.convolutions(pixels))
            return last, last
        cut = 2 * list(_SHAPES).index(self.tap) + 2  # behind its ReLU
        features = self.convolutions[:cut](pixels)
        return features, F.relu(self.convolutions[cut:](features))


def feature_grid(frame_size: tuple[int, int], tap: str = "conv3") -> tuple[int, int]:
    """(h, w) of the feature maps for frames of (H, W) pixels: 11 x 16 for 120 x 160 at conv3.

    >>> feature_grid((120, 160))
    (11, 16)
    """
    layers = list(_SHAPES.values())[: list(_SHAPES).index(tap) + 1]

    def cells(pixels: int) -> int:
        for kernel, stride in layers:
            pixels = (pixels - kernel) // stride + 1
        return pixels

    h, w = cells(frame_size[0]), cells(frame_size[1])
    if min(h, w) < 1:
        raise ValueError(
            f"frames of {frame_size} pixels are too small: the minimum is 36 x 36; take "
            "larger ones (--frame-size) or --network impala"
        )
    return h, w


def cell_centres(tap: str = "conv3") -> tuple[float, float]:
    """(first, step): the pixels that cell i sees lie round pixel first + i * step, on both axes.

    (17.5, 8) at conv3: nothing is padded, so the first cell's 36 pixels begin at the border.

    >>> cell_centres("conv3")
    (17.5, 8.0)
    """
    first, step = 0.0, 1.0
    for kernel, stride in list(_SHAPES.values())[: list(_SHAPES).index(tap) + 1]:
        first += step * (kernel - 1) / 2
        step *= stride
    return first, step

"""Layers that networks share: pixels in, hidden layers over cells, and how weights begin.

Letters: B samples, S stacked frames, C channels a frame, K feature maps of h x w cells, D units.
"""

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class PixelConv2d(nn.Conv2d):
    """A convolution of pixel values 0..255 that answers as if they were scaled to [0, 1].

    Scaling the weights saves a pass over the frames, and whole numbers up to 256 are exact in
    bf16, where their 255ths are not.
    """

    def forward(self, pixels: Tensor) -> Tensor:
        return self._conv_forward(pixels, self.weight / 255, self.bias)


def to_float(frames: Tensor) -> Tensor:
    """uint8 (B, S*C, H, W) to the type that the convolution wants, in one pass, channels last."""
    kind = frames.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    return frames.contiguous(memory_format=torch.channels_last).to(dtype)


def over_cells(layer: nn.Linear, maps: Tensor, shift: bool) -> tuple[Tensor, Tensor | None]:
    """A linear layer (D, h*w*K) over all cells of maps (B, K, h, w), and a zero added to them.

    What `grad_cam` needs is the score's gradient summed over cells, which is the gradient by a zero
    (B, K) that is added to every cell. Through this layer it takes a (B, K) product where the
    gradient by all cells takes (B, K*h*w): the CAMAL loss costs a fifth as much.

    Returns:
        (B, D), and the zeros (B, K) or None.
    """
    channels = maps.shape[1]
    cells = maps.permute(0, 2, 3, 1).flatten(1)  # (B, h*w*K), no copy: channels last
    hidden = layer(cells)  # (B, D)
    if not shift:
        return hidden, None
    zeros = maps.new_zeros(maps.shape[:2], requires_grad=True)
    by_channel = layer.weight.unflatten(1, (-1, channels)).sum(1)  # (D, K)
    return hidden + F.linear(zeros, by_channel), zeros


def orthogonal(layer: Layer, gain: float = 2**0.5) -> Layer:
    """Orthogonal weights, zero bias (Andrychowicz et al. 2021; CleanRL's `layer_init`)."""
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer

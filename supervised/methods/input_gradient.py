"""What methods on input gradients share: the unit of the image that the gradient is taken by.

A network sees an image x normalised, (x - mean) / std, with the statistics of its data set. A
gradient by that input is std times the gradient by x, so that a weight which suits one data set is
wrong by orders of magnitude on another. Here the gradient is brought to a unit first:

    byte       by pixel values in 0..255, as RRR's own notebook has them
    unit       by pixel values in [0, 1]
    imagenet   by images normalised with ImageNet's statistics, as GALS's code has them
    input      by what the network sees, whatever it is
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import tyro

from rl_attn.supervised.methods.base import Method

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.supervised.batches import Batches
    from rl_attn.supervised.network import Network


Unit = Annotated[
    Literal["byte", "unit", "imagenet", "input"],
    tyro.conf.arg(
        help="of the images that gradients are taken by: pixel values up to 255 (byte) or up to 1 "
        "(unit), ImageNet's normalisation, or the network's input as it is"
    ),
]


@dataclass
class InputGradientMethod(Method):
    """A method on the gradient of a score by the images."""

    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels")

    unit: Unit = "byte"

    def needs_features(self) -> bool:
        return False

    def prepare(self, network: Network, train: Batches) -> None:
        self.scale = scale_of(train.view.std, self.unit)

    def gradient(self, score: Tensor, pictures: Tensor) -> Tensor:
        """d score (B,) / d images (B, C, H, W), in the method's unit."""
        from rl_attn.attention import input_gradient

        gradient = input_gradient(score, pictures)
        return gradient if self.scale is None else gradient / self.scale


def scale_of(std: Tensor, unit: Unit) -> Tensor | None:
    """(C, 1, 1) to divide a gradient by the network's input by; None: leave it as it is.

    Args:
        std: (C,) of images in [0, 1], by which they are normalised.
    """
    import torch

    from rl_attn.supervised.data import IMAGENET_STD

    if unit == "input":
        return None
    std = std[:, None, None]
    if unit == "byte":
        return 255 * std
    if unit == "imagenet":
        published = torch.tensor(IMAGENET_STD, device=std.device, dtype=std.dtype)[:, None, None]
        return std / (published if len(std) == len(published) else published.mean())
    return std

"""What is done to frames: other textures, other colours, less of them. Batched, on the device.

Stacks are (B, S*C, H, W) in 0..255 and come back as uint8; masks are (B, S, H, W), integers of 0
and 1 or soft ones in [0, 1]. All frames of a stack are treated alike. Random numbers come from a
generator on the stacks' device.

Letters: B samples, S stacked frames, C channels a frame, H x W pixels.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def random_convolution(stacks: Tensor, frames: int, random: torch.Generator) -> Tensor:
    """A random 3x3 convolution of each sample's own, behind it a sigmoid.

    Lee et al. 2020 (Network Randomization); weights from N(0, 1) and the sigmoid, which keeps
    pixels in range, as in Hansen et al. 2021 (SVEA).

    Args:
        frames: S.
    """
    channels = stacks.shape[1] // frames
    kernels = _draw(torch.randn, (len(stacks), channels, channels, 3, 3), stacks, random) / 255
    parts = zip(stacks.split(_PART), kernels.split(_PART), strict=True)
    return torch.cat([_convolved(part, own, frames) for part, own in parts])


def _convolved(stacks: Tensor, kernels: Tensor, frames: int) -> Tensor:
    """Each sample's frames by its own kernel (B, C, C, 3, 3), in one grouped convolution."""
    each = kernels.repeat_interleave(frames, dim=0).flatten(0, 1)  # (B*S*C, C, 3, 3)
    padded = F.pad(stacks.contiguous().float(), (1, 1, 1, 1), mode="replicate")
    flat = padded.flatten(0, 1)[None]  # (1, B*S*C, H + 2, W + 2)
    drawn = F.conv2d(flat, each, groups=len(stacks) * frames).sigmoid_().mul_(255)
    return to_pixels(drawn.view_as(stacks))


def overlay(stacks: Tensor, frames: int, random: torch.Generator) -> Tensor:
    """Half the frame and half a picture without edges, of each sample's own.

    Overlay is Hansen et al. 2021's (SVEA, with photographs of Places). Pictures are drawn here: 2
    to 12 random colours along each side, bilinearly in between.
    """
    channels = stacks.shape[1] // frames
    along = int(torch.randint(2, 13, (), generator=random, device=random.device))
    colours = _draw(torch.rand, (len(stacks), channels, along, along), stacks, random)
    size = tuple(stacks.shape[2:])
    halves = F.interpolate(127.5 * colours, size, mode="bilinear", align_corners=False)
    return (stacks >> 1) + to_pixels(halves).repeat(1, frames, 1, 1)


#: Samples that are convolved at once: their floats stay in a CPU's cache.
_PART = 16

#: By the names that flags have for them.
AUGMENTATIONS: dict[str, Callable[[Tensor, int, torch.Generator], Tensor]] = {
    "convolution": random_convolution,
    "overlay": overlay,
}


def masked(stacks: Tensor, masks: Tensor) -> Tensor:
    """Frame times mask: black where the mask is 0."""
    each = per_channel(masks, stacks)
    return to_pixels(stacks * each) if each.is_floating_point() else stacks * each


def outside(stacks: Tensor, views: Tensor, masks: Tensor) -> Tensor:
    """`stacks` where the mask is on, `views` everywhere else."""
    return torch.where(per_channel(masks, stacks) > 0, stacks, views)


def per_channel(masks: Tensor, stacks: Tensor) -> Tensor:
    """Masks (B, S, H, W) as (B, S*C, H, W): each frame's, for each of its channels."""
    return masks.repeat_interleave(stacks.shape[1] // masks.shape[1], dim=1)


def to_pixels(values: Tensor) -> Tensor:
    """Floats in 0..255, rounded to uint8."""
    return values.round().to(torch.uint8)


def _draw(
    law: Callable[..., Tensor], shape: tuple[int, ...], like: Tensor, random: torch.Generator
) -> Tensor:
    return law(shape, generator=random, device=like.device)

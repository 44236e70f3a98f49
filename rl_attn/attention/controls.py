"""Masks that are wrong on purpose: did the *mask* do it, or would any pressure on attention have?

    random    the mask's values at random places: equal area, no relation to the picture
    shifted   the mask moved cyclically: equal area and shape, another place
    swapped   another sample's mask: everything that masks of the data set have in common
    noisy     right to a degree: moved, shrunk, or another sample's in a share of the samples

A mask that is spread evenly over the picture is no control: CAMAL's loss on it is 0 for any map.
Masks are (B, H, W). Draws come from a torch.Generator of any device, so that one on the CPU gives
the same controls wherever the masks live.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rl_attn.attention.deviations import DIRECTIONS, deviated

Noise = Literal["shift", "erode", "wrong"]


def random_control(mask: Tensor, generator: torch.Generator, blob: int = 0) -> Tensor:
    """Each mask's values, the largest ones where noise is largest; its area is kept exactly.

    Args:
        blob: radius in pixels over which the noise is averaged: 0 scatters single pixels, which
            a coarse map cannot tell from a uniform mask; a target's radius gives patches, which go
            on at the opposite border. A third of the picture at most.

    >>> mask = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    >>> random_control(mask, torch.Generator().manual_seed(0)).sum()  # as many pixels
    tensor(2.)
    """
    noise = torch.rand(mask.shape, generator=generator, device=generator.device)
    blob = min(blob, min(mask.shape[1:]) // 3)
    if blob:  # without a border, where means of fewer pixels would be the extreme ones
        around = F.pad(noise[:, None], [blob] * 4, mode="circular")
        noise = F.avg_pool2d(around, 2 * blob + 1, 1)[:, 0]
    places = noise.flatten(1).argsort(1).to(mask.device)  # (B, H*W)
    values = mask.flatten(1).sort(1)[0]
    return torch.empty_like(values).scatter_(1, places, values).view_as(mask)


def shifted_control(mask: Tensor, generator: torch.Generator, at_least: float = 0.25) -> Tensor:
    """Each mask moved cyclically by a random offset of its own in both directions.

    Args:
        at_least: share of the height and of the width that it moves at least, up to 0.5.

    >>> mask = torch.zeros(1, 4, 4)
    >>> mask[0, 0, 0] = 1
    >>> shifted_control(mask, torch.Generator().manual_seed(0))[0, 0, 0]
    tensor(0.)
    """
    if not 0 <= at_least <= 0.5:
        raise ValueError(f"at_least is {at_least}: a cyclic shift moves by 0 to 0.5 of the size")
    for dimension in (1, 2):
        size = mask.shape[dimension]
        low, high = round(at_least * size), size - round(at_least * size)
        by = torch.randint(
            low, high + 1, (len(mask),), generator=generator, device=generator.device
        )
        mask = _roll(mask, by.to(mask.device), dimension)
    return mask


def swapped_control(mask: Tensor, generator: torch.Generator) -> Tensor:
    """Each sample gets another sample's mask, every mask is used once.

    >>> masks = torch.tensor([0.0, 1.0]).reshape(2, 1, 1)
    >>> swapped_control(masks, torch.Generator().manual_seed(0)).flatten()
    tensor([1., 0.])
    """
    if len(mask) < 2:
        raise ValueError(f"masks of {len(mask)} sample cannot be swapped: it takes two or more")
    ring = torch.randperm(len(mask), generator=generator, device=generator.device).to(mask.device)
    source = torch.empty_like(ring)
    source[ring] = ring.roll(1)  # one random cycle through all samples: nobody keeps its own
    return mask[source]


def noisy_control(mask: Tensor, generator: torch.Generator, noise: Noise, dose: float) -> Tensor:
    """Masks that are as wrong as `dose` says: how much do bad masks hurt?

    Args:
        noise: "wrong": that share of the samples gets another's mask, drawn as in
            `swapped_control`. "shift", "erode": that share of a deviation that leaves a tenth of
            the mask covered (`deviations`), shifts in a direction that is drawn for each sample.
        dose: 0 (the masks as they are) to 1.

    >>> masks = torch.eye(4)[:, None]  # four masks of 1 x 4
    >>> drawn = torch.Generator().manual_seed(0)
    >>> noisy_control(masks, drawn, "wrong", 0.5).shape
    torch.Size([4, 1, 4])
    """
    if not 0 <= dose <= 1:
        raise ValueError(f"dose is {dose}: it is a share, 0 to 1")
    device = generator.device
    if noise == "wrong":
        chosen = torch.randperm(len(mask), generator=generator, device=device).to(mask.device)
        chosen, noisy = chosen[: round(dose * len(mask))], mask.clone()
        if len(chosen) > 1:
            noisy[chosen] = swapped_control(mask[chosen], generator)
        return noisy
    drawn = torch.randint(len(DIRECTIONS), (len(mask),), generator=generator, device=device)
    directions = [DIRECTIONS[i] for i in drawn.tolist()]
    parts = [deviated(m, noise, dose, to) for m, to in zip(mask, directions, strict=True)]
    return torch.stack(parts)


def _roll(mask: Tensor, by: Tensor, dimension: int) -> Tensor:
    """Rolled along one dimension by `by` (B,)."""
    size = mask.shape[dimension]
    source = (torch.arange(size, device=mask.device) - by[:, None]) % size  # (B, size)
    source = source[:, :, None] if dimension == 1 else source[:, None]
    return mask.gather(dimension, source.expand_as(mask))

"""Is attention faithful? Remove or insert pixels in its order and watch the score.

RISE's deletion and insertion (Petsiuk et al. 2018), as CAMAL's section 4.2 runs them: deletion
goes from the picture to one of removed values, most attended pixels first; insertion the other way
round. Faithful attention has a small area under deletion and a large one under insertion.

    confidence = probability_of(model, labels)                     # in `rise.py`
    curve = deletion(confidence, images, upsample(attention, images.shape[2:]))
    curve.areas                                                    # (B,)
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rl_attn.attention.inputs import ScoreOf
from rl_attn.attention.perturbation import gaussian_blur

#: What a removed pixel becomes: 0, the picture blurred, or each channel's mean; or given pictures.
Removed = Literal["zero", "blur", "mean"]


@dataclass(frozen=True)
class Curve:
    """Scores while pixels are removed or inserted."""

    shares: Tensor  # (P,): of pixels removed or inserted, from 0 to 1
    values: Tensor  # (B, P), or (B, P, M) of M scores at once

    @property
    def areas(self) -> Tensor:
        """Area under each sample's curve (trapezoidal rule), (B,) or (B, M)."""
        return torch.trapezoid(self.values.movedim(1, -1), self.shares)


def deletion(
    score: ScoreOf,
    images: Tensor,
    attention: Tensor,
    *,
    points: int = 51,
    removed: Removed | Tensor = "zero",
    batch_size: int = 64,
) -> Curve:
    """The score as the most attended pixels go, (B, points) (Petsiuk et al. 2018).

    Args:
        score: pictures (N, C, H, W), rows (N,) -> (N,), or (N, M) for M scores at once; rows says
            which sample of the batch each picture is a variant of. Any function: `probability_of`,
            a value, a distance.
        images: (B, C, H, W).
        attention: (B, H, W) of the same size (see `upsample`). Ties are broken at random, in the
            same way each time, so that a dead map says as little as a random order does.
        points: shares of pixels, evenly from 0 to 1.
        removed: what takes a removed pixel's place; a tensor (B, C, H, W) for anything else.
        batch_size: pictures scored at once, of any samples and shares; bounds the memory.

    >>> def score(pictures, rows):
    ...     return pictures.mean(dim=(1, 2, 3))
    >>> curve = deletion(score, torch.ones(1, 1, 2, 2), torch.rand(1, 2, 2), points=5)
    >>> curve.values
    tensor([[1.0000, 0.7500, 0.5000, 0.2500, 0.0000]])
    """
    return _curve(score, images, attention, points, removed, batch_size, insert=False)


def insertion(
    score: ScoreOf,
    images: Tensor,
    attention: Tensor,
    *,
    points: int = 51,
    removed: Removed | Tensor = "zero",
    batch_size: int = 64,
) -> Curve:
    """The score as the most attended pixels come in, most attended first; as `deletion`.

    >>> def score(pictures, rows):
    ...     return pictures.mean(dim=(1, 2, 3))
    >>> curve = insertion(score, torch.ones(1, 1, 2, 2), torch.rand(1, 2, 2), points=5)
    >>> curve.values
    tensor([[0.0000, 0.2500, 0.5000, 0.7500, 1.0000]])
    """
    return _curve(score, images, attention, points, removed, batch_size, insert=True)


@torch.no_grad()
def _curve(
    score: ScoreOf,
    images: Tensor,
    attention: Tensor,
    points: int,
    removed: Removed | Tensor,
    batch_size: int,
    insert: bool,
) -> Curve:
    _check(images, attention, points)
    nothing = removed_values(images, removed) if isinstance(removed, str) else removed
    random = torch.rand(attention.shape, generator=torch.Generator().manual_seed(0))
    ranks = pixel_ranks(attention, random.to(attention.device))
    shares = torch.linspace(0, 1, points, device=images.device)
    counts = (shares.double() * ranks[0].numel()).round().long()  # (P,)
    rows = torch.arange(len(images), device=images.device).repeat_interleave(points)  # (B*P,)
    levels = counts.repeat(len(images))  # (B*P,)
    values = []
    for some, level in zip(rows.split(batch_size), levels.split(batch_size), strict=True):
        first = (ranks[some] < level[:, None, None])[:, None]  # (b, 1, H, W)
        kept = first if insert else ~first
        values.append(score(torch.where(kept, images[some], nothing[some]), some))
    return Curve(shares, torch.cat(values).unflatten(0, (len(images), points)))


def pixel_ranks(attention: Tensor, ties: Tensor | None = None) -> Tensor:
    """(B, H, W) int64: 0 for the most attended pixel.

    Args:
        attention: (B, H, W).
        ties: (B, H, W), of equally attended pixels the largest comes first; default: as read.
    """
    scores, first = attention.flatten(1), None
    if ties is not None:
        first = ties.flatten(1).argsort(dim=1, descending=True)
        scores = scores.gather(1, first)
    order = scores.argsort(dim=1, descending=True, stable=True)
    if first is not None:
        order = first.gather(1, order)
    ranks = torch.empty_like(order)
    ranks.scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
    return ranks.view_as(attention)


def removed_values(images: Tensor, removed: Removed, sigma: float | None = None) -> Tensor:
    """Pictures (B, C, H, W) of what removed pixels become.

    Args:
        sigma: of the Gaussian of "blur", in pixels; a twentieth of the shorter side by default.
    """
    if removed == "zero":
        return torch.zeros_like(images)
    exact = images if images.is_floating_point() else images.float()
    if removed == "mean":
        values = exact.mean(dim=(2, 3), keepdim=True).expand_as(exact)
    elif removed == "blur":
        values = gaussian_blur(exact, sigma or min(images.shape[2:]) / 20)
    else:
        raise ValueError(f"unknown removed value {removed!r}: choose zero, blur or mean")
    return values if images.is_floating_point() else values.round().to(images.dtype)


def _check(images: Tensor, attention: Tensor, points: int) -> None:
    if images.ndim != 4 or attention.shape != (len(images), *images.shape[2:]):
        raise ValueError(
            f"expected images (B, C, H, W) and attention (B, H, W), got {tuple(images.shape)} and "
            f"{tuple(attention.shape)}; upsample(attention, images.shape[2:]) brings it there"
        )
    if points < 2:
        raise ValueError(f"points is {points}: a curve needs its two ends")

"""RISE: which pixels the score needs, from many randomly masked pictures; no gradient needed.

    attention = rise(probability_of(model, y), x, masks=500)               # (B, H, W) in [0, 1]

RISE (Petsiuk et al. 2018, Eq. 6) averages random masks, each weighed by the score of the picture
it leaves: A = 1 / (N p) sum_i f(x * M_i) M_i. With a `prompt` that settles some pixels this is
VAPL's refinement of an incomplete prompt (Zhang et al. 2024, Eq. 1, with `weigh` Eq. 3): settled
pixels keep their value in every mask, undecided ones are drawn. `score_masks` and `weighted_mean`
are its two halves, for who wants to weigh the same scores again. Letters: N masks, p the chance of
a cell to stay, B pictures.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from rl_attn.attention.cells import size_of
from rl_attn.attention.inputs import ScoreOf
from rl_attn.attention.maps import Normalization, normalize
from rl_attn.attention.random_masks import RandomMasks

#: Values of a prompt (VAPL, Sec. 3): precluded, indispensable, undecided.
PRECLUDED, INDISPENSABLE, UNDECIDED = 0, 1, -1
#: Blocks of masks before a standard error is believed.
_FEWEST_BLOCKS = 4

Weigh = Callable[[Tensor], Tensor]


class Scores(NamedTuple):
    """What the pictures score under random masks.

    >>> def score_of(pictures, rows):
    ...     return pictures.mean(dim=(1, 2, 3))
    >>> masks = RandomMasks(16, (8, 8), (2, 2), generator=torch.Generator().manual_seed(0))
    >>> scores = score_masks(score_of, torch.ones(1, 1, 8, 8), masks)
    >>> isinstance(scores, Scores), scores.used.tolist()
    (True, [16])
    """

    values: Tensor  # (N, B); 0 where `used` says that the mask was not tried
    used: Tensor  # (B,): how many masks, the first ones, each picture was tried under


def probability_of(model: Callable[[Tensor], Tensor], labels: Tensor) -> ScoreOf:
    """The softmax probability of each sample's label (B,), RISE's and VAPL's confidence.

    >>> model = torch.nn.Flatten()  # two pixels are two logits
    >>> score_of = probability_of(model, torch.tensor([1]))
    >>> score_of(torch.zeros(1, 1, 1, 2), torch.tensor([0]))
    tensor([0.5000])
    """
    return lambda pictures, rows: model(pictures).softmax(1).gather(1, labels[rows][:, None])[:, 0]


def rise(
    score_of: ScoreOf,
    pictures: Tensor,
    *,
    masks: int = 500,
    cells: tuple[int, int] | None = (7, 7),
    keep: float = 0.5,
    prompt: Tensor | None = None,
    weigh: Weigh | None = None,
    balanced: bool = False,
    tolerance: float | None = None,
    generator: torch.Generator | None = None,
    chunk: int = 64,
    normalization: Normalization = "minmax",
) -> Tensor:
    """The masks' mean, weighed by the score of what they leave.

    Args:
        score_of: (pictures (N, C, H, W), rows (N,)) -> (N,), non-negative, see `inputs.py`; it
            runs without gradients.
        masks: N, drawn once and used for every picture; with `tolerance` the most there may be.
        cells: grid that masks are drawn on and upsampled from, see `RandomMasks`; None draws
            each pixel by itself.
        keep: p, the probability that a cell stays.
        prompt: (B, H, W) of `PRECLUDED`, `INDISPENSABLE` and `UNDECIDED` (0, 1, -1), or None.
        weigh: applied to the scores (N, B) before the mean, with gradients: VAPL's learned g.
        balanced: less noise for the same number of masks, see `RandomMasks`.
        tolerance: see `score_masks`.
        chunk: pictures a forward.

    Returns:
        (B, H, W), in [0, 1] with "minmax" (as RISE shows it) or "max"; "none" gives Eq. 1.

    >>> def score_of(pictures, rows):
    ...     return pictures[:, 0, 0, 0]  # sees one corner
    >>> drawn = torch.Generator().manual_seed(0)
    >>> found = rise(score_of, torch.ones(1, 1, 8, 8), masks=200, cells=(2, 2), generator=drawn)
    >>> found[0, 0, 0] > found[0, 7, 7]
    tensor(True)
    """
    size = size_of(pictures)
    drawn = RandomMasks(masks, size, cells, keep, balanced=balanced, generator=generator)
    scores = score_masks(
        score_of, pictures, drawn, prompt, chunk=chunk, tolerance=tolerance, weigh=weigh
    )
    return normalize(weighted_mean(scores, drawn, prompt, weigh), normalization)


@torch.no_grad()
def score_masks(
    score_of: ScoreOf,
    pictures: Tensor,
    masks: RandomMasks,
    prompt: Tensor | None = None,
    *,
    chunk: int = 64,
    tolerance: float | None = None,
    weigh: Weigh | None = None,
) -> Scores:
    """Score every picture (B, C, H, W) under the masks, a block of them at a time.

    With a `tolerance`, a picture is done as soon as the standard error of its A (Eq. 3, not
    normalised, the root of its mean square over undecided pixels) is not larger than that: it is
    estimated from the blocks' own means.

    >>> def score_of(pictures, rows):
    ...     return pictures.mean(dim=(1, 2, 3))
    >>> masks = RandomMasks(16, (8, 8), (2, 2), generator=torch.Generator().manual_seed(0))
    >>> score_masks(score_of, torch.ones(1, 1, 8, 8), masks).values.shape
    torch.Size([16, 1])
    """
    if prompt is not None and prompt.shape != (len(pictures), *pictures.shape[2:]):
        raise ValueError(
            f"prompt must be (B, H, W) for pictures {tuple(pictures.shape)}, got "
            f"{tuple(prompt.shape)}"
        )
    active = torch.arange(len(pictures), device=pictures.device)
    values = pictures.new_zeros(len(masks), len(pictures))
    used = torch.zeros(len(pictures), dtype=torch.long, device=pictures.device)
    spread, first = _Spread(pictures, prompt), 0
    for block in masks:
        block, last = block.to(pictures), first + len(block)  # (n, H, W)
        found = _score_block(score_of, pictures, block, prompt, active, chunk)  # (n, active)
        values[first:last, active], used[active] = found.to(values), last
        first = last
        if tolerance is not None:
            weights = found if weigh is None else weigh(found)
            spread.add(active, _mean(weights, block) / masks.keep)
            active = active[spread.standard_error(active) > tolerance]
            if len(active) == 0:
                break
    return Scores(values, used)


def weighted_mean(
    scores: Scores, masks: RandomMasks, prompt: Tensor | None = None, weigh: Weigh | None = None
) -> Tensor:
    """1 / (N p) sum_i weigh(score_i) M_i, (B, H, W): Eq. 1, or with `weigh` Eq. 3.

    The masks are drawn again, block by block, in the backward pass too.

    >>> def score_of(pictures, rows):
    ...     return pictures.mean(dim=(1, 2, 3))
    >>> masks = RandomMasks(16, (8, 8), (2, 2), generator=torch.Generator().manual_seed(0))
    >>> scores = score_masks(score_of, torch.ones(1, 1, 8, 8), masks)
    >>> weighted_mean(scores, masks).shape
    torch.Size([1, 8, 8])
    """
    weights = scores.values if weigh is None else weigh(scores.values)  # (N, B)
    tried = torch.arange(len(masks), device=weights.device)[:, None] < scores.used
    weights = torch.where(tried, weights, 0)
    total = _Sum.apply(weights, masks, int(scores.used.max()))  # (B, H, W)
    if prompt is not None:  # a settled pixel has one value in all masks
        settled = weights.sum(0)[:, None, None] * prompt.to(total)
        total = torch.where(prompt == UNDECIDED, total, settled)
    return total / (scores.used * masks.keep)[:, None, None]


def masked(pictures: Tensor, masks: Tensor, prompt: Tensor | None) -> Tensor:
    """Pictures (B, C, H, W) times masks (B, H, W), in which the prompt (B, H, W) is settled.

    >>> prompt = torch.tensor([[[PRECLUDED, INDISPENSABLE, UNDECIDED]]])
    >>> masked(torch.ones(1, 1, 1, 3), torch.full((1, 1, 3), 0.5), prompt)
    tensor([[[[0.0000, 1.0000, 0.5000]]]])
    """
    if prompt is not None:
        masks = torch.where(prompt == UNDECIDED, masks, prompt.to(masks))
    return pictures * masks[:, None]


class _Spread:
    """Of each picture's map: what the blocks say so far, and how far they disagree."""

    def __init__(self, pictures: Tensor, prompt: Tensor | None):
        shape = (len(pictures), *pictures.shape[2:])
        self.total, self.squares = (torch.zeros(shape, device=pictures.device) for _ in range(2))
        everywhere = torch.ones(shape, device=pictures.device)
        self.undecided = everywhere if prompt is None else (prompt == UNDECIDED).float()
        self.blocks = 0

    def add(self, rows: Tensor, maps: Tensor) -> None:
        """One more block's A (rows, H, W)."""
        self.total[rows] += maps
        self.squares[rows] += maps.square()
        self.blocks += 1

    def standard_error(self, rows: Tensor) -> Tensor:
        """(rows,): root of its mean square over undecided pixels; infinite for too few blocks."""
        if self.blocks < _FEWEST_BLOCKS:
            return torch.full(rows.shape, torch.inf, device=rows.device)
        mean, where = self.total[rows] / self.blocks, self.undecided[rows]
        variance = (self.squares[rows] / self.blocks - mean.square()) / (self.blocks - 1)
        pixels = where.sum((1, 2)).clamp_min(1)
        return ((variance.clamp_min(0) * where).sum((1, 2)) / pixels).sqrt()


def _score_block(
    score_of: ScoreOf,
    pictures: Tensor,
    block: Tensor,
    prompt: Tensor | None,
    active: Tensor,
    chunk: int,
) -> Tensor:
    """(n, active) scores of the active pictures under masks (n, H, W)."""
    found = []
    for part in torch.arange(len(block) * len(active), device=pictures.device).split(chunk):
        rows, mask = active[part % len(active)], block[part // len(active)]
        own = None if prompt is None else prompt[rows]
        found.append(score_of(masked(pictures[rows], mask, own), rows))
    return torch.cat(found).view(len(block), len(active))


class _Sum(torch.autograd.Function):
    """sum_i w_i M_i, (N, B) -> (B, H, W), over the first `number` masks: no mask is kept."""

    @staticmethod
    def forward(ctx, weights: Tensor, masks: RandomMasks, number: int) -> Tensor:
        ctx.masks, ctx.number, ctx.shape = masks, number, weights.shape
        total = weights.new_zeros(weights.shape[1], *masks.size)
        for rows, block in _first(masks, number):
            total += _sum(weights[rows], block.to(weights))
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor):
        found = gradient.new_zeros(ctx.shape)
        for rows, block in _first(ctx.masks, ctx.number):
            found[rows] = torch.einsum("bhw,nhw->nb", gradient, block.to(gradient))
        return found, None, None


def _first(masks: RandomMasks, number: int) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of the first masks, and which ones they are."""
    first = 0
    for block in masks:
        if first >= number:
            return
        yield slice(first, first + len(block)), block
        first += len(block)


def _sum(weights: Tensor, block: Tensor) -> Tensor:
    """(n, B), (n, H, W) -> (B, H, W)."""
    return torch.einsum("nb,nhw->bhw", weights, block)


def _mean(weights: Tensor, block: Tensor) -> Tensor:
    return _sum(weights.to(block), block) / len(block)

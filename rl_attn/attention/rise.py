"""RISE: which pixels the score needs, from many randomly masked pictures; no gradient needed.

    attention = rise(probability_of(model, y), x, masks=500)               # (B, H, W) in [0, 1]

RISE (Petsiuk et al. 2018, Eq. 6) averages random masks, each weighed by the score of the picture
it leaves: A = 1 / (N p) sum_i f(x * M_i) M_i. With a `prompt` that settles some pixels this is
VAPL's refinement of an incomplete prompt (Zhang et al. 2024, Eq. 1): settled pixels keep their
value in every mask, undecided ones are drawn. Letters: N masks, p the chance of a cell to stay.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rl_attn.attention.inputs import ScoreOf
from rl_attn.attention.maps import Normalization, normalize

#: Values of a prompt (VAPL, Sec. 3): precluded, indispensable, undecided.
PRECLUDED, INDISPENSABLE, UNDECIDED = 0, 1, -1


def probability_of(model: nn.Module, labels: Tensor) -> ScoreOf:
    """The softmax probability of each sample's label (B,), RISE's and VAPL's confidence."""
    return lambda pictures, rows: model(pictures).softmax(1).gather(1, labels[rows][:, None])[:, 0]


def rise(
    score_of: ScoreOf,
    pictures: Tensor,
    *,
    masks: int = 500,
    cells: tuple[int, int] | None = (7, 7),
    keep: float = 0.5,
    prompt: Tensor | None = None,
    weigh: Callable[[Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
    chunk: int = 64,
    normalization: Normalization = "minmax",
) -> Tensor:
    """The masks' mean, weighed by the score of what they leave.

    Args:
        score_of: (pictures (N, C, H, W), rows (N,)) -> (N,), non-negative, see `inputs.py`; it
            runs without gradients.
        masks: N, drawn once and used for every picture.
        cells: grid that masks are drawn on and upsampled from, see `random_masks`; None draws
            each pixel by itself.
        keep: p, the chance of a cell to stay.
        prompt: (B, H, W) of `PRECLUDED`, `INDISPENSABLE` and `UNDECIDED` (0, 1, -1), or None.
        weigh: applied to the scores (N, B) before the mean, with gradients: VAPL's learned g.
        chunk: pictures a forward.

    Returns:
        (B, H, W), in [0, 1] with "minmax" (as RISE shows it) or "max"; "none" gives Eq. 1.
    """
    drawn = random_masks(masks, tuple(pictures.shape[2:]), cells, keep, generator)
    drawn = drawn.to(pictures)  # (N, H, W)
    if prompt is not None and prompt.shape != (len(pictures), *pictures.shape[2:]):
        raise ValueError(
            f"prompt must be (B, H, W) for pictures {tuple(pictures.shape)}, got "
            f"{tuple(prompt.shape)}"
        )
    scores = _scores(score_of, pictures, drawn, prompt, chunk)  # (N, B)
    scores = scores if weigh is None else weigh(scores)
    total = torch.einsum("nb,nhw->bhw", scores, drawn)
    if prompt is not None:  # a settled pixel has one value in all masks
        settled = scores.sum(0)[:, None, None] * prompt.to(total)
        total = torch.where(prompt == UNDECIDED, total, settled)
    return normalize(total / (masks * keep), normalization)


def random_masks(
    number: int,
    size: tuple[int, int],
    cells: tuple[int, int] | None = (7, 7),
    keep: float = 0.5,
    generator: torch.Generator | None = None,
) -> Tensor:
    """(N, H, W) masks in [0, 1] with mean `keep` (RISE, Sec. 3.2).

    Binary cells, each on with probability `keep`, are upsampled bilinearly to a little more than
    the size and cut at a random offset of up to one cell. With `cells` None, binary pixels.
    """
    if cells is None:
        return (torch.rand(number, *size, generator=generator) < keep).float()
    coarse = (torch.rand(number, 1, cells[0] + 1, cells[1] + 1, generator=generator) < keep).float()
    cell = tuple(-(-size[axis] // cells[axis]) for axis in (0, 1))  # pixels, rounded up
    large = F.interpolate(
        coarse,
        size=tuple((cells[axis] + 1) * cell[axis] for axis in (0, 1)),
        mode="bilinear",
        align_corners=False,
    )[:, 0]
    down = torch.randint(cell[0], (number,), generator=generator).tolist()
    right = torch.randint(cell[1], (number,), generator=generator).tolist()
    cuts = zip(large, down, right, strict=True)
    return torch.stack([m[d : d + size[0], r : r + size[1]] for m, d, r in cuts]).clamp(0, 1)


@torch.no_grad()
def _scores(score_of, pictures, drawn, prompt, chunk: int) -> Tensor:
    """(N, B) scores of every picture under every mask."""
    number, rows = len(drawn), len(pictures)
    found = []
    for part in torch.arange(number * rows, device=pictures.device).split(chunk):
        row = part % rows
        mask = drawn[part // rows]  # (chunk, H, W)
        if prompt is not None:
            mask = torch.where(prompt[row] == UNDECIDED, mask, prompt[row].to(mask))
        found.append(score_of(pictures[row] * mask[:, None], row))
    return torch.cat(found).view(number, rows)

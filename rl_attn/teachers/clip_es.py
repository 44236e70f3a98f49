"""CLIP-ES (Lin et al. 2023): Grad-CAM of a softmax among words, spread along CLIP's own attention.

1. Grad-CAM at the norm before the last attention, of the probability of the class among itself and
   the background's words: what all of them share cancels out.
2. Class-aware attention-based affinity: the blocks' attention between patches says which belong
   together. The mean over heads and over the last blocks is made doubly stochastic by Sinkhorn's
   steps, symmetric, and squared; what lies in boxes round the map's peaks is spread by it.

It is the part of WeCLIP+ that needs no training. Letters: B pictures, M questions, P words,
N = h*w patches.
"""

import torch
from torch import Tensor

from rl_attn.attention import grad_cam, normalize, record_attention, tap
from rl_attn.teachers.boxes import boxes
from rl_attn.teachers.clip import Clip
from rl_attn.teachers.naclip import probability
from rl_attn.teachers.vit import grid_of, norm_before_last_attention, transformer_of

#: Cells of a map above this share of its maximum are peaks.
PEAK = 0.4
#: First blocks, whose attention is not about objects; that of the others is averaged (CLIP-ES: 8 of
#: 12, WeCLIP: 6).
_EARLY = 4


def clip_es(
    clip: Clip,
    pictures: Tensor,
    texts: Tensor,
    asked: Tensor,
    rivals: Tensor,
    spread: bool = True,
) -> tuple[Tensor, Tensor]:
    """Maps of the words asked for.

    Args:
        pictures: (B, 3, S, S), prepared.
        texts: (P, D) of length 1.
        asked, rivals: (B, M, P) bool, the words of each question and those it competes with.
        spread: False stops after Grad-CAM.

    Returns:
        maps (B, M, h, w) in [0, 1], and logits (B, P).
    """
    visual = transformer_of(clip, "clip-es")
    heads_mean = record_attention(keep=lambda probabilities: probabilities.mean(1))
    with (
        torch.enable_grad(),
        tap(visual, norm_before_last_attention(visual), second_order=False) as features,
        heads_mean as attentions,  # (B, 1 + N, 1 + N) each
    ):
        logits = clip.logits(clip.embed(pictures), texts)
        scores = probability(logits[:, None], asked, rivals)  # (B, M)
        maps = [_map(score, features()) for score in scores.unbind(1)]
    found = torch.stack(maps, 1).detach()  # (B, M, h, w)
    if not spread:
        return found, logits.detach()
    cells = grid_of(visual)[0] * grid_of(visual)[1]
    last = max(1, len(attentions) - _EARLY)
    between = torch.stack(attentions[-last:]).mean(0)[:, -cells:, -cells:]  # (B, N, N)
    return spread_along(affinity(between), found), logits.detach()


def affinity(attention: Tensor) -> Tensor:
    """Attention between patches (B, N, N), queries x keys, to a transition matrix (B, N, N)."""
    for _ in range(3):  # Sinkhorn
        attention = attention / attention.sum(1, keepdim=True)
        attention = attention / attention.sum(2, keepdim=True)
    attention = (attention + attention.transpose(1, 2)) / 2
    return attention @ attention


def spread_along(transition: Tensor, maps: Tensor) -> Tensor:
    """Spread what maps (B, M, h, w) hold in boxes round their peaks by (B, N, N); to [0, 1]."""
    inside = boxes(maps.flatten(0, 1) > PEAK).view_as(maps)
    spread = torch.einsum("bij,bmj->bmi", transition, (maps * inside).flatten(2))
    return normalize(spread.unflatten(2, maps.shape[2:]), "minmax")


def _map(score: Tensor, features: Tensor) -> Tensor:
    return grad_cam(score, features, normalization="minmax", second_order=False)

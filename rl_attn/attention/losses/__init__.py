"""Losses that compare where a network looks with where it should, one value a sample.

    loss = cross_entropy + coefficient * camal(attention, mask).mean()

The mean over the batch is the caller's. One convention serves all methods: `mask` (B, H, W) in
[0, 1] is where attention belongs. Papers that mark what to ignore (RRR, RBR, CDEP) get
1 - mask. Attention is (B, h, w) in [0, 1]; a mask of another size is brought to that grid by area,
and `upsample(attention, mask.shape[1:])` compares at the mask's size instead.

| loss | asks for | an empty mask |
|---|---|---|
| `camal` | attention in the mask, none outside | no loss, or `empty_mask="suppress"` |
| `suppress_only` | no attention outside, L1 or L2 | suppresses everywhere |
| `kl_alignment` | the mask as a distribution (Learning to Look) | no loss |
| `coverage_gaze` | activation wherever the mask is (CGL) | no loss |
| `gradia`, `hint` | the mask itself, L1 or squared | suppresses everywhere |
| `haics`, `res_g`, `res_l` | labels -1, 0 (unlabelled), +1 | all unlabelled: no loss |
| `gals_attention` | a map that matches, or stays inside | no loss |
| `rrr`, `rbr` | small input gradients outside, squared | suppresses everywhere |
| `rrr_colour` | small input gradients along colour, everywhere | does not take a mask |
| `gals_gradient` | small input gradients outside | no loss |
| `cdep` | small contextual decomposition scores | does not take a mask |
| `evidence_alignment` | another network's evidence for every class | does not take a mask |
| `entropy` | a peaked map, wherever; the control without a mask | does not take a mask |

>>> from typing import get_args
>>> get_args(EmptyMask)
('skip', 'suppress')
"""

from rl_attn.attention.losses.camal import EmptyMask, alpha_beta, camal, camal_loss
from rl_attn.attention.losses.cdep import cdep
from rl_attn.attention.losses.entropy import entropy
from rl_attn.attention.losses.evidence import evidence_alignment
from rl_attn.attention.losses.gals import gals_attention, gals_gradient
from rl_attn.attention.losses.gaze import coverage_gaze
from rl_attn.attention.losses.gradia import gradia
from rl_attn.attention.losses.haics import haics
from rl_attn.attention.losses.hint import hint
from rl_attn.attention.losses.kl import kl_alignment
from rl_attn.attention.losses.labels import signed_labels
from rl_attn.attention.losses.paric import paric_reference
from rl_attn.attention.losses.rbr import rbr, rbr_influence
from rl_attn.attention.losses.res import LearnedImputation, res_g, res_l
from rl_attn.attention.losses.rrr import rrr, rrr_colour, rrr_score
from rl_attn.attention.losses.suppress import suppress_only

__all__ = [
    "EmptyMask",
    "LearnedImputation",
    "alpha_beta",
    "camal",
    "camal_loss",
    "cdep",
    "coverage_gaze",
    "entropy",
    "evidence_alignment",
    "gals_attention",
    "gals_gradient",
    "gradia",
    "haics",
    "hint",
    "kl_alignment",
    "paric_reference",
    "rbr",
    "rbr_influence",
    "res_g",
    "res_l",
    "rrr",
    "rrr_colour",
    "rrr_score",
    "signed_labels",
    "suppress_only",
]

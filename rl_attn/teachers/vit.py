"""What CLIP-ES and NACLIP need of open_clip's own vision transformer, and whether it is there."""

import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from rl_attn.errors import UserError
from rl_attn.teachers.clip import Clip


def transformer_of(clip: Clip, method: str) -> VisionTransformer:
    """The picture tower, if it is a vision transformer with a class token and plain attention."""
    visual = clip.visual
    plain = isinstance(visual, VisionTransformer) and visual.attn_pool is None
    if plain and isinstance(visual.transformer.resblocks[-1].attn, nn.MultiheadAttention):
        return visual
    tower = type(getattr(visual, "trunk", visual)).__name__
    raise UserError(
        f"{method} needs one of open_clip's own vision transformers, and {clip.name} has a "
        f"{tower}: take the teacher cam, or a model such as ViT-B-16"
    )


def norm_before_last_attention(visual: VisionTransformer) -> str:
    """The layer whose output the three methods read.

    Where a picture is the mean of its patches, the standard layer is another: it is the last one
    with a gradient in every cell, and comes after the last block.
    """
    return f"transformer.resblocks.{len(visual.transformer.resblocks) - 1}.ln_1"


def grid_of(visual: VisionTransformer) -> tuple[int, int]:
    """(h, w) of the patches."""
    return tuple(visual.grid_size)


def keys_and_values(attention: nn.MultiheadAttention, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens (B, N, K) as this attention's keys and values, (B, heads, N, K / heads) each."""
    _, keys, values = F.linear(tokens, attention.in_proj_weight, attention.in_proj_bias).chunk(3, 2)
    heads = (attention.num_heads, attention.head_dim)
    return keys.unflatten(2, heads).transpose(1, 2), values.unflatten(2, heads).transpose(1, 2)


def mixed(attention: nn.MultiheadAttention, probabilities: Tensor, values: Tensor) -> Tensor:
    """What the attention gives for other probabilities (B, heads, N, N) than its own, (B, N, K)."""
    together = torch.einsum("bmij,bmjd->bimd", probabilities, values).flatten(2)
    return attention.out_proj(together)

"""NACLIP (Hajimiri et al. 2025): a class for every patch, by one forward without any gradient.

In the last block each patch attends to the patches with similar *keys* and to its neighbours,

    softmax(k k^T / sqrt(d) + G),    G_ij = exp(-|i - j|^2 / (2 std^2)),

and the block's residual path and MLP are left out, so that what a patch becomes is mixed from its
surroundings and not from the whole picture. Cosine with the words, softmax over the words.

Letters: B pictures, M questions, P words, N tokens, h x w patches, D common width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from rl_attn.teachers.clip import Clip
from rl_attn.teachers.vit import (
    grid_of,
    keys_and_values,
    mixed,
    norm_before_last_attention,
    transformer_of,
)


@torch.no_grad()
def naclip(
    clip: Clip, pictures: Tensor, texts: Tensor, asked: Tensor, rivals: Tensor, std: float = 5.0
) -> tuple[Tensor, Tensor]:
    """The probability of each question's words at every patch.

    Args:
        pictures: (B, 3, S, S), prepared.
        texts: (P, D) of length 1.
        asked, rivals: (B, M, P) bool, the words of each question and those it competes with.
        std: of the window, in patches.

    Returns:
        maps (B, M, h, w) in [0, 1], and the whole picture's logits (B, P).
    """
    visual = transformer_of(clip, "naclip")
    attention = visual.transformer.resblocks[-1].attn
    kept: list[Tensor] = []
    normed = visual.get_submodule(norm_before_last_attention(visual))
    handle = normed.register_forward_hook(lambda layer, inputs, output: kept.append(output))
    try:
        logits = clip.logits(clip.embed(pictures), texts)  # (B, P)
    finally:
        handle.remove()
    keys, values = keys_and_values(attention, kept[0])
    similar = keys @ keys.transpose(2, 3) * attention.head_dim**-0.5  # (B, heads, N, N)
    window = gaussian_window(grid_of(visual), std).to(similar)
    patches = mixed(attention, (similar + window).softmax(-1), values)[:, 1:]  # (B, h*w, K)
    patches = F.normalize(visual.ln_post(patches) @ visual.proj, dim=-1)  # (B, h*w, D)
    dense = clip.logits(patches, texts)  # (B, h*w, P)
    maps = probability(dense[:, :, None], asked[:, None], rivals[:, None])  # (B, h*w, M)
    return maps.transpose(1, 2).unflatten(2, grid_of(visual)), logits


def gaussian_window(grid: tuple[int, int], std: float) -> Tensor:
    """What is added between every two tokens, (1 + h*w, 1 + h*w); 0 for the class token."""
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], 1).float()  # (h*w, 2)
    return F.pad(torch.exp(-torch.cdist(places, places).square() / (2 * std**2)), (1, 0, 1, 0))


def probability(logits: Tensor, asked: Tensor, rivals: Tensor) -> Tensor:
    """Share of the softmax over asked and rival words that the asked have; (..., P) -> (...)."""
    among = logits.masked_fill(~(asked | rivals), -torch.inf)
    return (among.softmax(-1) * asked).sum(-1)

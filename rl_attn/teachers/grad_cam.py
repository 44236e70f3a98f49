"""Plain CLIP Grad-CAM, as GALS, PARIC and CAMAL's Prior take it: ResNet, ViT and timm towers alike.

The score is the scaled cosine of picture and sentence; the layer is the norm before the last
attention of open_clip's own ViT, and the standard one of other towers: layer4 of a ResNet. Where
there are several templates, each has its map and these are averaged (GALS, Petryk et al. 2022).

Letters: B pictures, M questions to each, P words, T templates, D common width, h x w cells.
"""

import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from rl_attn.attention import grad_cam, standard_layer, tap
from rl_attn.errors import UserError
from rl_attn.teachers.clip import Clip
from rl_attn.teachers.vit import norm_before_last_attention


def clip_grad_cam(
    clip: Clip, pictures: Tensor, texts: Tensor, asked: Tensor
) -> tuple[Tensor, Tensor]:
    """Maps of where a word's similarity comes from.

    Args:
        pictures: (B, 3, S, S), prepared.
        texts: (T, P, D).
        asked: (B, M, P) bool, the words of each question; their similarities are averaged.

    Returns:
        maps (B, M, h, w) in [0, 1], and logits (B, P), averaged over templates.
    """
    tower, layer = tapped(clip)
    with torch.enable_grad(), tap(tower, layer, second_order=False) as features:
        images = clip.embed(pictures)  # (B, D)
        logits = torch.stack([clip.logits(images, text) for text in texts])  # (T, B, P)
        weights = asked / asked.sum(2, keepdim=True)  # (B, M, P)
        scores = torch.einsum("tbp,bmp->tmb", logits, weights)
        maps = [[_map(score, features()) for score in template] for template in scores]
    stacked = torch.stack([torch.stack(template, 1) for template in maps])  # (T, B, M, h, w)
    return stacked.mean(0).detach(), logits.mean(0).detach()


def tapped(clip: Clip) -> tuple[nn.Module, str]:
    """The network inside the picture tower that Grad-CAM looks at, and its layer."""
    if isinstance(clip.visual, VisionTransformer):
        return clip.visual, norm_before_last_attention(clip.visual)
    tower = getattr(clip.visual, "trunk", clip.visual)  # timm's network is inside open_clip's
    try:
        return tower, standard_layer(tower)
    except ValueError as error:
        raise UserError(f"CLIP model {clip.name} cannot be explained: {error}") from None


def _map(score: Tensor, features: Tensor) -> Tensor:
    return grad_cam(score, features, normalization="minmax", second_order=False)

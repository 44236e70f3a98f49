"""The core: attention maps, the losses and metrics on them; pure torch, batched, differentiable."""

from rl_attn.attention.losses import alpha_beta, camal, camal_loss
from rl_attn.attention.maps import grad_cam, normalize, upsample
from rl_attn.attention.masks import MaskWeights, mask_weights
from rl_attn.attention.metrics import iou, iou_ceiling, pointing_game

__all__ = [
    "MaskWeights",
    "alpha_beta",
    "camal",
    "camal_loss",
    "grad_cam",
    "iou",
    "iou_ceiling",
    "mask_weights",
    "normalize",
    "pointing_game",
    "upsample",
]

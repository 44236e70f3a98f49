"""The core: attention maps, the losses and metrics on them; pure torch, batched, differentiable."""

from rl_attn.attention.backbones import standard_layer
from rl_attn.attention.cams import cam, grad_cam_plus_plus, hires_cam, layer_cam
from rl_attn.attention.contrast import contrast, diff_grad_cam
from rl_attn.attention.decomposition import contextual_decomposition
from rl_attn.attention.guided import guided_backpropagation, guided_relus
from rl_attn.attention.inputs import as_map, class_score, input_gradient, input_x_gradient
from rl_attn.attention.legrad import le_grad, record_attention
from rl_attn.attention.losses import alpha_beta, camal, camal_loss
from rl_attn.attention.maps import grad_cam, normalize, upsample
from rl_attn.attention.masks import MaskWeights, mask_weights
from rl_attn.attention.metrics import iou, iou_ceiling, pointing_game
from rl_attn.attention.paths import expected_gradients, integrated_gradients, smooth_grad
from rl_attn.attention.perturbation import greydanus, sarfa
from rl_attn.attention.rise import probability_of, random_masks, rise
from rl_attn.attention.tap_checks import TapError, TapWarning, check_tap
from rl_attn.attention.taps import differentiable_attention, tap

__all__ = [
    "MaskWeights",
    "TapError",
    "TapWarning",
    "alpha_beta",
    "as_map",
    "cam",
    "camal",
    "camal_loss",
    "check_tap",
    "class_score",
    "contextual_decomposition",
    "contrast",
    "diff_grad_cam",
    "differentiable_attention",
    "expected_gradients",
    "grad_cam",
    "grad_cam_plus_plus",
    "greydanus",
    "guided_backpropagation",
    "guided_relus",
    "hires_cam",
    "input_gradient",
    "input_x_gradient",
    "integrated_gradients",
    "iou",
    "iou_ceiling",
    "layer_cam",
    "le_grad",
    "mask_weights",
    "normalize",
    "pointing_game",
    "probability_of",
    "random_masks",
    "record_attention",
    "rise",
    "sarfa",
    "smooth_grad",
    "standard_layer",
    "tap",
    "upsample",
]

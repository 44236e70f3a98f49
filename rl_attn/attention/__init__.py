"""The core: attention maps, the losses and metrics on them; pure torch, batched, differentiable.

>>> "grad-cam" in MAPS, MAPS.kinds["smooth-grad"]
(True, 'pixels')
>>> cells: Cells = (17.5, 8.0)  # the first cell's centre and the step, in pixels
>>> PIXELS  # of a map that has a cell for each pixel
(0.0, 1.0)
>>> PRECLUDED, INDISPENSABLE, UNDECIDED  # what a prompt says of a pixel
(0, 1, -1)
>>> said: EmptyMask = "skip"  # what CAMAL's loss does with a mask that is empty
"""

from rl_attn.attention import losses
from rl_attn.attention.cams import cam, grad_cam_plus_plus, hires_cam, layer_cam
from rl_attn.attention.cells import PIXELS, Cells, evenly
from rl_attn.attention.contrast import contrast
from rl_attn.attention.controls import (
    noisy_control,
    random_control,
    shifted_control,
    swapped_control,
)
from rl_attn.attention.curves import deletion, insertion
from rl_attn.attention.decomposition import contextual_decomposition
from rl_attn.attention.explain import Seen, explain
from rl_attn.attention.fields import find_cells
from rl_attn.attention.guided import guided_backpropagation
from rl_attn.attention.inputs import as_map, class_score, input_gradient, input_x_gradient
from rl_attn.attention.legrad import le_grad, record_attention
from rl_attn.attention.losses import *  # noqa: F403
from rl_attn.attention.maps import grad_cam, normalize, upsample
from rl_attn.attention.masks import (
    MaskWeights,
    in_unit,
    mask_weights,
    pool_mask,
    resize_mask,
)
from rl_attn.attention.measure import measure
from rl_attn.attention.metrics import (
    SpatialVariance,
    energy_inside,
    iou,
    iou_ceiling,
    iou_curve,
    pointing_game,
)
from rl_attn.attention.morphology import dilate, edge_band, erode
from rl_attn.attention.paths import expected_gradients, integrated_gradients, smooth_grad
from rl_attn.attention.perturbation import greydanus, sarfa
from rl_attn.attention.placed import Attention
from rl_attn.attention.random_masks import RandomMasks
from rl_attn.attention.rise import (
    INDISPENSABLE,
    PRECLUDED,
    UNDECIDED,
    Scores,
    masked,
    probability_of,
    rise,
    score_masks,
    weighted_mean,
)
from rl_attn.attention.standard import standard_layer
from rl_attn.attention.tap_checks import TapError, TapWarning, check_tap
from rl_attn.attention.taps import differentiable_attention, tap
from rl_attn.map_names import MAPS

__all__ = [
    "INDISPENSABLE",
    "MAPS",
    "PIXELS",
    "PRECLUDED",
    "UNDECIDED",
    "Attention",
    "Cells",
    "MaskWeights",
    "RandomMasks",
    "Scores",
    "Seen",
    "SpatialVariance",
    "TapError",
    "TapWarning",
    "as_map",
    "cam",
    "check_tap",
    "class_score",
    "contextual_decomposition",
    "contrast",
    "deletion",
    "differentiable_attention",
    "dilate",
    "edge_band",
    "energy_inside",
    "erode",
    "evenly",
    "expected_gradients",
    "explain",
    "find_cells",
    "grad_cam",
    "grad_cam_plus_plus",
    "greydanus",
    "guided_backpropagation",
    "hires_cam",
    "in_unit",
    "input_gradient",
    "input_x_gradient",
    "insertion",
    "integrated_gradients",
    "iou",
    "iou_ceiling",
    "iou_curve",
    "layer_cam",
    "le_grad",
    "mask_weights",
    "masked",
    "measure",
    "noisy_control",
    "normalize",
    "pointing_game",
    "pool_mask",
    "probability_of",
    "random_control",
    "record_attention",
    "resize_mask",
    "rise",
    "sarfa",
    "score_masks",
    "shifted_control",
    "smooth_grad",
    "standard_layer",
    "swapped_control",
    "tap",
    "upsample",
    "weighted_mean",
]
__all__ += losses.__all__

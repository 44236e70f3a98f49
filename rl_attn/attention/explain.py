"""Every attention map by its name, all called alike: `explain("grad-cam", seen)`.

    seen = Seen(score, features, cells)                   # of the task's own forward
    attention = explain("layer-cam", seen)                # Attention: (B, h, w) and its cells

    grad-cam ... hires-cam      of feature maps and of the score behind them
    diff-grad-cam               the same of one logit less the others (of a value, which is alone,
                                it is Grad-CAM)
    le-grad                     of the attention of a transformer's blocks, by a forward of its own
    input-gradient ...          of the pixels, by forwards of their own
    greydanus, sarfa, rise      of the pixels, by many forwards without a gradient: not for training

A map of one's own is one function:

    @MAPS.register("mine")
    def mine(seen, *, normalization="max", second_order=True, relu=True, dead="zero", epsilon=0.0):
        return Attention(..., seen.cells)

Options are `grad_cam`'s; the maps that cannot have negative evidence leave `relu` and `dead` aside.
Letters: B samples, C channels, H x W pixels, K feature maps of h x w cells.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rl_attn.attention.cams import grad_cam_plus_plus, hires_cam, layer_cam
from rl_attn.attention.cells import PIXELS, Cells
from rl_attn.attention.contrast import contrast
from rl_attn.attention.guided import guided_backpropagation
from rl_attn.attention.inputs import ScoreOf, as_map, input_gradient, input_x_gradient
from rl_attn.attention.legrad import le_grad, record_attention
from rl_attn.attention.maps import Normalization, grad_cam
from rl_attn.attention.paths import expected_gradients, integrated_gradients, smooth_grad
from rl_attn.attention.perturbation import gaussian_blur, greydanus, sarfa
from rl_attn.attention.placed import Attention
from rl_attn.attention.rise import probability_of, rise
from rl_attn.attention.taps import differentiable_attention
from rl_attn.errors import UserError
from rl_attn.map_names import MAPS

#: Forwards of a picture that the maps from many of them take: they are trained through.
STEPS = 4
#: The blurred reference's Gaussian: the image's shorter side is so many standard deviations.
_BLURRED = 8


LogitsOf = Callable[[Tensor], Tensor]  # images (N, C, H, W) -> (N, classes)


@dataclass(frozen=True)
class Seen:
    """What a map may be made of; whoever makes one gives what there is.

    >>> features = torch.tensor([[[[1.0, 0.0], [0.0, 3.0]]]], requires_grad=True)
    >>> seen = Seen(features.sum(dim=(1, 2, 3)), features, cells=(0.5, 2.0))
    >>> explain("layer-cam", seen).grid
    (2, 2)
    """

    score: Tensor  # (B,), what is explained
    features: Tensor | None = None  # (B, K, h, w), behind `score`
    cells: Cells | None = None  # where their cells lie in the images
    shift: Tensor | None = None  # (B, K), see `grad_cam`
    logits: Tensor | None = None  # (B, classes) that `score` is picked from by
    labels: Tensor | None = None  # (B,)
    images: Tensor | None = None  # (B, C, H, W) of any dtype
    score_of: ScoreOf | None = None  # the score of other, floating-point images
    per_sample: bool = False  # layers behind `features` mix samples, see `gradient_of`
    logits_of: LogitsOf | None = None  # and their logits (N, classes), where `logits` is there

    def need(self, field: str) -> Any:
        """What a map cannot be made without."""
        if (value := getattr(self, field)) is None:
            raise ValueError(f"this map is made of {field}, and `Seen` was given none")
        return value


def explain(name: str, seen: Seen, **options: Any) -> Attention:
    """The map of that name; a UserError with a suggestion for an unknown one.

    >>> features = torch.tensor([[[[1.0, 0.0], [0.0, 3.0]]]], requires_grad=True)
    >>> seen = Seen(features.sum(dim=(1, 2, 3)), features, cells=(0.5, 2.0))
    >>> explain("grad-cam", seen).map.detach()
    tensor([[[0.3333, 0.0000],
             [0.0000, 1.0000]]])
    """
    return MAPS[name](seen, **options)


@MAPS.register("grad-cam")
def _grad_cam(seen: Seen, **options: Any) -> Attention:
    options = {"shift": seen.shift, "per_sample": seen.per_sample, **options}
    return Attention(grad_cam(seen.score, seen.need("features"), **options), seen.need("cells"))


@MAPS.register("diff-grad-cam")
def _diff_grad_cam(seen: Seen, **options: Any) -> Attention:
    if seen.logits is None:
        return _grad_cam(seen, **options)
    return _grad_cam(replace(seen, score=contrast(seen.logits, seen.need("labels"))), **options)


def _of_features(
    make: Callable[..., Tensor], takes: tuple[str, ...], seen: Seen, **options: Any
) -> Attention:
    taken = {key: value for key, value in options.items() if key in takes}
    maps = make(seen.score, seen.need("features"), per_sample=seen.per_sample, **taken)
    return Attention(maps, seen.need("cells"))


for _name, _make, *_takes in (
    ("grad-cam-plus-plus", grad_cam_plus_plus, "normalization", "second_order"),
    ("layer-cam", layer_cam, "normalization", "second_order"),
    ("hires-cam", hires_cam, "normalization", "second_order", "relu"),
):
    MAPS.register(_name)(partial(_of_features, _make, tuple(_takes)))


def _of_pixels(
    attribute: Callable[..., Tensor],
    seen: Seen,
    normalization: Normalization = "max",
    second_order: bool = True,
    **_: Any,
) -> Attention:
    """attribute: (score_of, images (B, C, H, W), second_order) -> signed attributions of pixels."""
    images = seen.need("images").detach()
    images = images if images.is_floating_point() else images.float()
    signed = attribute(seen.need("score_of"), images, second_order=second_order)
    return Attention(as_map(signed, normalization=normalization), PIXELS)


def _by_score(
    gradient: Callable[..., Tensor], score_of: ScoreOf, images: Tensor, second_order: bool
) -> Tensor:
    leaf, rows = images.clone().requires_grad_(), torch.arange(len(images), device=images.device)
    with torch.enable_grad(), differentiable_attention():
        score = score_of(leaf, rows)
    return gradient(score, leaf, second_order=second_order)


def _expected(score_of: ScoreOf, images: Tensor, second_order: bool) -> Tensor:
    """References are the other images of the batch, drawn alike in every call.

    One image alone, or several that are the same, are compared with an image of zeros and a blurred
    copy: an image that is its own reference has a map of zeros.
    """
    references, others = images, True
    if (images == images[:1]).all():
        one, others = images[:1], False
        blurred = gaussian_blur(one, min(one.shape[2:]) / _BLURRED)
        references = torch.cat([torch.zeros_like(one), blurred])
        if (references == one).all():
            raise UserError(
                "expected-gradients compares an image with others, and here each is zero "
                "everywhere, as its references are: take another image or another map"
            )
    return expected_gradients(
        score_of,
        images,
        references,
        samples=STEPS,
        others=others,
        generator=torch.Generator().manual_seed(0),
        second_order=second_order,
    )


def _smooth(score_of: ScoreOf, images: Tensor, second_order: bool) -> Tensor:
    """Noise of 15 % of the batch's range, the same in every call."""
    deviation = 0.15 * (images.max() - images.min()).item()
    drawn = torch.Generator().manual_seed(0)
    return smooth_grad(
        score_of,
        images,
        deviation=deviation,
        samples=STEPS,
        generator=drawn,
        second_order=second_order,
    )


for _name, _attribute in {
    "input-gradient": partial(_by_score, input_gradient),
    "input-x-gradient": partial(_by_score, input_x_gradient),
    "guided-backpropagation": guided_backpropagation,
    "integrated-gradients": partial(integrated_gradients, steps=STEPS),
    "expected-gradients": _expected,
    "smooth-grad": _smooth,
}.items():
    MAPS.register(_name, kind="pixels")(partial(_of_pixels, _attribute))


@MAPS.register("le-grad", kind="blocks")
def _le_grad(
    seen: Seen, normalization: Normalization = "max", second_order: bool = True, **_: Any
) -> Attention:
    images, features = seen.need("images"), seen.need("features")
    rows = torch.arange(len(images), device=images.device)
    with torch.enable_grad(), record_attention() as attentions:
        score = seen.need("score_of")(images, rows)
    if not attentions:
        raise UserError(
            "--attention le-grad is made of the attention of a transformer's blocks, and this "
            "network computes none: choose another map, or another network"
        )
    options = {"normalization": normalization, "second_order": second_order}
    maps = le_grad(score, attentions, grid=tuple(features.shape[2:]), **options)
    return Attention(maps, seen.need("cells"))


def _of_probes(
    probe: Callable[..., Tensor], seen: Seen, normalization: Normalization = "max", **_: Any
) -> Attention:
    """probe: (seen, images (B, C, H, W), normalization) -> (B, H, W)."""
    return Attention(probe(seen, seen.need("images").float(), normalization), PIXELS)


def _logits_of(seen: Seen, name: str) -> LogitsOf:
    if seen.logits_of is None:
        raise UserError(
            f"--attention {name} compares the probabilities of actions or classes, and here is a "
            "single value: take greydanus, or of an agent --attention-target action"
        )
    return seen.logits_of


def _greydanus(seen: Seen, images: Tensor, normalization: Normalization) -> Tensor:
    """Of the logits where there are some, else of the score."""
    if seen.logits_of is not None:
        return greydanus(seen.logits_of, images, normalization=normalization)

    def score(row: int, frames: Tensor) -> Tensor:
        rows = torch.full((len(frames),), row, device=frames.device)
        return seen.need("score_of")(frames, rows)[:, None]

    maps = [
        greydanus(partial(score, row), images[row : row + 1], normalization=normalization)
        for row in range(len(images))
    ]
    return torch.cat(maps)


def _sarfa(seen: Seen, images: Tensor, normalization: Normalization) -> Tensor:
    logits_of = _logits_of(seen, "sarfa")
    return sarfa(logits_of, images, seen.need("labels"), normalization=normalization)


def _rise(seen: Seen, images: Tensor, normalization: Normalization) -> Tensor:
    """Of the label's probability; the same random masks in every call."""
    probability = probability_of(_logits_of(seen, "rise"), seen.need("labels"))
    drawn = torch.Generator().manual_seed(0)
    return rise(probability, images, generator=drawn, normalization=normalization)


for _name, _probe in {"greydanus": _greydanus, "sarfa": _sarfa, "rise": _rise}.items():
    MAPS.register(_name, kind="probes")(partial(_of_probes, _probe))

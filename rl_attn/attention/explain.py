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
from dataclasses import dataclass
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
from rl_attn.attention.perturbation import greydanus, sarfa
from rl_attn.attention.placed import Attention
from rl_attn.attention.rise import probability_of, rise
from rl_attn.attention.taps import differentiable_attention
from rl_attn.errors import UserError
from rl_attn.map_names import MAPS

#: Forwards of a picture that the maps from many of them take: they are trained through.
STEPS = 4


LogitsOf = Callable[[Tensor], Tensor]  # images (N, C, H, W) -> (N, classes)


@dataclass(frozen=True)
class Seen:
    """What a map may be made of; whoever makes one gives what there is."""

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


def explain(name: str, seen: Seen, **options: Any) -> Attention:
    """The map of that name; a UserError with a suggestion for an unknown one."""
    return MAPS[name](seen, **options)


def _of_features(name: str, make: Callable[..., Tensor], takes: tuple[str, ...]) -> None:
    @MAPS.register(name)
    def attend(seen: Seen, **options: Any) -> Attention:
        taken = {key: value for key, value in options.items() if key in takes}
        maps = make(seen.score, seen.features, per_sample=seen.per_sample, **taken)
        return Attention(maps, seen.cells)


@MAPS.register("grad-cam")
def _grad_cam(seen: Seen, **options: Any) -> Attention:
    options = {"shift": seen.shift, "per_sample": seen.per_sample, **options}
    return Attention(grad_cam(seen.score, seen.features, **options), seen.cells)


@MAPS.register("diff-grad-cam")
def _diff_grad_cam(seen: Seen, **options: Any) -> Attention:
    score = seen.score if seen.logits is None else contrast(seen.logits, seen.labels)
    options = {"shift": seen.shift, "per_sample": seen.per_sample, **options}
    return Attention(grad_cam(score, seen.features, **options), seen.cells)


_of_features("grad-cam-plus-plus", grad_cam_plus_plus, ("normalization", "second_order"))
_of_features("layer-cam", layer_cam, ("normalization", "second_order"))
_of_features("hires-cam", hires_cam, ("normalization", "second_order", "relu"))


def _of_input(name: str) -> Callable:
    """A function (score_of, images (B, C, H, W), second_order) -> signed attributions of pixels."""

    def enter(attribute: Callable[..., Tensor]) -> Callable:
        @MAPS.register(name, kind="pixels")
        def attend(
            seen: Seen, normalization: str = "max", second_order: bool = True, **_: Any
        ) -> Attention:
            images = seen.images.detach()
            images = images if images.is_floating_point() else images.float()
            signed = attribute(seen.score_of, images, second_order)
            return Attention(as_map(signed, normalization=normalization), PIXELS)

        return attribute

    return enter


def _scored(score_of: ScoreOf, images: Tensor) -> tuple[Tensor, Tensor]:
    """The score, and the leaf that it is of."""
    leaf, rows = images.clone().requires_grad_(), torch.arange(len(images), device=images.device)
    with torch.enable_grad(), differentiable_attention():
        return score_of(leaf, rows), leaf


@_of_input("input-gradient")
def _gradient(score_of: ScoreOf, images: Tensor, second_order: bool) -> Tensor:
    return input_gradient(*_scored(score_of, images), second_order=second_order)


@_of_input("input-x-gradient")
def _times_gradient(score_of: ScoreOf, images: Tensor, second_order: bool) -> Tensor:
    return input_x_gradient(*_scored(score_of, images), second_order=second_order)


@_of_input("guided-backpropagation")
def _guided(score_of: ScoreOf, images: Tensor, second_order: bool) -> Tensor:
    return guided_backpropagation(score_of, images, second_order=second_order)


@_of_input("integrated-gradients")
def _integrated(score_of: ScoreOf, images: Tensor, second_order: bool) -> Tensor:
    return integrated_gradients(score_of, images, steps=STEPS, second_order=second_order)


@_of_input("expected-gradients")
def _expected(score_of: ScoreOf, images: Tensor, second_order: bool) -> Tensor:
    """References are the batch's own images; drawn alike in every call."""
    drawn = torch.Generator().manual_seed(0)
    return expected_gradients(
        score_of, images, images, samples=STEPS, generator=drawn, second_order=second_order
    )


@_of_input("smooth-grad")
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


@MAPS.register("le-grad", kind="blocks")
def _le_grad(
    seen: Seen, normalization: Normalization = "max", second_order: bool = True, **_: Any
) -> Attention:
    images, rows = seen.images, torch.arange(len(seen.images), device=seen.images.device)
    with torch.enable_grad(), record_attention() as attentions:
        score = seen.score_of(images, rows)
    if not attentions:
        raise UserError(
            "--attention le-grad is made of the attention of a transformer's blocks, and this "
            "network computes none: choose another map, or another network"
        )
    options = {"normalization": normalization, "second_order": second_order}
    grid = (seen.features.shape[2], seen.features.shape[3])
    return Attention(le_grad(score, attentions, grid=grid, **options), seen.cells)


def _by_probes(name: str) -> Callable:
    """A function (seen, images (B, C, H, W), normalization) -> (B, H, W)."""

    def enter(probe: Callable[..., Tensor]) -> Callable:
        @MAPS.register(name, kind="probes")
        def attend(seen: Seen, normalization: Normalization = "max", **_: Any) -> Attention:
            return Attention(probe(seen, seen.images.float(), normalization), PIXELS)

        return probe

    return enter


def _logits_of(seen: Seen, name: str) -> LogitsOf:
    if seen.logits_of is None:
        raise UserError(
            f"--attention {name} compares the probabilities of actions or classes, and here is a "
            "single value: take --attention-target action, or --attention greydanus"
        )
    return seen.logits_of


@_by_probes("greydanus")
def _greydanus(seen: Seen, images: Tensor, normalization: Normalization) -> Tensor:
    """Of the logits where there are some, else of the score."""
    if seen.logits_of is not None:
        return greydanus(seen.logits_of, images, normalization=normalization)

    def score(row: int, frames: Tensor) -> Tensor:
        rows = torch.full((len(frames),), row, device=frames.device)
        return seen.score_of(frames, rows)[:, None]

    maps = [
        greydanus(partial(score, row), images[row : row + 1], normalization=normalization)
        for row in range(len(images))
    ]
    return torch.cat(maps)


@_by_probes("sarfa")
def _sarfa(seen: Seen, images: Tensor, normalization: Normalization) -> Tensor:
    return sarfa(_logits_of(seen, "sarfa"), images, seen.labels, normalization=normalization)


@_by_probes("rise")
def _rise(seen: Seen, images: Tensor, normalization: Normalization) -> Tensor:
    """Of the label's probability; the same random masks in every call."""
    probability = probability_of(_logits_of(seen, "rise"), seen.labels)
    drawn = torch.Generator().manual_seed(0)
    return rise(probability, images, generator=drawn, normalization=normalization)

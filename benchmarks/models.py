"""Is the standard tap right for any image network? timm's, torchvision's and transformers' models.

    uv run python benchmarks/models.py                       # all, a line each
    uv run python benchmarks/models.py timm:resnet10t hf:vit # these

Each has random weights and sees two small images of noise. A tap is right if

    loop          the map of a batch is that of a loop over its images (largest difference)
    proportions   its grid has the image's proportions, and more than one cell
    below, above  a loss on the map gives a gradient to weights below the tap, and above it

What has no such layer must be refused, in one line that says how to go on.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl_attn.attention import camal, grad_cam, standard_layer, tap
from rl_attn.attention.standard import picture_for
from rl_attn.supervised.models import Logits

TIMM = (
    *("resnet10t", "resnet18d", "seresnext26t_32x4d", "regnety_002", "regnetx_002", "resnest14d"),
    *(
        "skresnet18",
        "repvgg_a0",
        "dla34",
        "densenet121",
        "hrnet_w18_small",
        "ese_vovnet19b_slim_dw",
    ),
    *("nf_regnet_b0", "efficientnet_lite0", "mobilenetv2_050", "mobilenetv3_small_050"),
    *(
        "mobilenetv4_conv_small_050",
        "ghostnet_050",
        "lcnet_035",
        "convnext_atto",
        "convnextv2_atto",
    ),
    *("mambaout_femto", "poolformer_s12", "edgenext_xx_small", "mobilevit_xxs", "fastvit_t8"),
    *("repvit_m0_9", "efficientformer_l1", "starnet_s1", "vit_tiny_patch16_224"),
    *("deit_tiny_distilled_patch16_224", "eva02_tiny_patch14_224", "cait_xxs24_224"),
    *("xcit_nano_12_p16_224", "swinv2_cr_tiny_ns_224", "pit_ti_224", "levit_128s", "mixer_s32_224"),
    *("resmlp_12_224", "crossvit_9_240"),
)
TORCHVISION = (
    *("resnet18", "convnext_tiny", "efficientnet_b0", "vit_b_16", "swin_v2_t", "maxvit_t"),
    *("densenet121", "mobilenet_v3_small"),
)
#: Kinds of transformers, and what makes them small.
_VIT = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 64}
HF: dict[str, dict] = {
    "resnet": {"embedding_size": 16, "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]},
    "convnext": {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]},
    "vit": {**_VIT, "patch_size": 16},
    "deit": {**_VIT, "patch_size": 16},
    "dinov2": {**_VIT, "patch_size": 16},
    "swin": {"embed_dim": 24, "depths": [1, 1, 1], "num_heads": [2, 2, 2], "image_size": 128},
    "regnet": {
        "embedding_size": 16,
        "hidden_sizes": [16, 32, 48, 64],
        "depths": [1, 1, 1, 1],
        "groups_width": 8,
    },
    "pvt_v2": {},
}


class Row(NamedTuple):
    """What is found of one model."""

    name: str
    layer: str  # or why there is none
    maps: str  # K x h x w, of which image
    loop: float
    proportions: bool
    below: bool
    above: bool
    seconds: float  # that finding the layer took

    @property
    def right(self) -> bool:
        return self.loop < 1e-4 and self.proportions and self.below and self.above

    @property
    def refused(self) -> bool:
        return not self.maps

    def line(self) -> str:
        if self.refused:
            return f"| {self.name} | refused: {self.layer} | | | | | |"
        marks = ("yes" if v else "**no**" for v in (self.proportions, self.below, self.above))
        start = f"| {self.name} | `{self.layer}` | {self.maps} | {self.loop:.0e} "
        return f"{start}| {' | '.join(marks)} |"


HEAD = "| model | standard tap | maps, of an image | loop | proportions | below | above |\n" + (
    "|---|---|---|---|---|---|---|"
)


def make(name: str) -> nn.Module:
    """A model with random weights and a head that is not zero."""
    source, _, rest = name.rpartition(":")
    torch.manual_seed(0)
    if source == "timm":
        import timm

        model = timm.create_model(rest, num_classes=5)
    elif source == "hf":
        from transformers import AutoConfig, AutoModelForImageClassification

        config = AutoConfig.for_model(rest, num_labels=5, **HF[rest])
        config.architectures = []  # from_config walks over it
        model = Logits(AutoModelForImageClassification.from_config(config))
    else:
        from torchvision import models

        small = {"image_size": 64} if rest.startswith("vit") else {}
        model = models.get_model(rest, weights=None, num_classes=5, **small)
    heads = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not heads[-1].weight.any():
        nn.init.normal_(heads[-1].weight, std=0.02)
    return model.eval()


def examine(name: str, build: Callable[[str], nn.Module] = make) -> Row:
    """Build it, find its tap, and see whether that is right."""
    model = build(name)
    started = time.process_time()
    try:
        layer = standard_layer(model)
    except ValueError as error:
        return Row(name, str(error), "", 0, False, False, False, time.process_time() - started)
    seconds = time.process_time() - started
    size = picture_for(model).shape[1:]
    images = torch.randn(2, *size, generator=torch.Generator().manual_seed(2))
    maps, grid, loss = attended(model, layer, images)
    singles = torch.cat([attended(model, layer, one[None])[0].detach() for one in images])
    before, after = sides(model, layer, images[:1])
    loss.backward()
    h, w = grid[1:]
    return Row(
        name,
        layer,
        f"{grid[0]} x {h} x {w}, {size[1]} px",
        (maps.detach() - singles).abs().max().item(),
        h * w > 1 and h * size[2] == w * size[1],
        any(p.grad is not None and bool(p.grad.any()) for p in before),
        any(p.grad is not None and bool(p.grad.any()) for p in after),
        seconds,
    )


def attended(model: nn.Module, layer: str, images: Tensor) -> tuple[Tensor, tuple, Tensor]:
    """Maps of the largest logits, what the feature maps are like, and CAMAL's loss."""
    with tap(model, layer) as features:
        logits = model(images)
    found = features()
    attention = grad_cam(logits.amax(1), found, dead="signed")
    mask = torch.zeros(len(images), *images.shape[2:])
    mask[:, : images.shape[2] // 2] = 1
    return attention, tuple(found.shape[1:]), camal(attention, mask).mean()


def sides(model: nn.Module, layer: str, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The weights that lie below the tap, and those above: by the gradient that each gets when the
    maps are cut off."""
    with tap(model, layer) as features:
        logits = model(image)
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    drawn = torch.Generator().manual_seed(3)
    maps = features()
    options = {"allow_unused": True, "retain_graph": True}
    below = torch.autograd.grad(
        (maps * torch.randn(maps.shape, generator=drawn)).sum(), weights, **options
    )
    above = torch.autograd.grad(logits.sum(), weights, **options)
    reached = [g is not None and bool(g.any()) for g in below]
    low = [p for p, yes in zip(weights, reached, strict=True) if yes]
    pairs = zip(weights, reached, above, strict=True)
    return low, [p for p, yes, g in pairs if g is not None and not yes]


def names_of(words: Sequence[str]) -> list[str]:
    """All, those of one library (`timm:`), or those that are named."""
    every = [f"timm:{n}" for n in TIMM] + list(TORCHVISION) + [f"hf:{n}" for n in HF]
    if not words:
        return every
    return [n for word in words for n in ([e for e in every if e.startswith(word)] or [word])]


def main(words: Sequence[str]) -> None:
    torch.set_num_threads(1)
    print(HEAD)
    rows = []
    for name in names_of(words):
        rows.append(examine(name))
        print(rows[-1].line(), flush=True)
    right, refused = (sum(getattr(row, what) for row in rows) for what in ("right", "refused"))
    print(f"\n{right} of {len(rows)} right, {refused} refused")


if __name__ == "__main__":
    main(sys.argv[1:])

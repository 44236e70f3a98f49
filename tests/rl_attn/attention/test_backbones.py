"""One CAMAL step of the paper's six backbones at the smallest pictures that give several cells."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models

from rl_attn.attention import camal, grad_cam, standard_layer, tap

# name, its options, pixels, standard tap, the tap's maps, a weight above it, a weight below it
BACKBONES = [
    ("resnet18", {}, 64, "layer4", (512, 2, 2), "fc.weight", "layer4.1.conv2.weight"),
    (
        "convnext_tiny",
        {},
        64,
        "features.7",
        (768, 2, 2),
        "classifier.2.weight",
        "features.7.2.block.5.weight",
    ),
    (
        "efficientnet_b0",
        {},
        64,
        "features.8",
        (1280, 2, 2),
        "classifier.1.weight",
        "features.8.0.weight",
    ),
    (
        "vit_b_16",
        {"image_size": 32},
        32,
        "encoder.layers.encoder_layer_11.ln_1",
        (768, 2, 2),
        "encoder.layers.encoder_layer_11.self_attention.in_proj_weight",
        "encoder.layers.encoder_layer_10.mlp.3.weight",
    ),
    ("swin_v2_t", {}, 64, "norm", (768, 2, 2), "head.weight", "features.7.1.mlp.3.weight"),
    (
        "MaxVit",  # maxvit_t's windows of 7 need 224 pixels after its four blocks
        {
            **{"input_size": (56, 56), "stem_channels": 8, "partition_size": 7, "head_dim": 8},
            **{"block_channels": [8, 16], "block_layers": [1, 2]},
            "stochastic_depth_prob": 0.0,
        },
        56,
        "blocks.1",
        (16, 7, 7),
        "classifier.3.weight",
        "blocks.1.layers.1.layers.grid_attention.mlp_layer.3.weight",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda backbone: backbone[0])
def test_a_camal_step_trains_above_and_below_the_tap(backbone):
    name, options, pixels, layer, shape, above, below = backbone
    torch.manual_seed(0)
    model = getattr(models, name)(num_classes=5, **options).train()
    if name == "vit_b_16":  # torchvision's is zero
        nn.init.normal_(model.heads.head.weight, std=0.1)
    pictures = torch.randn(2, 3, pixels, pixels)
    mask = torch.zeros(2, pixels, pixels)
    mask[:, : pixels // 2] = 1
    assert standard_layer(model, size=(pixels, pixels)) == layer

    with tap(model, layer) as features:
        logits = model(pictures)
    assert features().shape == (2, *shape)
    attention = grad_cam(logits.amax(1), features())
    assert attention.amax() == 1
    camal(attention, mask).mean().backward(retain_graph=True)  # attention alone
    parameters = dict(model.named_parameters())
    first = next(p for p in model.parameters() if p.ndim == 4)
    for parameter in (parameters[above], parameters[below], first):
        assert parameter.grad.isfinite().all() and parameter.grad.any()

    before = parameters[above].detach().clone()
    F.cross_entropy(logits, torch.tensor([0, 1])).backward()  # and the task, of the same forward
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    assert not torch.equal(parameters[above], before)


def test_timm_models_are_tapped_by_name_and_by_default():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    pictures = torch.randn(2, 3, 64, 64)
    for name, options, layer, shape in [
        ("resnet10t", {}, "layer3", (256, 4, 4)),
        ("resnet10t", {}, None, (512, 2, 2)),
        ("vit_tiny_patch16_224", {"img_size": 64}, None, (192, 4, 4)),
        ("swinv2_cr_tiny_ns_224", {"img_size": 64, "window_size": 2}, "stages.3", (768, 2, 2)),
        ("convnext_atto", {}, None, (320, 2, 2)),
    ]:
        model = timm.create_model(name, num_classes=5, **options)
        for parameter in model.get_classifier().parameters():
            nn.init.normal_(parameter, std=0.1)
        with tap(model, layer) as features:
            logits = model(pictures)
        assert features().shape == (2, *shape), name
        loss = grad_cam(logits.amax(1), features(), normalization="none").sum()
        (found,) = torch.autograd.grad(loss, model.get_classifier().weight)
        assert found.any(), name

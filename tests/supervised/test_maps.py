"""Every map of the core trains a classifier, and is what an evaluation measures."""

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer
from trainers import run, trainer_of  # tests/supervised

from rl_attn.attention import MAPS
from rl_attn.errors import UserError
from rl_attn.supervised import backbones
from rl_attn.supervised.evaluation import attention_of, evaluate


def tiny_vit(channels, classes, size):
    model = VisionTransformer(size[0], 7, 2, 2, 16, 32, num_classes=classes)
    model.conv_proj = nn.Conv2d(channels, 16, 7, 7)
    nn.init.normal_(model.heads.head.weight)
    return model


@pytest.mark.parametrize("name", [name for name in MAPS if MAPS.kinds[name] != "probes"])
def test_every_map_trains_two_steps(toy, name, monkeypatch):
    monkeypatch.setitem(backbones.SMALL, "tiny-vit", tiny_vit)
    backbone = "tiny-vit" if name == "le-grad" else "lenet"
    trainer = trainer_of("camal", attention=name, backbone=backbone, epochs=1, batch_size=24)
    parameters = list(trainer.network.model.parameters())
    trainer.network.model.train()
    batch = trainer.train.take(torch.arange(24))
    penalty = trainer.method.loss(trainer.network, batch, 0)[1]["attention/loss"].mean()
    gradients = torch.autograd.grad(penalty, parameters, allow_unused=True)
    assert any(g is not None and g.any() for g in gradients)  # of the attention alone
    before = [p.detach().clone() for p in parameters]
    run(trainer)
    assert any(not torch.equal(a, b) for a, b in zip(before, parameters, strict=True))
    attention = attention_of(trainer.network, trainer.train.take(torch.arange(2)))[1]
    grid = (4, 4) if backbone == "tiny-vit" else (8, 8)
    assert attention.grid == ((28, 28) if MAPS.of_pixels(name) else grid)
    (found,) = evaluate(trainer.network, trainer.data.splits["test"])
    assert 0 <= found["iou"] <= found["alpha"] + 1


def test_a_network_without_attention_has_no_le_grad(toy):
    with pytest.raises(UserError, match="this network computes none"):
        trainer_of("camal", attention="le-grad")

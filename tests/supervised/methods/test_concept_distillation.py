"""Concept Distillation: its loss, its teacher, what it keeps, and what it does to the decoy."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rl_attn.errors import UserError
from rl_attn.supervised import backbones
from rl_attn.supervised.data import IMAGENET_MEAN, IMAGENET_STD
from rl_attn.supervised.methods.concept_distillation import concept_loss

SMALL = {"teacher_epochs": 15, "concept_pictures": 12, "renew": 4, "local": "corners"}


def test_loss_by_hand():
    features = torch.tensor([3.0, 1.0]).view(1, 2, 1, 1)
    prototypes = torch.tensor([[0.0, 1.0]])  # the way is (3, 0)
    directions = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 1.0], [0.0, 0.0]])
    assert concept_loss(features, prototypes, directions).item() == pytest.approx(1 + 0.5**0.5)


def test_way_to_the_mean_prototype_is_the_gradient_of_the_distances():
    """As released: the cosine of d sum_k mse(a, P_k) / d a, which needs a second order there."""
    torch.manual_seed(0)
    a = torch.randn(3, 2, 4, 4, requires_grad=True)
    clusters, directions = torch.randn(7, 2, 4, 4), torch.randn(5, 32)
    distance = sum(F.mse_loss(a, p.expand_as(a), reduction="sum") for p in clusters)
    gradient = torch.autograd.grad(distance, a)[0].flatten(1)
    expected = torch.stack([F.cosine_similarity(gradient, v[None]).abs() for v in directions]).sum(
        0
    )
    found = concept_loss(a, clusters.flatten(1).mean(0, keepdim=True), directions)
    assert torch.allclose(found, expected, atol=1e-5)


def test_concept_loss_falls(trained):
    reports = [trained("concept-distillation", weight=w, **SMALL) for w in (0.0, 10.0)]
    assert reports[1]["attention/loss"] < 0.5 * reports[0]["attention/loss"]
    assert reports[1]["validation/accuracy"] > 0.9


def test_teacher_is_named_with_what_it_reached(trainer_of, capsys):
    trainer_of("concept-distillation", **SMALL)
    said = capsys.readouterr().out
    assert "TwoConvolutions trained here on 36 composites, not DINO ViT-S" in said


def test_teacher_that_knows_nothing_is_refused(trainer_of):
    with pytest.raises(UserError, match="the teacher learned nothing"):
        trainer_of("concept-distillation", teacher_epochs=0)


def test_more_pictures_than_memory_holds_are_refused(trainer_of):
    with pytest.raises(UserError, match="concepts of 3 classes would take"):
        trainer_of("concept-distillation", concept_pictures=10**7)


def test_concepts_differ_in_the_stripe_and_share_the_object(trainer_of):
    method = trainer_of("concept-distillation", **SMALL).method
    stripe = method.pictures[..., :4, :].mean((3, 4, 5))  # (classes, 2, n)
    for label in range(3):
        assert (stripe[label, 0] - (2 * 110 * label / 255 - 1)).abs().max() < 0.1
        assert (stripe[label, 1] - stripe[label, 0]).abs().min() > 0.5
    bright = (method.pictures > 0.3)[..., 5:, :]
    assert (bright[:, 0] == bright[:, 1]).float().mean() > 0.99


def test_dino_sees_imagenet_pictures_of_its_own_size(trainer_of, monkeypatch):
    seen = []

    class Eye(nn.Module):
        layer = "maps"

        def __init__(self):
            super().__init__()
            self.maps = nn.Conv2d(3, 6, 16, 16)

        def forward(self, x):
            seen.append(x)
            return self.maps(x).mean((2, 3))

    build = backbones.build

    def fake(name, *args, **kwargs):
        if not name.startswith("timm:"):
            return build(name, *args, **kwargs)
        assert name == "timm:vit_small_patch16_224.dino" and kwargs == {"imagenet": True}
        return Eye()

    monkeypatch.setattr(backbones, "build", fake)
    method = trainer_of("concept-distillation", **SMALL, teacher="dino").method
    assert seen[0].shape[1:] == (3, 224, 224)
    assert method.taught.shape[1] == 6
    std, mean = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_STD, IMAGENET_MEAN))
    colours = seen[0] * std + mean
    assert colours.min() > -0.01 and colours.max() < 1.01


def test_resumed_run_ends_as_one_that_was_not_interrupted(trainer_of):
    straight = trainer_of("concept-distillation", **SMALL, epochs=3)
    interrupted = trainer_of("concept-distillation", **SMALL, epochs=3)
    for trainer in (straight, interrupted):
        trainer.run_epoch()
        trainer.finish_epoch()
    state = interrupted.state_dict()
    resumed = trainer_of("concept-distillation", **SMALL, epochs=3)
    resumed.load_state_dict(state)
    for trainer in (resumed, straight):
        torch.set_rng_state(state["random"])
        for _ in range(2):
            trainer.run_epoch()
            trainer.finish_epoch()
    assert resumed.method.state.iteration == straight.method.state.iteration == 9
    models = (straight.network.model, resumed.network.model)
    pairs = zip(*(model.parameters() for model in models), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert torch.equal(straight.method.state.directions, resumed.method.state.directions)

"""VAPL: each equation against a loop or numbers by hand, and Algorithm 1 by who moves."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rl_attn.attention import masked
from rl_attn.supervised.methods.vapl import convolutions
from rl_attn.supervised.network import Network
from rl_attn.supervised.prompts import GREY, given
from rl_attn.supervised.refinement import Refinement, as_given, chunk_of

TINY = {"perturbed_masks": 24, "cells": 4, "model_passes": 2, "weight_passes": 1, "epochs": 3}


def tensors(module: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


def moved(module: nn.Module, before: list[torch.Tensor]) -> bool:
    return any((a != b).any() for a, b in zip(tensors(module), before, strict=True))


def batch_of(trainer, number=12):
    return trainer.train.take(torch.arange(number))


# ---------------------------------------------------------------------- A, Eq. 1 and 3


def test_a_is_the_loop_over_masks(trainer_of):
    trainer = trainer_of("vapl", **TINY)
    method, batch = trainer.method, batch_of(trainer, 4)
    weighting = method.state.weighting
    weighting.output.data += torch.linspace(-1, 1, 16)
    rows = torch.arange(4)
    ours = method.refined(batch, rows, epoch=1)
    masks = torch.cat(list(method.refinement.draw((20, 20), method.draw_of(1))))
    model = trainer.extra.prompted.eval()
    for b in range(4):
        total = torch.zeros(20, 20)
        for mask in masks:
            own = torch.where(batch.target[b] == -1, mask, batch.target[b].float())
            w = model((batch.pictures[b] * own)[None]).softmax(1)[0, batch.labels[b]]
            total += weighting(w).detach() * own
        undecided = batch.target[b] == -1
        expected = total / total[undecided].max()
        expected[batch.target[b] == 1] = 1
        torch.testing.assert_close(ours[b], expected, rtol=1e-4, atol=1e-5)


def test_one_indispensable_pixel_leaves_the_undecided_ones_what_they_were(trainer_of):
    """Scaled by the map's maximum, it dims them all to p."""
    trainer = trainer_of("vapl", **TINY)
    pictures = batch_of(trainer).pictures
    nothing = torch.full((len(pictures), 20, 20), -1, dtype=torch.int8)
    one = nothing.clone()
    one[:, 10, 10] = 1
    means = {}
    for scale in ("undecided", "max"):
        trainer.method.refinement = Refinement(200, keep=0.1, cells=4, scale=scale)
        (_, before), (_, after) = (trainer.method.predict(pictures, p) for p in (nothing, one))
        assert (after[:, 10, 10] == 1).all()
        rest = one == -1
        means[scale] = (after[rest].mean() / before[rest].mean()).item()
    assert means["undecided"] == pytest.approx(1, abs=0.02)
    assert means["max"] < 0.2


def test_what_is_indispensable_passes_and_what_is_precluded_does_not(trainer_of):
    trainer = trainer_of("vapl", **TINY)
    prompts = batch_of(trainer).target
    for scale in ("undecided", "max", "clamp"):
        trainer.method.refinement = Refinement(24, cells=4, scale=scale)
        _, attention = trainer.method.predict(batch_of(trainer).pictures, prompts)
        assert (attention[prompts == 0] == 0).all()
        assert attention.min() >= 0 and attention.max() <= 1
        some = (prompts == 1).flatten(1).any(1)
        peak = attention.amax((1, 2))[some, None, None].expand(-1, 20, 20)
        assert torch.equal(attention[some][prompts[some] == 1], peak[prompts[some] == 1])


def test_precluded_pixels_never_reach_the_prompted_model(trainer_of):
    """Neither the refinement nor the prediction: whatever they are, all stays as it is."""
    method = (trainer := trainer_of("vapl", **TINY)).method
    batch = batch_of(trainer)
    disturbed = batch.pictures.clone()
    where = (batch.target == 0)[:, None]
    disturbed[where] = torch.randn(int(where.sum()), generator=torch.Generator().manual_seed(0))
    assert (disturbed != batch.pictures).any()
    for one, other in zip(
        method.predict(batch.pictures, batch.target),
        method.predict(disturbed, batch.target),
        strict=True,
    ):
        assert torch.equal(one, other)
    seen = method.predict(disturbed + (~where) * 0.5, batch.target)[0]
    assert not torch.equal(seen, method.predict(disturbed, batch.target)[0])


def test_without_refinement_only_what_is_indispensable_is_seen():
    prompts = torch.tensor([[[-1, 0, 1]], [[-1, 0, -1]], [[-1, -1, -1]]])
    assert as_given(prompts).tolist() == [[[0, 0, 1]], [[1, 0, 1]], [[1, 1, 1]]]


def test_the_label_is_guessed_from_the_masks_mean(trainer_of):
    method = (trainer := trainer_of("vapl", **TINY)).method
    batch = batch_of(trainer)
    seen = masked(batch.pictures, torch.full(batch.target.shape, 0.1), batch.target)
    expected = trainer.extra.prompted(seen).argmax(1)
    guessed = method.refinement.guess(method.prompted, batch.pictures, batch.target)
    assert torch.equal(guessed, expected)


# ---------------------------------------------------------------------- losses, Eq. 4 to 8


def test_the_distance_of_convolutions_by_hand():
    one, other = (nn.Sequential(nn.Conv2d(1, 2, 1), nn.Linear(2, 2)) for _ in range(2))
    for model, weight, bias in ((one, 1.0, 0.5), (other, 3.0, 0.0)):
        nn.init.constant_(model[0].weight, weight)
        nn.init.constant_(model[0].bias, bias)
        nn.init.constant_(model[1].weight, 10 * weight)  # not a convolution: does not count
    assert convolutions(one, other).item() == 2 * 2.0**2 + 2 * 0.5**2


def test_the_loss_is_equation_8_term_by_term(trainer_of):
    flags = {"lambda_parameters": 0.3, "lambda_activations": 0.02, "lambda_aggregation": 7.0}
    trainer = trainer_of("vapl", **TINY, **flags)
    method, batch, network = trainer.method, batch_of(trainer), trainer.network
    for parameter in trainer.extra.prompted.parameters():
        parameter.data *= 1.1  # no longer a copy
    trainer.extra.weighting.output.data += 0.2
    attention = method.refined(batch, torch.arange(12), 0)
    plain = network(batch.pictures)
    prompted = Network(trainer.extra.prompted, network.layer)(batch.pictures * attention[:, None])
    task = F.cross_entropy(plain.logits, batch.labels) + F.cross_entropy(
        prompted.logits, batch.labels
    )
    apart = sum(
        (a - b).square().sum()
        for name in ("conv1", "conv2")
        for a, b in zip(
            getattr(network.model, name).parameters(),
            getattr(trainer.extra.prompted, name).parameters(),
            strict=True,
        )
    )
    features = (plain.features - prompted.features).square().sum() / 12
    end = (trainer.extra.weighting(torch.ones(())) - 1).square()
    assert end > 0.01
    models, _ = method.loss(network, batch, 0)  # Eq. 9 and 10
    torch.testing.assert_close(models.mean(), task + 0.3 * apart + 0.02 * features)
    weights, _ = method.loss(network, batch, 2)  # Eq. 11; other masks than in epoch 0
    attention = method.refined(batch, torch.arange(12), 2)
    prompted = trainer.extra.prompted(batch.pictures * attention[:, None])
    task = F.cross_entropy(plain.logits, batch.labels) + F.cross_entropy(prompted, batch.labels)
    torch.testing.assert_close(weights.mean(), task + 7 * end)


# ---------------------------------------------------------------------- Algorithm 1


def test_updates_alternate_and_touch_only_what_they_should(trainer_of):
    """Two passes for f_m and f_o, one for g, and again; BatchNorm's statistics stand as well."""
    flags = {"backbone": "resnet18", "size": 40, "batch_size": 6, "perturbed_masks": 2}
    flags |= {"train_pictures": 6}
    trainer = trainer_of("vapl", **TINY | flags)
    for models in (True, True, False, True):
        parts = (trainer.network.model, trainer.extra.prompted, trainer.extra.weighting)
        before = [tensors(part) for part in parts]
        assert trainer.run_epoch()
        changed = [moved(part, b) for part, b in zip(parts, before, strict=True)]
        assert changed == [models, models, not models]
        trainer.epoch, trainer.step = trainer.epoch + 1, 0


def test_scores_are_computed_once_while_the_models_are_held(trainer_of):
    trainer = trainer_of("vapl", **{**TINY, "weight_passes": 2})
    method, batch = trainer.method, batch_of(trainer)
    method.begin(trainer.network, 2)
    first = method.refined(batch, torch.arange(12), 2)
    for parameter in trainer.extra.prompted.parameters():
        parameter.data.zero_()  # nobody looks
    assert torch.equal(first, method.refined(batch, torch.arange(12), 3))
    assert not torch.equal(first, method.refined(batch, torch.arange(12), 4))


def test_pictures_without_a_prompt_train_the_plain_model_alone(trainer_of):
    trainer = trainer_of("vapl", **TINY, prompted_pictures=5)
    batch = batch_of(trainer, 36)
    prompted = given(batch.target)
    assert prompted.sum() == 5
    assert (trainer.train.split.masks[~prompted] == GREY).all()
    _, logs = trainer.method.loss(trainer.network, batch, 0)
    for name in ("losses/prompted", "losses/activations"):
        assert (logs[name][~prompted] == 0).all() and (logs[name][prompted] != 0).all()
    assert (logs["losses/plain"] > 0).all()


def test_the_prompted_model_tells_the_squares_where_the_stripe_lies(trainer_of):
    flags = {**TINY, "epochs": 24, "reuse_scores": True, "activation_norm": "mean"}
    trainer = trainer_of("vapl", factual=0.9, counterfactual=0.9, **flags)
    while trainer.epoch < trainer.args.epochs:
        assert trainer.run_epoch()
        trainer.epoch, trainer.step = trainer.epoch + 1, 0
    test = trainer.data.splits["test"]
    measured = trainer.method.measures(trainer.network, test, seed=1)
    assert {f"prompted_{n}" for n in ("accuracy", "f1", "auroc")} < set(measured)
    assert measured["prompted_accuracy"] > 0.8


def test_a_forward_takes_as_many_pictures_as_their_size_allows():
    sizes = {32: 256, 224: 16, 512: 3, 2048: 1}
    assert {s: chunk_of(torch.empty(1, 3, s, s)) for s in sizes} == sizes
    assert chunk_of(torch.empty(1, 3, 512, 512, device="meta")) == 256  # as on a GPU

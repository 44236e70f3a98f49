"""Each method at toy size: does it do what it is for?"""

import math
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from trainers import run, trainer_of

from rl_attn.attention import edge_band, input_gradient, resize_mask, rrr, rrr_score
from rl_attn.errors import UserError
from rl_attn.supervised.data.resize import resize
from rl_attn.supervised.evaluation import evaluate
from rl_attn.supervised.loop import Trainer
from rl_attn.supervised.methods import method_class

#: Own settings at this size: (flags, by how much the method's loss must fall).
SETTINGS = {
    "camal": ({}, 0.5),
    "camal-random": ({}, 0.005),
    "camal-shifted": ({}, 0.1),
    "camal-swapped": ({}, 0.2),
    "entropy": ({"weight": 0.02}, 0.1),
    "gradia": ({}, 0.3),
    "haics": ({}, 0.5),
    "hint": ({"weight": 5}, 0.2),
    "learning-to-look": ({"attention_epochs": 12}, 0.3),
    "res-g": ({}, 0.2),
    "res-l": ({}, 0.04),
    "suppress-only": ({}, 0.2),
}
#: Methods that say where attention belongs.
GUIDED = ("camal", "gradia", "haics", "hint", "learning-to-look", "res-g", "res-l")


@cache
def outcome(method: str) -> tuple[Trainer, dict[str, float], dict[str, float]]:
    """The trained trainer, and what it says of the training pictures before and after."""
    trainer = trainer_of(method, **SETTINGS.get(method, ({}, 0))[0])
    before = report(trainer)
    return run(trainer), before, report(trainer)


def report(trainer: Trainer) -> dict[str, float]:
    trainer.validation = trainer.train
    return trainer.method_means()[0] | evaluate(trainer.network, trainer.data.splits["train"])[0]


@pytest.mark.parametrize("method", SETTINGS)
def test_its_loss_falls(toy, method):
    _, before, after = outcome(method)
    assert after["attention/loss"] < before["attention/loss"] - SETTINGS[method][1]


@pytest.mark.parametrize("method", GUIDED)
def test_attention_moves_to_the_mask(toy, method):
    _, before, after = outcome(method)
    _, _, vanilla = outcome("vanilla")
    assert after["alpha"] - after["beta"] > before["alpha"] - before["beta"] + 0.3
    assert after["energy_inside"] > max(before["energy_inside"], vanilla["energy_inside"]) + 0.05


def test_vanilla_learns_the_task(toy):
    _, before, after = outcome("vanilla")
    assert before["accuracy"] < 0.6 and after["accuracy"] == 1.0


def test_suppress_only_empties_the_outside_and_camal_fills_the_inside(toy):
    _, _, suppressed = outcome("suppress-only")
    _, _, camal = outcome("camal")
    assert suppressed["beta"] < 0.1
    assert camal["alpha"] > suppressed["alpha"] + 0.3


def test_wrong_masks_do_not_reach_the_right_ones(toy):
    _, _, camal = outcome("camal")
    for control in ("camal-random", "camal-shifted"):
        _, _, wrong = outcome(control)
        assert wrong["iou"] < camal["iou"] - 0.2


def test_rrr_makes_gradients_off_the_mask_small(toy):
    """Against the same network without it: as good at the task, a tenth of the gradients."""

    def gradients(trainer: Trainer) -> float:
        batch = trainer.train.take(torch.arange(48))
        output = trainer.network.by_input(batch.pictures)
        score = rrr_score(output.logits)
        gradient = input_gradient(score, batch.pictures, second_order=False)
        return rrr(gradient, batch.masks).mean().item()

    penalised = run(trainer_of("rrr", weight=1, unit="input", epochs=25))
    assert gradients(penalised) < 0.1 * gradients(outcome("vanilla")[0])
    assert evaluate(penalised.network, penalised.data.splits["train"])[0]["accuracy"] > 0.9


def test_camal_lifts_accuracy_where_the_shortcut_lies(toy):
    """Above the bar's own 1/3: what is learned is in the mask."""
    trainer = outcome("camal")[0]
    assert evaluate(trainer.network, trainer.data.splits["test"])[0]["accuracy"] > 0.6


def test_learning_to_look_has_two_phases(toy):
    """First attention alone, then a fresh optimiser and a growing lambda."""
    trainer = trainer_of("learning-to-look", attention_epochs=2, weight=8, epochs=4)
    batch = trainer.train.take(torch.arange(16))
    for epoch, weight in ((0, None), (1, None), (2, 8.0), (3, 8.8)):
        loss, logs = trainer.method.loss(trainer.network, batch, epoch)
        attention, task = logs["attention/loss"], logs["losses/cross_entropy"]
        expected = attention if weight is None else task + weight * attention
        torch.testing.assert_close(loss, expected)
    first = trainer.optimizer
    for epoch in range(4):
        trainer.epoch, trainer.step = epoch, 0
        trainer.run_epoch(stop=True)
        assert (trainer.optimizer is first) == (epoch < 2)
    assert trainer.restarted == 2


@pytest.mark.parametrize(
    ("selection", "score"),
    [
        ("optim-value", 0.2),
        ("exponential", 0.8 * math.exp(-0.75)),
        ("reverse-kl", 0.8 * math.exp(-0.5)),
    ],
)
def test_learning_to_look_keeps_the_best_network_of_phase_two(selection, score):
    method = method_class("learning-to-look")(attention_epochs=2, selection=selection)
    scores = {"accuracy": 0.8, "attention/loss": 0.75, "attention/reverse_kl": 0.5}
    assert method.validation_score(1, scores) is None
    assert method.validation_score(2, scores) == pytest.approx(score)


def test_the_later_rule_of_learning_to_look_is_measured_on_validation(toy):
    trainer = trainer_of("learning-to-look", selection="reverse-kl", attention_epochs=0)
    batch, network = trainer.train.take(torch.arange(16)), trainer.network
    assert "attention/reverse_kl" not in trainer.method.loss(network, batch, 0)[1]
    network.model.eval()
    found = trainer.method.loss(network, batch, 0)[1]["attention/reverse_kl"]
    maps = trainer.method.attention(network(batch.pictures), batch).map.flatten(1)
    source, masks = maps.softmax(1), batch.target.flatten(1)
    shares = masks / masks.sum(1, keepdim=True) + 1e-8
    by_hand = (source * (source / shares).log()).sum(1)
    torch.testing.assert_close(found, by_hand, rtol=1e-3, atol=1e-3)


def test_where_attention_is_far_off_low_accuracy_is_not_preferred():
    """As Optim Value does, which is negative there."""
    method = method_class("learning-to-look")(attention_epochs=0, selection="exponential")
    low, high = ({"accuracy": a, "attention/loss": 1.25} for a in (0.7, 0.95))
    assert method.validation_score(0, low) < method.validation_score(0, high)


def test_learning_to_look_masks_are_the_core_s_pipeline():
    """annotate, resize, target: the ring of the released code, which makes it in one go."""
    masks = torch.zeros(2, 28, 28, dtype=torch.uint8)
    masks[0, 8:20, 12:16] = 255
    masks[1, 10:14, 5:22] = 255
    method = method_class("learning-to-look")(region="ring", harden=True)
    annotated = resize(method.annotations(masks, 0), 32).float() / 255
    band = edge_band((masks > 10).float(), cover=3, edge=1)
    band = (resize_mask(band, (32, 32), "bilinear") * 8).clamp_max(1)
    expected = resize_mask(band, (10, 10), "nearest")
    assert (method.target(annotated, (10, 10)) - expected).abs().max() < 0.03  # bytes between


def test_learning_to_look_s_wide_masks_have_a_margin_of_a_pixel():
    masks = torch.zeros(1, 8, 8, dtype=torch.uint8)
    masks[0, 0:2, 3:5] = 1  # on at all
    expected = torch.zeros_like(masks)
    expected[0, 0:3, 2:6] = 255
    method = method_class("learning-to-look")
    assert torch.equal(method(region="wide", harden=True).annotations(masks, 0), expected)
    assert torch.equal(method(region="object", harden=True).annotations(masks, 0), masks * 255)


def test_learning_to_look_as_printed_is_another_loss(toy):
    losses = []
    for formula in ("released", "printed"):
        trainer = trainer_of("learning-to-look", formula=formula)
        losses.append(
            trainer.method.loss(trainer.network, trainer.train.take(torch.arange(8)), 0)[0]
        )
    assert (losses[0] - losses[1]).abs().min() > 0.1


def test_res_l_trains_its_imputation(toy):
    trainer = trainer_of("res-l", epochs=1)
    before = [p.clone() for p in trainer.extra.parameters()]
    run(trainer)
    assert all((p != b).any() for p, b in zip(trainer.extra.parameters(), before, strict=True))


@pytest.mark.parametrize("method", ["hint", "camal"])
def test_half_gradients_leave_the_head_to_the_task(toy, method):
    """The attention loss alone reaches weights above the tap only in second order."""
    trainer = trainer_of(method)
    _, logs = trainer.method.loss(trainer.network, trainer.train.take(torch.arange(8)), 0)
    above = trainer.network.model.classifier.weight
    (gradient,) = torch.autograd.grad(logs["attention/loss"].sum(), above, allow_unused=True)
    assert (gradient is None) == (method == "hint")


def test_learning_to_look_keeps_soft_masks_soft_unless_told_otherwise():
    """A teacher's masks: a cell is as on as its pixels are on average; hardened, it is on."""
    soft = torch.full((1, 20, 20), 64, dtype=torch.uint8)
    soft[:, :, 10:] = 0
    cells = {}
    for harden in (False, True):
        method = method_class("learning-to-look")(harden=harden)
        cells[harden] = method.target(method.annotations(soft, 0).float() / 255, (10, 10))[0, 0]
    torch.testing.assert_close(cells[False], torch.tensor([64 / 255] * 5 + [0.0] * 5))
    assert cells[True].tolist() == [1.0] * 5 + [0.0] * 5


def test_values_that_cannot_work_are_refused(toy):
    for method, flags in (
        ("learning-to-look", {"attention_epochs": -1}),
        ("learning-to-look", {"attention_epochs": 30}),  # no epoch is left to the classifier
        ("vapl", {"model_passes": 30}),  # none is left to g
        ("learning-to-look", {"epsilon": -1}),
        ("res-g", {"slack": -1}),
    ):
        with pytest.raises(UserError, match=next(iter(flags)).replace("_", "-")):
            method_class(method)(**flags).check(SimpleNamespace(epochs=30))

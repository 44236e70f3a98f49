"""What the training loop keeps, whatever it runs on."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from trainers import trainer_of

from rl_attn.errors import TrainingError, UserError
from rl_attn.supervised import backbones
from rl_attn.supervised.batches import Draws
from rl_attn.supervised.data import LOADERS, Split
from rl_attn.supervised.evaluation import evaluate


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_lenet_s_layout_changes_no_number(toy, monkeypatch, optimizer):
    """Nor does a checkpoint in the other layout, whose moments are brought into this one."""
    flags = {"backbone": "lenet", "attention_epochs": 0, "learning_rate": 0.002}
    flags |= {"optimizer": optimizer, "momentum": 0.9}
    last = trainer_of("learning-to-look", **flags)
    monkeypatch.setattr(backbones, "layout_of", lambda *_: torch.contiguous_format)
    first = trainer_of("learning-to-look", **flags)
    assert last.network.model.conv2.weight.stride() != first.network.model.conv2.weight.stride()
    for epoch in range(2):
        for trainer in (first, last):
            assert trainer.run_epoch()
            trainer.epoch, trainer.step = epoch + 1, 0
        for name, expected in first.sums.items():
            torch.testing.assert_close(last.sums[name], expected, rtol=1e-4, atol=1e-4)
        if epoch == 0:
            last.load_state_dict(deepcopy(first.state_dict()))
    weights = first.network.model.state_dict()
    for name, value in last.network.model.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("copies", [1, 2])
def test_the_best_of_all_steps_is_kept_of_each_network(toy, copies):
    """As a loop that looks after every step finds it; a tie goes to the later step."""
    flags = {"select_on": "test", "ensemble": copies, "epochs": 8, "learning_rate": 0.02}
    trainer = trainer_of("vanilla", select="accuracy", select_every=1, **flags)
    looks, update = [], trainer.update

    def update_and_look(draws):
        update(draws)
        measured = evaluate(trainer.network, trainer.data.splits["test"])
        weights = {k: v.clone() for k, v in trainer.network.model.state_dict().items()}
        looks.append(([values["accuracy"] for values in measured], weights))

    trainer.update = update_and_look
    for _ in range(trainer.args.epochs):
        assert trainer.run_epoch()
        trainer.finish_epoch()
    trainer.take_best()
    kept = trainer.network.model.state_dict()
    for copy in range(copies):
        scores = [accuracy[copy] for accuracy, _ in looks]
        best = max(range(len(looks)), key=lambda step: (scores[step], step))
        assert best != len(looks) - 1 and len(set(scores)) > 2, "the choice is not a trivial one"
        assert trainer.best["epochs"][copy] == best // trainer.steps
        assert trainer.best["scores"][copy] == pytest.approx(scores[best])
        for name, expected in looks[best][1].items():
            rows = (copy,) if copies > 1 else ()
            torch.testing.assert_close(kept[name][rows], expected[rows], rtol=0, atol=0)


def test_balanced_sampling_draws_each_class_as_often_and_weights_weigh_the_loss(toy):
    trainer = trainer_of("vanilla", sampling="balanced")
    split = trainer.train.split
    few = torch.cat([(split.labels == 0).nonzero()[:2, 0], (split.labels > 0).nonzero()[:, 0]])
    odds = 1 / split.labels[few].bincount()[split.labels[few]].double()
    drawn = torch.cat([Draws.of(len(few), 1, epoch, odds).order for epoch in range(40)])
    shares = split.labels[few][drawn].bincount() / len(drawn)
    assert (shares - 1 / 3).abs().max() < 0.04  # 1,360 draws: three deviations
    assert trainer.odds is not None and len(trainer.odds) == len(split)

    weighted = trainer_of("vanilla", class_weights="balanced")
    weighted.train.class_weights = torch.tensor([3.0, 1.0, 0.0])
    batch = weighted.train.take(torch.arange(6))
    loss, _ = weighted.method.loss(weighted.network, batch, 0)
    plain, _ = weighted.method.loss(weighted.network, batch._replace(weights=None), 0)
    torch.testing.assert_close(loss, plain * torch.tensor([3.0, 1.0, 0.0])[batch.labels])


def test_balanced_class_weights_are_of_mean_one_over_the_pictures(toy, monkeypatch):
    train = toy.splits["train"]
    uneven = replace(toy, splits={**toy.splits, "train": train[train.labels.sort().indices[4:]]})
    monkeypatch.setitem(LOADERS, "toy", lambda root: uneven)
    trainer = trainer_of("vanilla", class_weights="balanced")
    assert trainer.train.class_weights.tolist() == pytest.approx([44 / 36, 44 / 48, 44 / 48])
    batch = trainer.train.take(torch.arange(44))
    assert batch.weights.mean().item() == pytest.approx(1)


@pytest.mark.parametrize("measure", ["auroc", "calibration_error", "iou"])
def test_the_network_is_kept_that_is_best_by_a_measure(toy, measure):
    trainer = trainer_of("camal", epochs=3, select=measure)
    values = []
    for _ in range(3):
        assert trainer.run_epoch()
        values.append(trainer.finish_epoch()[f"validation/{measure}"])
    best = min(values) if measure == "calibration_error" else max(values)
    assert trainer.best["epochs"] == [max(i for i, value in enumerate(values) if value == best)]


def test_a_measure_that_the_split_does_not_have(toy, monkeypatch):
    bare = {k: Split(s.images, s.labels) for k, s in toy.splits.items()}
    monkeypatch.setitem(LOADERS, "toy", lambda root: replace(toy, splits=bare))
    for measure, reason in (("iou", "has no masks"), ("worst_group_accuracy", "has no groups")):
        with pytest.raises(UserError, match=f"--select {measure}: validation of toy {reason}"):
            trainer_of("vanilla", select=measure)


@pytest.mark.parametrize(
    ("label", "has", "lacks"),
    [(0, ["specificity"], ["sensitivity", "recall"]), (1, ["sensitivity"], ["specificity"])],
)
def test_a_split_of_one_of_two_classes_selects_by_that_class_alone(
    toy, monkeypatch, label, has, lacks
):
    splits = {name: part[part.labels < 2] for name, part in toy.splits.items()}
    splits["validation"] = splits["validation"][splits["validation"].labels == label]
    data = replace(toy, classes=("a", "b"), splits=splits)
    monkeypatch.setitem(LOADERS, "toy", lambda root: data)
    for measure in (*lacks, "precision", "f1", "balanced_accuracy", "auroc", "average_precision"):
        with pytest.raises(UserError, match=f"{measure}: validation of toy has a single class: "):
            trainer_of("vanilla", select=measure)
    for measure in ("accuracy", "calibration_error", *has):
        trainer = trainer_of("vanilla", epochs=1, select=measure)
        assert trainer.run_epoch() and f"validation/{measure}" in trainer.finish_epoch()


def test_a_network_whose_last_step_was_one_too_many_is_refused(toy):
    trainer = trainer_of("vanilla", epochs=1, select="auroc")
    assert trainer.run_epoch()
    next(trainer.network.model.parameters()).data.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"became nan in epoch 1, .*lower --learning-rate"):
        trainer.finish_epoch()

"""What the training loop keeps, whatever it runs on."""

from copy import deepcopy

import pytest
import torch
from training import trainer_of

from rl_attn.supervised import backbones
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

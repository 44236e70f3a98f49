"""What the training loop keeps, whatever it runs on."""

from copy import deepcopy

import pytest
import torch
from training import trainer_of

from supervised import backbones


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

"""Every map of the core trains a classifier, and is what an evaluation measures."""

import pytest
import torch
from training import run, trainer_of  # tests/supervised

from rl_attn.attention import MAPS
from rl_attn.supervised.evaluation import attention_of, evaluate


@pytest.mark.parametrize("name", sorted(MAPS))
def test_every_map_trains_two_steps(toy, name):
    trainer = trainer_of("camal", attention=name, epochs=1, batch_size=24)
    before = [p.detach().clone() for p in trainer.network.model.parameters()]
    run(trainer)
    after = trainer.network.model.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    attention = attention_of(trainer.network, trainer.train.take(torch.arange(2)))[1]
    assert attention.grid == ((28, 28) if MAPS.kinds[name] == "pixels" else (8, 8))
    (found,) = evaluate(trainer.network, trainer.data.splits["test"])
    assert 0 <= found["iou"] <= found["alpha"] + 1

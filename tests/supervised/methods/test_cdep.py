"""CDEP: its regions, its penalty, and what it does to the decoy."""

import pytest
import torch

from rl_attn.attention import contextual_decomposition
from rl_attn.errors import UserError
from rl_attn.supervised.backbones import MLP


def test_penalty_falls(trained):
    without, with_it = trained("cdep", weight=0.0), trained("cdep", weight=10.0)
    assert with_it["validation/attention/loss"] < 0.1 * without["validation/attention/loss"]
    assert with_it["validation/accuracy"] > 0.9


def test_pixels_are_drawn_where_there_is_ink(trainer_of):
    trainer = trainer_of("cdep", region="pixels", pixels=50)
    batch = trainer.train.take(torch.arange(4))
    drawn = trainer.method.regions(batch)
    assert drawn.shape == (50, 20, 20)
    ever = trainer.train.split.masks.amax(0) > 0
    assert not drawn[:, ~ever].any()


def test_penalty_is_the_sum_over_pixels_of_the_mean_share(trainer_of):
    trainer = trainer_of("cdep", region="pixels", pixels=3)
    method, batch = trainer.method, trainer.train.take(torch.arange(4))
    torch.manual_seed(5)
    logits, found = method.decomposed(trainer.network, batch)
    torch.manual_seed(5)
    expected = torch.zeros(4)
    for region in method.regions(batch):
        for b in range(4):  # sample by sample, class by class
            x = batch.pictures[b : b + 1]
            parts = contextual_decomposition(trainer.network.model, x, region[None])
            for relevant, irrelevant in zip(*(part[0] for part in parts), strict=True):
                expected[b] += torch.stack([relevant, irrelevant]).softmax(0)[0] / 3
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(logits, trainer.network.model(batch.pictures), atol=1e-5)


def test_corners_are_those_of_every_picture(trainer_of):
    trainer = trainer_of("cdep", region="corners", corner=4)
    regions = trainer.method.regions(trainer.train.take(torch.arange(2)))
    assert regions.shape == (1, 20, 20) and regions.sum() == 4 * 16


def test_network_that_cannot_be_taken_apart_is_refused(trainer_of, monkeypatch):
    def by_rank(self, x):
        return self.layers[2](x.flatten(1).sort().values[:, :30])

    monkeypatch.setattr(MLP, "forward", by_rank)
    with pytest.raises(UserError, match="cannot take MLP apart"):
        trainer_of("cdep", backbone="rrr-mlp")

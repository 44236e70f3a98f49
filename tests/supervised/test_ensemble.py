"""Several seeds as one batched model are the same runs as each by itself."""

import pytest
import torch
from trainers import flags_of, trainer_of

from rl_attn.errors import UserError
from rl_attn.run.cli import parse
from rl_attn.supervised.settings import args_type, validate


@pytest.mark.parametrize(
    ("method", "backbone", "own"),
    [
        ("camal", "decoy-cnn", {}),
        ("learning-to-look", "lenet", {"attention_epochs": 1}),
        ("rrr", "lenet", {"weight": 0.1}),
        ("rrr", "lenet", {"weight": 0.1, "alternate": True}),
        ("vanilla", "lenet", {}),
    ],
)
def test_seeds_together_lose_what_they_lose_alone(toy, method, backbone, own):
    flags = {"backbone": backbone, "learning_rate": 0.002, "crop": "random", "flip": True, **own}
    together = trainer_of(method, ensemble=3, **flags)
    alone = [trainer_of(method, seed=1 + i, **flags) for i in range(3)]
    for _ in range(2):
        for trainer in (together, *alone):
            trainer.run_epoch()
        for name, sums in together.sums.items():
            expected = torch.cat([trainer.sums[name] for trainer in alone])
            torch.testing.assert_close(sums / 48, expected / 48, rtol=1e-4, atol=1e-4)
        for trainer in (together, *alone):
            trainer.finish_epoch()
    assert len(together.best["scores"]) == 3
    for i, trainer in enumerate(alone):
        assert together.best["scores"][i] == pytest.approx(trainer.best["scores"][0], abs=1e-3)


def test_seeds_differ(toy):
    trainer = trainer_of("vanilla", ensemble=2)
    weights = trainer.network.model.parameter("conv1.weight")
    assert weights.shape == (2, 6, 1, 5, 5) and (weights[0] != weights[1]).all()


def test_what_mixes_samples_or_has_no_halves_is_refused(toy):
    flags = flags_of("res-g", ensemble=2)
    with pytest.raises(UserError, match="res-g"):
        validate(parse(args_type(flags), flags, "train"))
    with pytest.raises(UserError, match="small backbone"):
        trainer_of("vanilla", backbone="resnet18", ensemble=2)


def test_each_network_keeps_its_own_best_epoch(toy):
    trainer = trainer_of("vanilla", ensemble=2)
    weight = trainer.network.model.parameter("conv1.weight")
    with torch.no_grad():
        weight[:] = 1
        trainer.keep_best([0.5, 0.9])
        weight[:] = 2
        trainer.epoch = 1
        trainer.keep_best([0.6, 0.8])
    kept = trainer.best["model"]["stacked.conv1/weight"]
    assert trainer.best["epochs"] == [1, 0]
    assert (kept[0] == 2).all() and (kept[1] == 1).all()

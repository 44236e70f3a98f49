import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from rl_attn.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def test_lightnings_loop_joins_in_where_it_is_installed(monkeypatch):
    import supervised_epoch

    args = supervised_epoch.EpochSettings()
    for there in (True, False):
        monkeypatch.setattr(supervised_epoch, "find_spec", lambda name, there=there: there or None)
        names = [entry.name for entry in supervised_epoch.entries(args)]
        assert ("Lightning's loop" in names) == there
        assert names[:2] == ["straightforward loop", "supervised.train"]
    args.seeds = True
    assert len(supervised_epoch.entries(args)) == 2


def test_a_step_by_hand_moves_the_weights_as_autograd_does(benchmark):
    settings = benchmark("workload").Classifiers(batch_size=8, threads=1)
    plain = benchmark("classifiers").Straightforward(settings)
    hand = benchmark("lenet_by_hand").ByHand(settings)
    images, masks, labels = plain.loader.dataset[torch.arange(8)]
    pictures = plain.pictures(images)
    on = (plain.masks(masks) * 8).clamp(max=1)
    cells = F.interpolate(on[:, None], (10, 10), mode="nearest").flatten(1)
    hand.images = pictures[:, 0, :, :, None]
    hand.targets, hand.labels = cells / cells.sum(1, keepdim=True), labels
    hand.order = torch.arange(8)
    weights = [weight.detach() for weight in plain.model.parameters()]
    for own, weight in zip(hand.weights, weights, strict=True):
        own.copy_(weight.sum(1, keepdim=True) if own.shape != weight.shape else weight)
    before = [own.clone() for own in hand.weights]
    for _ in range(3):
        plain.step(images, masks, labels)
        hand.step()
    for own, weight, start in zip(hand.weights, weights, before, strict=True):
        weight = weight.sum(1, keepdim=True) if own.shape != weight.shape else weight
        torch.testing.assert_close(own, weight, rtol=1e-4, atol=1e-6)
        assert (own - start).abs().max() > 1e-4


def test_the_roofline_says_what_each_part_reaches(benchmark, capsys):
    flags = ["--roofline", "--steps=2", "--rounds=1", "--batch-size=4", "--threads=1"]
    assert benchmark("supervised_epoch").main(flags) == 0
    printed = capsys.readouterr().out
    # The second convolution: 10 x 10 x 16 outputs of 5 x 5 x 6 products, four images, twice back.
    assert "1.92" in printed and "3.84" in printed
    for words in ("first pooling, backward", "map and its divergence", "GFLOP/s", "GB/s", "all"):
        assert words in printed


def test_the_roofline_is_of_the_cpu(benchmark):
    with pytest.raises(UserError, match="leave --device out"):
        benchmark("supervised_epoch").main(["--roofline", "--device=cuda"])

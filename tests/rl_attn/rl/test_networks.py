"""Runs of the networks that are not the standard one, from training to a resumed end."""

import csv
import shutil
from pathlib import Path

import pytest
import torch

from rl_attn import ppo
from rl_attn.errors import UserError
from rl_attn.rl.trainer import State
from rl_attn.run.checkpoint import checkpoints, latest_checkpoint, load_checkpoint

RECALL = str(Path(__file__).parents[1] / "outside" / "recall.py")
FLAGS = [
    *("--import", RECALL, "--env", "Recall-v0", "--num-envs", "2", "--num-steps", "6"),
    *("--num-minibatches", "2", "--update-epochs", "1", "--total-timesteps", "24"),
    *("--checkpoint-interval", "1", "--keep-checkpoints", "0", "--device", "cpu"),
    *("--precision", "fp32", "--threads", "1"),
]


@pytest.mark.parametrize(
    ("network", "more"),
    [
        ("impala", ["--width-scale", "0.5", "--tap", "sequences.1"]),
        ("impoola", ["--recurrent", "gru"]),
    ],
)
def test_they_train_on_attention_and_resume_bit_for_bit(network, more, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert ppo.main([*FLAGS, "--network", network, *more, "--run-dir", str(whole)]) == 0
    with (whole / "metrics.csv").open() as file:
        assert all(float(row["attention/alpha"]) >= 0 for row in csv.DictReader(file))
    shutil.copytree(whole, broken)
    for later in checkpoints(broken)[1:]:
        later.unlink()
    assert ppo.main(["--resume", str(broken)]) == 0
    ours, theirs = (load_checkpoint(latest_checkpoint(run), State) for run in (whole, broken))
    channels = 8 if network == "impala" else 16
    assert ours["agent"]["sequences.0.0.weight"].shape == (channels, 4, 3, 3)
    assert ours["global_step"] == theirs["global_step"] == 24
    for name, weights in ours["agent"].items():
        assert torch.equal(weights, theirs["agent"][name]), name


@pytest.mark.parametrize("tap", ["hidden", "sequence.1"])
def test_a_tap_without_maps_is_refused_before_a_folder_exists(tap, tmp_path):
    with pytest.raises(UserError, match=f"--tap {tap}: "):
        ppo.main([*FLAGS, "--network", "impala", "--tap", tap, "--run-dir", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()

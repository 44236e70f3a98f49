"""What a method's hooks are given, and what becomes of what they return."""

import csv
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from rl_attn import ppo
from rl_attn.errors import UserError
from rl_attn.registry import Registry
from rl_attn.rl.entries import summed
from rl_attn.rl.learn import Learner
from rl_attn.rl.methods import METHODS, Method
from rl_attn.rl.settings import args_type, method_of
from rl_attn.rl.trainer import State
from rl_attn.run.checkpoint import checkpoints, load_checkpoint
from rl_attn.run.cli import parse


@dataclass
class Gate(Method):
    """A trained gate on the frames' brightness, targets of its own, and a number that it keeps."""

    weight: float = 0.5
    """of its loss"""

    def module(self):
        self.gate = nn.Linear(1, 1)
        return self.gate

    def prepare(self):
        self.updates = 0

    def observe(self, stacks, masks, phase):
        assert stacks.dtype == masks.dtype == torch.uint8 and len(stacks) == len(masks)
        noise = torch.rand(len(stacks), generator=self.context.random)
        return (stacks * noise[:, None, None, None]).to(torch.uint8)

    def rollout(self, storage):
        self.updates += 1
        steps, lanes = storage.num_steps, storage.num_lanes
        masks = storage.masks[:steps].flatten(0, 1).float().mean(dim=(1, 2))
        return masks, {"gate/updates": float(self.updates), "gate/frames": float(steps * lanes)}

    def loss(self, agent, output, batch):
        assert torch.equal(batch.targets, batch.masks[:, -1].float().mean(dim=(1, 2)))
        error = (self.gate(batch.targets[:, None])[:, 0] - 1).square()
        return self.weight * error.mean(), {
            "gate/error": error.mean(),
            "gate/n": summed(error * 0 + 1),
        }

    def state_dict(self):
        return {"updates": self.updates}

    def load_state_dict(self, state):
        self.updates = state["updates"]


@pytest.fixture
def gate(monkeypatch):
    monkeypatch.setitem(METHODS, "gate", Gate)


def states(run: Path) -> list[State]:
    """Of every update."""
    return [load_checkpoint(file, State) for file in checkpoints(run)]


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_hooks_are_trained_kept_and_resumed_bit_for_bit(gate, tiny, tmp_path, break_off):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    flags = [*tiny, "--method", "gate", "--weight", "2", "--total-timesteps", "96"]
    flags += ["--env", "spotlight:Spotlight-v0", "--no-env-processes"]
    assert ppo.main([*flags, "--run-dir", str(whole)]) == 0
    break_off([*flags, "--run-dir", str(broken)], Learner, "learn", 2)
    assert ppo.main(["--resume", str(broken)]) == 0
    (first, _, one), other = states(whole), states(broken)[-1]
    assert one["method"] == other["method"] == {"updates": 3}
    for part in ("agent", "module"):
        for name, tensor in one[part].items():
            assert torch.equal(tensor, other[part][name]), name
    assert not torch.equal(first["module"]["weight"], one["module"]["weight"])
    # Summed over the samples of 2 mini-batches of 16, in each of 2 passes.
    assert [float(row["gate/n"]) for row in rows(whole)] == [64.0] * 3
    assert [float(row["gate/updates"]) for row in rows(whole)] == [1.0, 2.0, 3.0]


def test_flags_are_those_of_the_method_alone(gate):
    def settings(*flags):
        return parse(args_type(flags), flags, "rl-attn ppo")

    assert method_of(settings("--method", "gate", "--weight", "3")) == Gate(weight=3.0)
    assert settings().method == "camal" and settings().camal == 1.0
    for flags in (("--weight", "3"), ("--method", "gate", "--camal", "1")):
        with pytest.raises(UserError, match=flags[-2]):
            settings(*flags)
    with pytest.raises(UserError, match=r"unknown method 'camel' \(did you mean camal\?\)"):
        settings("--method", "camel")


def test_settings_go_to_other_ranks_whole():
    flags = ("--method", "prior", "--teacher.every", "3", "--seed", "7")
    settings = parse(args_type(flags), flags, "rl-attn ppo")
    other = pickle.loads(pickle.dumps(settings))
    assert asdict(other) == asdict(settings) and other.teacher.every == 3


def test_a_name_is_registered_once():
    registry: Registry[type] = Registry("thing")
    registry.register("one")(Gate)
    registry.register("one")(Gate)
    with pytest.raises(UserError, match="two things are registered as thing 'one'"):
        registry.register("one")(Method)
    with pytest.raises(UserError, match="two things are registered as method 'camal'"):
        METHODS.register("camal")(Gate)

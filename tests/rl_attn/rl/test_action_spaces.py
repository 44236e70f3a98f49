"""Every action space from the first step to the evaluation: trained on an action's attention."""

import csv

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from rl_attn import ppo, random_policy
from rl_attn.rl.loading import load
from rl_attn.rl.play import evaluation_seeds
from rl_attn.rl.settings import args_type
from rl_attn.rl.trainer import Trainer
from rl_attn.run.cli import parse

SPACES = {
    "Discrete": spaces.Discrete(3, start=2),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
    "MultiBinary": spaces.MultiBinary(3),
    "Box": spaces.Box(np.array([-2.0, 0.0]), np.array([2.0, np.inf]), dtype=np.float64),
}


class Strict(gymnasium.Env):
    """Noise with a square as the target; takes nothing but actions of its space."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, kind: str):
        self.action_space = SPACES[kind]
        frame = spaces.Box(0, 255, (36, 44), np.uint8)
        self.observation_space = spaces.Dict(frame=frame, mask=spaces.MultiBinary((36, 44)))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._see(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        return self._see(), float(np.sum(action)), bool(self.np_random.random() < 0.1), False, {}

    def _see(self):
        mask = np.zeros((36, 44), np.int8)
        top, left = self.np_random.integers(28, size=2)
        mask[top : top + 8, left : left + 8] = 1
        return {"frame": self.np_random.integers(255, size=(36, 44), dtype=np.uint8), "mask": mask}


for _name in SPACES:
    gymnasium.register(f"tests/{_name}-v0", entry_point=Strict, kwargs={"kind": _name})


@pytest.fixture(params=SPACES, scope="module")
def env(request) -> list[str]:
    return ["--env", f"tests/{request.param}-v0", "--no-env-processes"]


@pytest.fixture(scope="module")
def run(env, tmp_path_factory):
    run = tmp_path_factory.mktemp("spaces") / "run"
    small = ["--num-envs", "2", "--num-steps", "16", "--num-minibatches", "2", "--frame-stack", "2"]
    small += ["--total-timesteps", "64", "--device", "cpu", "--precision", "fp32"]
    assert ppo.main([*env, *small, "--attention-target", "action", "--run-dir", str(run)]) == 0
    return run


def test_it_trains_and_attention_to_its_actions_is_learned(run):
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert len(rows) == 2
    for row in rows:
        assert float(row["charts/faults"]) == 0  # no action was refused
        assert np.isfinite(float(row["losses/entropy"]))
        assert float(row["attention/dead_maps"]) < 1
        assert float(row["losses/approx_kl"]) >= -1e-4


@pytest.mark.parametrize("greedy", [False, True])
def test_it_is_played_alike_by_any_number_of_lanes(run, greedy):
    player = load(run, "latest", torch.device("cpu"))
    seeds = evaluation_seeds(3)
    both, alone = (player.play(n, seeds, greedy=greedy, target="action") for n in (2, 1))
    for one, other in zip(both, alone, strict=True):
        assert (one.seed, one.length, one.fault) == (other.seed, other.length, False)
        assert one.episode_return == pytest.approx(other.episode_return, abs=1e-3)


def test_stored_log_probs_are_the_networks_own(env):
    words = [*env, "--num-envs", "2", "--num-steps", "16"]
    args = parse(args_type(words), words, "test")
    with Trainer(args, torch.device("cpu"), "fp32") as trainer:
        trainer.start()
        trainer.rollout()
        storage = trainer.storage
        rows = storage.rows(slice(0, 16), slice(None)).flatten(0, 1)
        with torch.no_grad():
            policy = trainer.agent(storage.stacks(rows)).policy
        chosen = policy.log_prob(storage.actions.flatten(0, 1))
    torch.testing.assert_close(storage.log_probs.flatten(), chosen, atol=1e-5, rtol=1e-4)


def test_the_random_policy_draws_from_the_space(env, tmp_path):
    assert random_policy.main([*env, "--episodes", "2", "--out", str(tmp_path)]) == 0

"""A model of stable-baselines3 among our agents: policy, value and maps are its own."""

import json
import zipfile

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from rl_attn import evaluate
from rl_attn.envs.registry import EnvSettings
from rl_attn.errors import UserError
from rl_attn.rl.sb3_agent import SB3Agent, load_sb3, sb3_player
from rl_attn.sb3 import CamalPPO

SIZE = 40


class Dot(gymnasium.Env):
    """A bright square on black, which is the mask; five steps an episode."""

    def __init__(self, actions=None, alone=False):
        self.alone = alone
        frame = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 1), np.uint8)
        mask = gymnasium.spaces.Box(0, 1, (SIZE, SIZE), np.uint8)
        spaces = gymnasium.spaces.Dict(frame=frame, mask=mask)
        self.observation_space = frame if alone else spaces
        self.action_space = actions or gymnasium.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def observe(self):
        mask = np.zeros((SIZE, SIZE), np.uint8)
        top, left = self.np_random.integers(0, SIZE - 8, 2)
        mask[top : top + 8, left : left + 8] = 1
        frame = (mask * 200)[..., None]
        return frame if self.alone else {"frame": frame, "mask": mask}

    def step(self, action):
        self.steps += 1
        return self.observe(), float(np.sum(action)), False, self.steps == 5, {}


gymnasium.register("Dot-v0", entry_point=Dot)

ACTIONS = {
    "Discrete": gymnasium.spaces.Discrete(3),
    "MultiDiscrete": gymnasium.spaces.MultiDiscrete([2, 3]),
    "MultiBinary": gymnasium.spaces.MultiBinary(2),
    "Box": gymnasium.spaces.Box(-1.0, 3.0, (2,)),
}


def trained(kind=CamalPPO, policy="CamalPolicy", actions=None, alone=False, **settings):
    env = VecFrameStack(DummyVecEnv([lambda: Dot(actions, alone)]), 2)
    small = {"n_steps": 8, "batch_size": 8, "n_epochs": 1, "seed": 1, "device": "cpu"}
    return kind(policy, env, **small, **settings).learn(8)


def observed(model):
    env = model.get_env()
    env.seed(3)
    env.reset()
    observation, *_ = env.step(np.array([model.action_space.sample() * 0]))
    return model.policy.obs_to_tensor(observation)[0]


@pytest.mark.parametrize("actions", ACTIONS)
def test_policy_and_value_are_the_models_own(actions, tmp_path):
    model = trained(actions=ACTIONS[actions])
    model.save(tmp_path / "model.zip")
    agent = load_sb3(tmp_path / "model.zip", torch.device("cpu"))
    batch = observed(model)
    taken = torch.as_tensor(np.array([model.action_space.sample()]))
    taken = taken.float() if actions == "MultiBinary" else taken
    value, log_prob, entropy = model.policy.evaluate_actions(batch, taken)
    output = agent(batch["frame"].to(torch.uint8))
    torch.testing.assert_close(output.value, value.flatten())
    torch.testing.assert_close(output.policy.log_prob(taken), log_prob)
    torch.testing.assert_close(output.policy.entropy(), entropy)
    assert (agent.in_channels, agent.frame_size, agent.grid) == (2, (SIZE, SIZE), (1, 1))
    best, _ = model.predict({key: part.numpy() for key, part in batch.items()}, deterministic=True)
    np.testing.assert_array_equal(agent.head.for_environment(output.detach().policy.mode()), best)


@pytest.mark.parametrize("full_std", [True, False])
def test_deviations_that_depend_on_the_state_are_the_models_own(full_std):
    settings = {"use_sde": True, "policy_kwargs": {"full_std": full_std}}
    model = trained(actions=ACTIONS["Box"], **settings)
    batch, taken = observed(model), torch.tensor([[0.5, -0.3]])
    value, log_prob, entropy = model.policy.evaluate_actions(batch, taken)
    output = SB3Agent(model)(batch["frame"].to(torch.uint8))
    torch.testing.assert_close(output.value, value.flatten())
    torch.testing.assert_close(output.policy.log_prob(taken), log_prob)
    torch.testing.assert_close(output.policy.entropy(), entropy)


def test_squashed_actions_are_refused():
    settings = {"use_sde": True, "policy_kwargs": {"squash_output": True}}
    with pytest.raises(UserError, match="squash_output"):
        SB3Agent(trained(actions=ACTIONS["Box"], **settings))


def test_an_episode_begins_with_the_stacks_of_its_training(tmp_path):
    """VecFrameStack's, in the first episode and in the one after it."""
    model, seed = trained(), 3
    model.save(tmp_path / "model.zip")
    env = model.get_env()
    env.seed(seed)
    expected = [env.reset()["frame"][0]]
    for _ in range(4):
        expected.append(env.step(np.array([0]))[0]["frame"][0])
    player = sb3_player(tmp_path / "model.zip", torch.device("cpu"), EnvSettings("Dot-v0"))
    seen = []
    player.play(1, [seed, seed], look=lambda moment: seen.append(moment.stacks[0].numpy()))
    np.testing.assert_array_equal(seen, 2 * expected)


@pytest.mark.parametrize("alone", [False, True])
def test_plain_ppo_is_played_too(tmp_path, alone):
    policy = "CnnPolicy" if alone else "MultiInputPolicy"
    keys = {} if alone else {"policy_kwargs": {"normalize_images": True}}
    model = trained(PPO, policy, alone=alone, **keys)
    agent = SB3Agent(model)
    batch = observed(model)
    frames = batch if alone else batch["frame"]
    value = model.policy.predict_values(batch if alone else {**batch, "mask": batch["mask"] * 0})
    torch.testing.assert_close(agent(frames.to(torch.uint8)).value, value.flatten())


def test_a_model_is_evaluated_with_faithfulness_and_a_video(tmp_path):
    trained().save(tmp_path / "model.zip")
    flags = ["--env", "Dot-v0", "--episodes", "2", "--device", "cpu", "--faithfulness"]
    flags += ["--faithfulness-frames", "4", "--closed-loop"]
    assert evaluate.main([str(tmp_path / "model.zip"), *flags]) == 0
    results = json.loads((tmp_path / "model" / "evaluation.json").read_text())
    assert results["summary"]["length"]["mean"] == 5.0
    assert results["summary"]["iou"]["mean"] is not None and "faithfulness" in results
    assert (tmp_path / "model" / "evaluation.mp4").stat().st_size > 0


def test_what_is_no_model_is_refused(tmp_path):
    file = tmp_path / "model.zip"
    file.write_bytes(b"nothing")
    with pytest.raises(UserError, match="no on-policy model of stable-baselines3"):
        load_sb3(file, torch.device("cpu"))
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("a", "b")
    with pytest.raises(UserError, match="no on-policy model of stable-baselines3"):
        load_sb3(file, torch.device("cpu"))
    with pytest.raises(UserError, match="--env"):
        evaluate.main([str(file)])
    with pytest.raises(UserError, match=r"nowhere\.zip does not exist"):
        evaluate.main([str(tmp_path / "nowhere.zip"), "--env", "Dot-v0"])

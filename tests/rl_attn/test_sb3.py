"""CamalPPO: the loss is ours to the digit, and all of stable-baselines3 works around it."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, FlattenExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor
from torch import nn

import rl_attn.sb3
from rl_attn.agents import ActorCritic, cell_centres
from rl_attn.attention import MAPS, grad_cam, mask_weights
from rl_attn.envs.doom.env import DoomEnv
from rl_attn.envs.doom.vector import DoomVectorEnv
from rl_attn.rl.agent_attention import attention_score
from rl_attn.rl.entries import entry
from rl_attn.rl.methods.camal import camal_terms
from rl_attn.sb3 import (
    CamalPPO,
    LanesVecEnv,
    WithoutMask,
    current_masks,
)

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH = 44, 52


class Toy(gymnasium.Env):
    """Frames of noise with a bright square, which is the mask; every fourth frame is without."""

    observation_space = gymnasium.spaces.Dict(
        frame=gymnasium.spaces.Box(0, 255, (HEIGHT, WIDTH, 1), np.uint8),
        mask=gymnasium.spaces.Box(0, 1, (HEIGHT, WIDTH), np.uint8),
    )
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def observe(self):
        frame = self.np_random.integers(0, 60, (HEIGHT, WIDTH, 1), dtype=np.uint8)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        if self.steps % 4 < 3:
            top, left = self.np_random.integers(0, (HEIGHT - 12, WIDTH - 12))
            mask[top : top + 12, left : left + 12] = 1
            frame[mask > 0] += 150
        return {"frame": frame, "mask": mask}

    def step(self, action):
        self.steps += 1
        return self.observe(), float(action == 1), self.steps == 10, False, {}


def toys(num_envs=2, stack=4):
    env = DummyVecEnv([lambda: Monitor(Toy()) for _ in range(num_envs)])
    return VecFrameStack(env, stack) if stack else env


SMALL = {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "seed": 3, "device": "cpu"}


def model(policy="CamalPolicy", env=None, **settings):
    return CamalPPO(policy, env or toys(), **{**SMALL, **settings})


def weights(agent):
    return {name: tensor.clone() for name, tensor in agent.policy.state_dict().items()}


def same(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


class Recorder(BaseCallback):
    """What the logger has been told after each update."""

    def _init_callback(self):
        self.seen = []

    def _on_rollout_start(self):
        self.seen.append(dict(self.logger.name_to_value))

    def _on_training_end(self):
        self._on_rollout_start()

    def _on_step(self):
        return True


# ---------------------------------------------------------------------- the same loss


def twins(**settings):
    """A CamalPPO, and our agent with its weights; a batch of observations and actions."""
    theirs = model(env=toys(4), **settings)
    with torch.no_grad():  # a fresh head's logits are so small that rounding shows in their maps
        theirs.policy.action_net.weight.mul_(100)
    ours = ActorCritic(4, (HEIGHT, WIDTH), 3)
    cnn = theirs.policy.features_extractor.extractor
    h, w = ours.grid
    hidden = cnn.linear[0].weight.detach().view(512, 64, h, w).permute(0, 2, 3, 1).reshape(512, -1)
    layers = [(ours.convolutions[i], cnn.cnn[i], None) for i in (0, 2, 4)]
    layers += [(ours.hidden, cnn.linear[0], hidden)]
    layers += [(ours.actor, theirs.policy.action_net, None)]
    layers += [(ours.critic, theirs.policy.value_net, None)]
    with torch.no_grad():
        for own, other, weight in layers:
            own.weight.copy_(other.weight if weight is None else weight)
            own.bias.copy_(other.bias)
    env = theirs.get_env()
    env.seed(5)
    observation = env.reset()
    for _ in range(5):
        observation, *_ = env.step(np.array([0, 1, 2, 0]))
    batch, _ = theirs.policy.obs_to_tensor(observation)
    return theirs, ours, batch, torch.tensor([2, 1, 0, 1])


@pytest.mark.parametrize(
    "space",
    [
        gymnasium.spaces.Box(-1, 1, (2,), np.float32),
        gymnasium.spaces.MultiDiscrete([3, 2]),
        gymnasium.spaces.MultiBinary(3),
    ],
    ids=lambda space: type(space).__name__,
)
@pytest.mark.parametrize("attention_target", ["value", "action"])
def test_other_actions_have_the_policy_that_is_their_own(space, attention_target, monkeypatch):
    monkeypatch.setattr(Toy, "action_space", space)
    monkeypatch.setattr(Toy, "step", lambda self, _: (self.observe(), 1.0, True, False, {}))
    theirs = model(attention_target=attention_target)
    before = weights(theirs)
    theirs.learn(32)
    assert not same(before, weights(theirs))
    batch, _ = theirs.policy.obs_to_tensor(theirs.get_env().reset())
    actions = torch.tensor(np.stack([space.sample() for _ in range(2)])).float()
    with theirs._tapped() as output_of:
        values, log_prob, entropy = theirs.policy.evaluate_actions(batch, actions)
        policy = output_of(values).policy
    ours = actions if isinstance(space, gymnasium.spaces.Box) else actions.long()
    torch.testing.assert_close(policy.log_prob(ours), log_prob)
    torch.testing.assert_close(policy.entropy(), entropy)


@pytest.mark.parametrize("attention_target", ["value", "action"])
@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize("empty_mask", ["skip", "suppress"])
def test_the_loss_and_its_gradient_are_ours(attention_target, second_order, empty_mask):
    options = {
        "attention_target": attention_target,
        "second_order": second_order,
        "empty_mask": empty_mask,
    }
    theirs, ours, batch, actions = twins(**options)
    batch["mask"][1] = 0  # an empty one
    with theirs._tapped() as output_of:
        values, *_ = theirs.policy.evaluate_actions(batch, actions)
        output = output_of(values)
    masks = current_masks(batch, stacked=4)
    terms = theirs._attention_terms(output, actions, masks)
    own = ours(batch["frame"].to(torch.uint8), shift=True)
    how = {"second_order": second_order, "dead": "signed", "shift": own.shift}
    attention = grad_cam(attention_score(own, actions, attention_target), own.features, **how)
    weights = mask_weights(masks, ours.grid, ours.cells)
    _, logged = camal_terms(attention, weights, empty_mask)
    expected = {name: entry(value).value for name, value in logged.items()}
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value.item(), abs=1e-6), name
    terms["attention/camal"].backward()
    expected["attention/camal"].backward()
    cnn = theirs.policy.features_extractor.extractor
    for i in (0, 2, 4):
        gradient = cnn.cnn[i].weight.grad
        assert gradient.abs().sum() > 0
        torch.testing.assert_close(gradient, ours.convolutions[i].weight.grad, atol=1e-6, rtol=1e-4)
    if second_order:
        head = "value_net" if attention_target == "value" else "action_net"
        other = ours.critic if attention_target == "value" else ours.actor
        gradient = getattr(theirs.policy, head).weight.grad
        torch.testing.assert_close(gradient, other.weight.grad, atol=1e-6, rtol=1e-4)


def test_one_backward_pass_gives_the_gradient_of_the_sum(monkeypatch):
    """PPO's train sees its own loss; the step it takes is that of PPO's + camal * CAMAL's."""
    steps = {}
    for camal in (0.0, 2.0):
        agent = model(camal=camal, n_epochs=1, batch_size=32, max_grad_norm=1e9)
        gradients = []
        monkeypatch.setattr(
            agent.policy.optimizer,
            "step",
            lambda *_, a=agent, g=gradients: g.append(
                [p.grad.clone() for p in a.policy.parameters()]
            ),
        )
        agent.learn(32)
        steps[camal] = gradients[0]
    with agent._tapped() as output_of:
        (batch,) = agent.rollout_buffer.get()
        actions = batch.actions.long().flatten()
        output = output_of(agent.policy.evaluate_actions(batch.observations, actions)[0])
    terms = agent._attention_terms(output, actions, agent._masks(batch.observations))
    agent.policy.zero_grad()
    (2.0 * terms["attention/camal"]).backward()
    for plain, both, parameter in zip(*steps.values(), agent.policy.parameters(), strict=True):
        extra = 0 if parameter.grad is None else parameter.grad
        torch.testing.assert_close(both, plain + extra, atol=1e-5, rtol=1e-3)


def test_without_camal_it_is_ppo_to_the_bit():
    """Even the order of the random numbers; the IoU is logged all the same."""
    recorder = Recorder()
    ours = model(camal=0.0).learn(64, callback=recorder)
    kwargs = {"features_extractor_class": WithoutMask, "net_arch": []}
    theirs = PPO("MultiInputPolicy", toys(), policy_kwargs=kwargs, **SMALL).learn(64)
    assert same(weights(ours), weights(theirs))
    assert 0 <= recorder.seen[-1]["attention/iou"] <= 1


# ---------------------------------------------------------------------- what it does


def test_the_mask_does_not_reach_the_network():
    agent = model("MultiInputPolicy")
    observation = agent.get_env().reset()
    actions = torch.tensor([0, 1])
    results = []
    for value in (0, 1):
        batch, _ = agent.policy.obs_to_tensor({**observation, "mask": observation["mask"] * value})
        results.append(agent.policy.evaluate_actions(batch, actions))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
    assert set(agent.policy.features_extractor.extractor.extractors) == {"frame"}


def test_it_logs_attention_and_moves_it_into_the_mask():
    recorder = Recorder()
    agent = model(n_steps=64, batch_size=32, n_epochs=4, learning_rate=5e-4, camal=5.0)
    agent.learn(256, callback=recorder)
    seen = recorder.seen[1:]
    for name in ("camal", "alpha", "beta", "empty_masks", "dead_maps", "iou"):
        assert np.isfinite([values[f"attention/{name}"] for values in seen]).all(), name
    assert seen[0]["attention/empty_masks"] == pytest.approx(0.25, abs=0.1)
    gap = [values["attention/alpha"] - values["attention/beta"] for values in seen]
    assert gap[-1] > gap[0] + 0.1
    assert seen[-1]["attention/iou"] > seen[0]["attention/iou"]


def test_stacked_masks_give_the_current_one():
    env = toys(stack=4)
    env.seed(1)
    env.reset()
    observation, *_ = env.step(np.array([0, 0]))
    current = env.venv.buf_obs
    batch = {key: torch.from_numpy(value) for key, value in observation.items()}
    batch["frame"] = batch["frame"].permute(0, 3, 1, 2)
    assert batch["mask"].shape == (2, HEIGHT, 4 * WIDTH)
    np.testing.assert_array_equal(current_masks(batch, 4).numpy(), current["mask"])


class Small(BaseFeaturesExtractor):
    """A user's own network: the last convolution has no activation of its own."""

    def __init__(self, space, width=8):
        super().__init__(space, width)
        self.conv = nn.Conv2d(space.shape[0], width, 5, stride=4)
        self.norm = nn.GroupNorm(2, width)

    def forward(self, frame):
        return self.norm(self.conv(frame)).relu().mean(dim=(2, 3))


def test_another_policy_and_separate_extractors_are_tapped():
    kwargs = {
        "features_extractor_class": Small,
        "features_extractor_kwargs": {"width": 6},
        "share_features_extractor": False,
    }
    agent = model("MultiInputPolicy", policy_kwargs=kwargs, attention_target="action")
    assert agent.tapped == "extractor.conv"
    assert agent._explained_extractor() is agent.policy.pi_features_extractor
    before = weights(agent)
    agent.learn(32)
    assert not same(before, weights(agent))
    assert not agent.policy.action_net._forward_hooks
    assert "evaluate_actions" not in vars(agent.policy)


def test_cells_of_their_network_lie_where_ours_do():
    agent = model("CamalPolicy")
    agent.learn(32)
    assert agent._cells == cell_centres() == (17.5, 8.0)


@pytest.mark.parametrize("attention", [name for name in MAPS if MAPS.kinds[name] == "features"])
def test_every_map_of_features_trains(attention):
    agent = model("CamalPolicy", attention=attention)
    before = weights(agent)
    agent.learn(32)
    assert not same(before, weights(agent))


def test_another_layer_is_tapped_and_logged():
    recorder = Recorder()
    agent = model(layer="extractor.cnn.3").learn(32, callback=recorder)
    assert recorder.seen[-1]["attention/layer"] == "extractor.cnn.3"
    assert agent._cells == cell_centres("conv2")
    with pytest.raises(ValueError, match=r"did you mean extractor\.cnn"):
        model(layer="extractor.cn.3")


class Layout(gymnasium.ObservationWrapper):
    """The toy with its mask under another name, in another layout, size and range."""

    def __init__(self, layout, scale, largest):
        super().__init__(Toy())
        self.layout, self.scale, self.largest = layout, scale, largest
        mask = self.observation(self.unwrapped.reset(seed=0)[0])["target"]
        self.observation_space = gymnasium.spaces.Dict(
            image=gymnasium.spaces.Box(0, 255, (HEIGHT, WIDTH, 1), np.uint8),
            target=gymnasium.spaces.Box(0, largest, mask.shape, np.uint8),
        )

    def observation(self, observation):
        mask = np.kron(observation["mask"], np.ones((self.scale,) * 2, np.uint8)) * self.largest
        mask = {"HW": mask, "HW1": mask[..., None], "1HW": mask[None]}[self.layout]
        return {"image": observation["frame"], "target": mask.astype(np.uint8)}


@pytest.mark.parametrize("stack", [0, 4])
@pytest.mark.parametrize(
    ("layout", "scale", "largest"),
    [("HW", 2, 1), ("HW1", 1, 1), ("1HW", 1, 1), ("HW", 1, 255), ("HW1", 2, 255), ("1HW", 2, 1)],
)
def test_masks_of_any_layout_size_and_range_give_the_same_loss(layout, scale, largest, stack):
    def terms(env, **keys):
        env = VecFrameStack(env, stack) if stack else env
        agent = model(env=env, **keys)
        agent.get_env().seed(2)
        observation = agent.get_env().reset()
        for _ in range(2):
            observation, *_ = agent.get_env().step(np.array([0]))
        return agent._masks(agent.policy.obs_to_tensor(observation)[0])

    plain = terms(DummyVecEnv([Toy]))
    other = terms(
        DummyVecEnv([lambda: Layout(layout, scale, largest)]), frame_key="image", mask_key="target"
    )
    assert plain.sum() == 144 and plain.shape == (1, HEIGHT, WIDTH)
    torch.testing.assert_close(other.float(), plain.float())


def test_masks_are_read_by_their_values_and_not_by_the_bounds_of_their_space():
    class Wide(Toy):
        observation_space = gymnasium.spaces.Dict(
            frame=Toy.observation_space["frame"],
            mask=gymnasium.spaces.Box(0, 255, (HEIGHT, WIDTH), np.uint8),
        )

    agent, on = model(env=DummyVecEnv([Wide])), torch.zeros(1, HEIGHT, WIDTH)
    on[0, :12, :12] = 1
    for factor, kind in ((1, torch.uint8), (255, torch.uint8), (255, torch.float), (0, torch.int8)):
        masks = agent._masks({"frame": on[:, None], "mask": (factor * on).to(kind)})
        torch.testing.assert_close(masks, on * bool(factor))
    soft = agent._masks({"frame": on[:, None], "mask": 0.5 * on})
    torch.testing.assert_close(soft, 0.5 * on)
    with pytest.raises(ValueError, match="0 and 255"):
        agent._masks({"frame": on[:, None], "mask": 7 * on})


def test_masks_of_no_known_layout_are_refused_when_the_model_is_made():
    class Colours(Toy):
        observation_space = gymnasium.spaces.Dict(
            frame=Toy.observation_space["frame"],
            mask=gymnasium.spaces.Box(0, 1, (HEIGHT, WIDTH, 3), np.uint8),
        )

    with pytest.raises(ValueError, match=r"masks must be \(H, W\)"):
        model(env=DummyVecEnv([Colours]))


def test_importing_it_brings_no_game_and_no_trainer_and_says_what_it_needs():
    code = """
import sys
sys.modules["stable_baselines3"] = None
try:
    import rl_attn.sb3
except ImportError as error:
    print(error)
del sys.modules["stable_baselines3"]
import rl_attn.sb3
print({"vizdoom", "rl_attn.rl.settings"} & {*sys.modules})
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    needed = "rl_attn.sb3 needs stable-baselines3: pip install 'rl-attn[sb3]'"
    assert result.stdout.splitlines() == [needed, "set()"], result.stderr


# ---------------------------------------------------------------------- what sb3 does with it


def test_save_and_load_continue_as_they_were(tmp_path):
    agent = model(camal=0.5, empty_mask="suppress").learn(32)
    agent.save(tmp_path / "agent.zip")
    loaded = CamalPPO.load(tmp_path / "agent.zip", env=toys())
    assert (loaded.camal, loaded.empty_mask, loaded.num_timesteps) == (0.5, "suppress", 32)
    assert same(weights(agent), weights(loaded))
    observation = agent.get_env().reset()
    ours, _ = agent.predict(observation, deterministic=True)
    theirs, _ = loaded.predict(observation, deterministic=True)
    np.testing.assert_array_equal(ours, theirs)
    loaded.learn(32, reset_num_timesteps=False)
    assert loaded.num_timesteps == 64 and not same(weights(agent), weights(loaded))
    alone = CamalPPO.load(tmp_path / "agent.zip")  # without an environment, to play
    np.testing.assert_array_equal(alone.predict(observation, deterministic=True)[0], ours)


def test_callbacks_and_evaluation(tmp_path):
    callback = EvalCallback(
        toys(1), n_eval_episodes=2, eval_freq=16, log_path=str(tmp_path), verbose=0
    )
    agent = model().learn(64, callback=callback)
    results = np.load(tmp_path / "evaluations.npz")
    assert results["results"].shape == (2, 2)
    mean, _ = evaluate_policy(agent, toys(1), n_eval_episodes=3)
    assert 0 <= mean <= 10


def test_doom_environments_of_every_kind_train(tmp_path):
    """Lanes, and single games in `make_vec_env` with Monitor; episodes reach the log."""
    env = VecFrameStack(VecMonitor(LanesVecEnv("Basic", 2, seed=1)), 4)
    agent = model(env=env, n_steps=80, batch_size=80, n_epochs=1)
    try:
        agent.learn(160)
        assert agent.ep_info_buffer and np.isfinite([e["r"] for e in agent.ep_info_buffer]).all()
        assert evaluate_policy(agent, env, n_eval_episodes=1)[0] >= -400
    finally:
        env.close()
    single = make_vec_env(DoomEnv, n_envs=1, env_kwargs={"scenario": "Basic"})
    try:
        model(env=single, n_steps=8, batch_size=8, n_epochs=1).learn(8)
    finally:
        single.close()


def test_the_documented_example_runs():
    """As printed in the head of the module and in the README, with less of everything."""
    example = re.search(r"\n\n((?:    .*\n|\n)+)", rl_attn.sb3.__doc__).group(1)
    for many, few in (("100_000", "8"), ("num_envs=8", "num_envs=2"), ("128", "4"), ("256", "8")):
        assert many in example
        example = example.replace(many, few)
    names: dict[str, object] = {}
    exec(textwrap.dedent(example), names)
    names["env"].close()
    assert names["model"].num_timesteps == 8


def test_lanes_show_their_frames_to_whoever_records_them():
    """`VecVideoRecorder` asks for `render_mode`, a rate, and a picture after each step."""
    lanes = LanesVecEnv("Basic", 2, frame_skip=5)
    try:
        observation = lanes.reset()
        assert lanes.render_mode == "rgb_array" and lanes.metadata["render_fps"] == 7
        frames = observation["frame"].repeat(3, axis=-1)  # of a grey channel
        np.testing.assert_array_equal(lanes.render(), np.concatenate(list(frames)))
    finally:
        lanes.close()


def test_lanes_are_the_games_of_our_vector_environment():
    lanes, envs = LanesVecEnv("Basic", 2), DoomVectorEnv("Basic", 2)
    try:
        lanes.seed(7)
        ours, (theirs, _) = lanes.reset(), envs.reset(seed=7)
        ended = 0
        for _ in range(80):
            for key in ours:
                np.testing.assert_array_equal(ours[key], theirs[key])
            actions = np.array([0, 0])
            ours, rewards, dones, infos = lanes.step(actions)
            theirs, raw, terminated, truncated, final = envs.step(actions)
            np.testing.assert_array_equal(rewards, raw)
            np.testing.assert_array_equal(dones, terminated | truncated)
            for i in np.flatnonzero(dones):
                ended += 1
                assert infos[i]["TimeLimit.truncated"] == truncated[i]
                assert infos[i]["episode"]["r"] == final["final_info"]["episode"]["r"][i]
                for key in ours:
                    last = infos[i]["terminal_observation"][key]
                    np.testing.assert_array_equal(last, final["final_obs"][i][key])
        assert ended == 2
    finally:
        lanes.close()
        envs.close()


# ---------------------------------------------------------------------- bad input


def test_what_cannot_work_is_refused():
    box = gymnasium.make("CartPole-v1")
    with pytest.raises(ValueError, match="'frame' and 'mask'"):
        CamalPPO("MlpPolicy", box)
    with pytest.raises(ValueError, match="camal is -1"):
        model(camal=-1)
    with pytest.raises(ValueError, match="attention_target is 'critic': choose value or action"):
        model(attention_target="critic")
    with pytest.raises(ValueError, match="WithoutMask has no convolution"):
        model(policy_kwargs={"features_extractor_class": FlattenExtractor})
    with pytest.raises(ValueError, match="no convolution"):
        model(ActorCriticPolicy)

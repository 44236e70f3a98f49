"""A recurrent agent: what its updates learn from, and its runs from training to evaluation."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_attn import evaluate, ppo
from rl_attn.agents import Memory
from rl_attn.attention import alpha_beta, camal_loss, grad_cam
from rl_attn.errors import UserError
from rl_attn.rl.faithfulness import MODES
from rl_attn.rl.learn import Learner
from rl_attn.rl.loading import load
from rl_attn.rl.play import evaluation_seeds
from rl_attn.rl.run import start
from rl_attn.rl.settings import args_type, validate
from rl_attn.rl.trainer import State, Trainer
from rl_attn.run.checkpoint import checkpoints, latest_checkpoint, load_checkpoint
from rl_attn.run.plugins import import_all

OUTSIDE = Path(__file__).parents[1] / "outside"
FILES = [str(OUTSIDE / name) for name in ("recall.py", "tiny_network.py", "shifts.py")]
STEPS, LANES = 6, 4  # Recall's episodes are of 4 steps: one ends within each rollout


def settings(kind: str = "lstm", **changes):
    import_all(FILES)
    small = {"num_envs": LANES, "num_steps": STEPS, "num_minibatches": 2, "update_epochs": 1}
    small |= {"total_timesteps": 48, "device": "cpu", "frame_stack": 1, "imports": tuple(FILES)}
    small |= {"env": "Recall-v0", "network": "tiny", "recurrent": kind, "camal": 0.5}
    args = args_type([])(**small | changes)
    validate(args)
    return args


@pytest.fixture
def trainer():
    """After two rollouts, the second of which begins amid an episode."""
    with Trainer(settings(), torch.device("cpu"), "fp32") as trainer:
        trainer.start()
        trainer.rollout()
        trainer.storage.roll()
        trainer.rollout()
        yield trainer


def caught(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> list:
    """The first mini-batch of an update, each of whose steps changes nothing."""
    batches = []
    monkeypatch.setattr(trainer.learner.optimizer, "step", lambda: None)
    original = Learner._step

    def step(self, batch, share=1.0):
        batches.append(batch)
        return original(self, batch, share)

    monkeypatch.setattr(Learner, "_step", step)
    trainer.update()
    return batches


def test_an_update_sees_again_what_was_collected(trainer, monkeypatch):
    batches = caught(trainer, monkeypatch)
    assert len(batches) == 2
    assert sum(int(batch.memory.starts.any()) for batch in batches) == 2
    for batch in batches:
        assert batch.memory.state.shape == (LANES // 2, 256) and batch.memory.state.any()
        output = trainer.agent(batch.stacks, memory=batch.memory)
        log_probs = output.policy.log_prob(batch.actions)
        torch.testing.assert_close(log_probs, batch.log_probs, rtol=0, atol=1e-6)
        torch.testing.assert_close(output.value, batch.values, rtol=0, atol=1e-6)


def test_a_mini_batch_is_of_whole_environments_each_once(trainer, monkeypatch):
    stored = trainer.storage.values.normal_()  # environments that are told apart
    batches = caught(trainer, monkeypatch)
    seen = [batch.values.view(STEPS, LANES // 2) for batch in batches]
    lanes = torch.cat(seen, dim=1).T
    order = [int((stored.T - lane).abs().sum(1).argmin()) for lane in lanes]
    assert sorted(order) == list(range(LANES))
    assert torch.equal(stored.T[order], lanes)


def test_its_gradient_is_that_of_a_loop_written_by_hand(trainer, monkeypatch):
    """PPO's loss and CAMAL's of a mini-batch, with torch's own cell, frame after frame."""
    (batch, *_), agent, args = caught(trainer, monkeypatch), trainer.agent, trainer.args
    args.max_grad_norm = 1e9
    trainer.learner._step(batch)
    found = {name: p.grad.clone() for name, p in agent.named_parameters() if p.grad is not None}

    half = LANES // 2
    h, c = batch.memory.state.chunk(2, dim=1)
    log_probs, values, entropies, maps = [], [], [], []
    for step in range(STEPS):
        keep = (~batch.memory.starts[step]).float()[:, None]
        h, c = h * keep, c * keep
        frames = batch.stacks[step * half : (step + 1) * half]
        features = agent.layers(frames / 255)
        hidden = features.mean(dim=(2, 3))
        alone, _ = agent.core.cell(hidden, (h.detach(), c.detach()))
        maps.append(grad_cam(agent.critic(alone)[:, 0], features, dead="signed"))
        h, c = agent.core.cell(hidden, (h, c))
        policy = torch.distributions.Categorical(logits=agent.actor(h))
        log_probs.append(policy.log_prob(batch.actions[step * half : (step + 1) * half]))
        entropies.append(policy.entropy())
        values.append(agent.critic(h)[:, 0])
    ratio = (torch.cat(log_probs) - batch.log_probs).exp()
    advantages = batch.advantages - batch.advantages.mean()
    advantages = advantages / (batch.advantages.std() + 1e-8)
    clipped = ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)
    policy_loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
    value_loss = 0.5 * (torch.cat(values) - batch.returns).square().mean()
    alpha, beta = alpha_beta(torch.cat(maps), batch.targets)
    attention = camal_loss(alpha, beta, batch.targets.present, "skip").mean()
    loss = policy_loss + args.vf_coef * value_loss + args.camal * attention
    loss = loss - args.ent_coef * torch.cat(entropies).mean()
    agent.zero_grad()
    loss.backward()
    for name, parameter in agent.named_parameters():
        size = parameter.grad.abs().max().item()
        torch.testing.assert_close(
            found[name], parameter.grad, rtol=1e-3, atol=1e-4 * max(size, 1e-3), msg=name
        )
    assert found["core.cell.weight_hh"].abs().max() > 0


def test_a_cut_off_episode_is_bootstrapped_with_what_was_remembered(trainer):
    storage = trainer.storage
    frame = np.full(storage.frame_shape, 200, np.uint8)
    before, _ = trainer.learner.advantages(storage)
    storage.dones[2, 1] = True
    without, _ = trainer.learner.advantages(storage)
    final = {0: frame}, {0: frame[..., 0]}
    storage.record(2, slice(1, 2), storage.rewards[2, 1:2], np.array([True]), *final)
    with_frame, _ = trainer.learner.advantages(storage)
    stack = torch.from_numpy(frame).permute(2, 0, 1)[None]
    with torch.no_grad():
        value = trainer.agent(stack, memory=Memory(storage.memory[3, 1:2])).value.item()
        blank = trainer.agent(stack, memory=trainer.agent.blank(1)).value.item()
    assert abs(value - blank) > 1e-4
    assert (with_frame - without)[2, 1].item() == pytest.approx(0.99 * value, abs=1e-5)
    torch.testing.assert_close(with_frame[:, 0], before[:, 0])


# ---------------------------------------------------------------------- runs

TINY = [
    *("--import", *FILES, "--env", "Recall-v0", "--network", "tiny", "--frame-stack", "1"),
    *("--num-envs", "2", "--num-steps", "6", "--num-minibatches", "2", "--update-epochs", "2"),
    *("--checkpoint-interval", "1", "--keep-checkpoints", "0", "--device", "cpu"),
    *("--precision", "fp32", "--total-timesteps", "48", "--threads", "1"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run") / "whole"
    flags = ["--recurrent", "lstm", "--eval-interval", "24", "--eval-episodes", "1"]
    assert ppo.main([*TINY, *flags, "--run-dir", str(path)]) == 0
    return path


def test_a_resumed_run_ends_bit_for_bit_as_one_that_was_not_interrupted(run, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    for later in checkpoints(broken)[1:]:
        later.unlink()
    state = load_checkpoint(latest_checkpoint(broken), State)
    assert state["global_step"] == 12 and state["memory"].any()
    assert ppo.main(["--resume", str(broken)]) == 0
    whole, again = (load_checkpoint(latest_checkpoint(path), State) for path in (run, broken))
    assert whole["global_step"] == again["global_step"] == 48
    assert torch.equal(whole["memory"], again["memory"])
    for name, weights in whole["agent"].items():
        assert torch.equal(weights, again["agent"][name]), name


def test_it_is_evaluated_with_every_option(run, tmp_path):
    flags = ["--episodes", "3", "--device", "cpu", "--threads", "1", "--faithfulness"]
    flags += ["--faithfulness-frames", "6", "--closed-loop", "--out"]
    assert evaluate.main([str(run), *flags, str(tmp_path / "out"), "--num-envs", "2"]) == 0
    result = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert result["faithfulness"]["removal_attended_kl"][0] == pytest.approx(0, abs=1e-6)
    values = result["faithfulness"]["removal_attended_value"]
    assert values[0] != pytest.approx(values[-1], rel=1e-3)
    assert set(result["closed_loop"]) == set(MODES)
    assert (tmp_path / "out" / "evaluation.mp4").stat().st_size > 0


def test_what_is_played_at_once_does_not_mix(run):
    """Episodes of two lanes that end at different times are those of one lane, step by step."""
    player = load(run, "latest", torch.device("cpu"))
    seen: dict[int, dict] = {}
    for lanes in (1, 2):
        values = seen[lanes] = {}

        def look(moment, values=values):
            for lane, index in enumerate(moment.episode):
                if index is not None:
                    values.setdefault(index, []).append(moment.output.value[lane].item())

        player.play(lanes, evaluation_seeds(3), look=look)
    for index, values in seen[1].items():
        assert values == pytest.approx(seen[2][index], abs=1e-5)
        assert values[1] != pytest.approx(values[2], abs=1e-6)  # the same frame, another memory


@pytest.mark.parametrize(
    "method", [("shifts", "--pixels", "1"), ("drac",), ("sgqn",), ("rrr",)], ids=lambda m: m[0]
)
def test_methods_that_call_the_agent_train_it_too(method, tmp_path):
    flags = ["--recurrent", "gru", "--total-timesteps", "12", "--method", *method]
    assert ppo.main([*TINY, *flags, "--run-dir", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--recurrent", "lstm", "--num-envs", "3"], "--num-envs 3"),
        (["--recurrent", "rnn"], "rnn"),
        (["--recurrent", "gru", "--method", "asymmetric-critic"], "asymmetric-critic"),
        (["--width-scale", "0"], "--width-scale"),
    ],
)
def test_what_does_not_go_together_is_refused(flags, words, tmp_path):
    with pytest.raises((UserError, SystemExit)) as refused:
        ppo.main([*TINY, *flags, "--run-dir", str(tmp_path / "run")])
    assert words in str(refused.value) or isinstance(refused.value, SystemExit)
    assert not (tmp_path / "run").exists()


def test_several_ranks_are_refused(tmp_path):
    class Two:
        rank, size, first = 0, 2, True

        def once(self, action):
            return action()

    with pytest.raises(UserError, match="--recurrent lstm works in one process"):
        start(settings(run_dir=str(tmp_path / "run")), [], Two())
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------------- memory


@pytest.mark.slow
def test_it_solves_what_needs_a_memory_and_nothing_else_can(tmp_path):
    """The light is gone when its answer is asked for: a policy of the frame alone earns 0."""
    flags = ["--num-envs", "16", "--num-steps", "16", "--num-minibatches", "4", "--camal", "0"]
    flags += ["--update-epochs", "4", "--learning-rate", "0.01", "--checkpoint-interval", "99999"]
    flags += ["--picture-interval", "0"]
    means = {}
    for kind, steps in (("lstm", 3072), ("none", 1024)):
        run = tmp_path / kind
        more = ["--recurrent", kind, "--total-timesteps", str(steps), "--run-dir", str(run)]
        assert ppo.main([*TINY, *flags, *more]) == 0
        state = load_checkpoint(latest_checkpoint(run), State)
        means[kind] = np.mean(state["returns"][-64:])
    assert means["lstm"] > 0.9
    assert abs(means["none"]) < 0.5

"""PPO's loss by hand."""

import math

import pytest
import torch

from rl_attn.agents import Output
from rl_attn.agents.heads import Categorical
from rl_attn.rl.batch import Batch
from rl_attn.rl.ppo_loss import explained_variance, ppo_loss
from rl_attn.rl.settings import PPOSettings as Args

SMALL = Args()


def batch(**changes: list[float]) -> Batch:
    values = {
        "log_probs": [math.log(0.5), math.log(0.5)],
        "values": [0.0, 0.0],
        "advantages": [1.0, -1.0],
        "returns": [1.0, 1.0],
        **changes,
    }
    tensors = {name: torch.tensor(value) for name, value in values.items()}
    none = torch.zeros(2, 0)
    actions = torch.tensor([0, 0])
    return Batch(none, none, actions, **tensors, all_advantages=tensors["advantages"], shown=none)


def output(probability: float, values: list[float]) -> Output:
    """Two samples of a policy that takes action 0 with this probability."""
    logits = torch.tensor([[probability, 1 - probability]]).log().repeat(2, 1)
    return Output(Categorical(logits), torch.tensor(values), torch.zeros(2, 1, 1, 1))


def test_the_clipped_objective_by_hand():
    """Ratio 1.2 is clipped to 1.1 where it would help, and not where it hurts (Eq. 7)."""
    args = Args(norm_adv=False, clip_vloss=False)
    _, logged = ppo_loss(output(0.6, [0.0, 0.0]), batch(), args)
    assert logged["losses/policy_loss"].item() == pytest.approx(-(1.1 - 1.2) / 2)
    assert logged["losses/clipfrac"].item() == 1.0
    assert logged["losses/approx_kl"].item() == pytest.approx(0.2 - math.log(1.2))
    entropy = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4))
    assert logged["losses/entropy"].item() == pytest.approx(entropy)


def test_the_value_loss_by_hand_clipped_and_not():
    """The step from 0 to 0.5 counts as 0.1 when clipped: (0.1 - 1)^2 instead of (0.5 - 1)^2."""
    out = output(0.5, [0.5, 0.5])
    _, clipped = ppo_loss(out, batch(), Args(clip_vloss=True))
    _, plain = ppo_loss(out, batch(), Args(clip_vloss=False))
    assert clipped["losses/value_loss"].item() == pytest.approx(0.5 * 0.81)
    assert plain["losses/value_loss"].item() == pytest.approx(0.5 * 0.25)


def test_the_total_weighs_its_parts():
    loss, logged = ppo_loss(output(0.6, [0.5, 0.2]), batch(), SMALL)
    parts = {name.removeprefix("losses/"): value.item() for name, value in logged.items()}
    whole = parts["policy_loss"] - 0.01 * parts["entropy"] + 0.5 * parts["value_loss"]
    assert loss.item() == pytest.approx(whole)


def test_advantages_are_normalised_in_the_mini_batch():
    same = [ppo_loss(output(0.55, [0.0, 0.0]), b, SMALL)[0] for b in (
        batch(), batch(advantages=[30.0, 10.0])
    )]  # fmt: skip
    assert same[0].item() == pytest.approx(same[1].item(), abs=1e-5)


def test_explained_variance_by_hand():
    returns = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(torch.zeros(3), returns) == 0.0
    assert math.isnan(explained_variance(returns, torch.ones(3)))

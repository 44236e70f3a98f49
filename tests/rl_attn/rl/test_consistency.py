"""What two views of a state cost, and which of them learns."""

import math

import pytest
import torch
from gymnasium.spaces import Discrete

from rl_attn.agents import Network, Output
from rl_attn.agents.heads import head_of
from rl_attn.rl.consistency import consistency

SHARES = [[0.5, 0.5], [0.25, 0.75]]


def forward(shares, values):
    """An output whose logits and values are leaves; also these."""
    logits = torch.tensor(shares).log().requires_grad_()
    value = torch.tensor(values).requires_grad_()
    return Output(head_of(Discrete(2))(logits), value, torch.zeros(())), (logits, value)


def test_the_plain_state_is_a_target_and_gets_no_gradient():
    agent = Network(1, (8, 8), 2)
    plain, targets = forward(SHARES, [1.0, 2.0])
    view, learned = forward(SHARES[::-1], [4.0, 2.0])
    loss, log = consistency(agent, plain, view)
    # KL((1/2, 1/2) || (1/4, 3/4)) and back
    one = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    back = 0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2)
    assert log["consistency/policy"].value.item() == pytest.approx((one + back) / 2, rel=1e-5)
    assert log["consistency/value"].value.item() == pytest.approx(9 / 2)
    loss.backward()
    assert [leaf.grad for leaf in targets] == [None, None]
    logits, value = learned
    assert logits.grad[0].tolist() == pytest.approx([-0.125, 0.125])  # half of q - p
    assert value.grad.tolist() == [3.0, 0.0]

"""Policies of every action space: densities by hand, samples by their frequencies, and ends."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy import stats
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import kl_divergence

from rl_attn.agents.heads import head_of
from rl_attn.errors import UserError

SPACES = {
    "Discrete": spaces.Discrete(3),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
    "MultiBinary": spaces.MultiBinary(2),
    "Box": spaces.Box(-1.0, 1.0, (2,)),
}


def exponential(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(rows, columns, dtype=torch.float64).exponential_(generator=generator)


def policies(name: str, rows: int = 1, seed: int = 3):
    """A head and a policy of random parameters, the same in each row."""
    head = head_of(SPACES[name])
    generator = torch.Generator().manual_seed(seed)
    one = torch.randn(1, head.size, generator=generator, dtype=torch.float64)
    return head, head(one.expand(rows, -1))


def test_densities_by_hand():
    discrete = head_of(SPACES["Discrete"])(torch.tensor([[0.2, 0.3, 0.5]]).log())
    assert discrete.log_prob(torch.tensor([2])).item() == pytest.approx(math.log(0.5))
    multi = head_of(SPACES["MultiDiscrete"])(torch.tensor([[0.25, 0.75, 0.2, 0.3, 0.5]]).log())
    assert multi.log_prob(torch.tensor([[1, 0]])).item() == pytest.approx(math.log(0.75 * 0.2))
    odds = torch.tensor([[math.log(3), -math.log(4)]])  # yes with 3/4 and 1/5
    binary = head_of(SPACES["MultiBinary"])(odds)
    assert binary.log_prob(torch.tensor([[1, 1]])).item() == pytest.approx(math.log(0.75 * 0.2))
    assert binary.log_prob(torch.tensor([[0, 1]])).item() == pytest.approx(math.log(0.25 * 0.2))
    box = head_of(SPACES["Box"])(torch.tensor([[1.0, 0.0, 0.0, math.log(2.0)]]))
    by_hand = -0.5 - 0.5 - math.log(2.0) - math.log(2 * math.pi)  # one deviation off in each
    assert box.log_prob(torch.tensor([[2.0, 2.0]])).item() == pytest.approx(by_hand)
    assert box.entropy().item() == pytest.approx(1 + math.log(2 * math.pi) + math.log(2.0))


def test_the_discrete_policy_is_that_of_torch():
    head, policy = policies("Discrete", rows=4)
    theirs = TorchCategorical(logits=policy.parameters)
    actions = torch.tensor([0, 1, 2, 1])
    torch.testing.assert_close(policy.log_prob(actions), theirs.log_prob(actions))
    torch.testing.assert_close(policy.entropy(), theirs.entropy())
    other = head(policy.parameters.flip(1))
    flipped = TorchCategorical(logits=other.parameters)
    torch.testing.assert_close(policy.kl(other), kl_divergence(theirs, flipped))


@pytest.mark.parametrize("name", ["Discrete", "MultiDiscrete", "MultiBinary"])
def test_samples_have_the_policys_frequencies(name):
    """Chi-square over all actions of 20,000 draws."""
    head, policy = policies(name, rows=20_000)
    drawn = policy.sample(exponential(20_000, head.size))
    actions, counts = torch.unique(drawn.view(20_000, -1), dim=0, return_counts=True)
    actions = actions.view(-1, *head.action_shape)
    expected = 20_000 * policy[: len(actions)].log_prob(actions).exp()
    assert expected.sum().item() == pytest.approx(20_000)  # every action was drawn
    assert stats.chisquare(counts.numpy(), expected.numpy()).pvalue > 0.01


def test_samples_of_a_box_are_normal():
    head, policy = policies("Box", rows=20_000)
    drawn = policy.sample(exponential(20_000, head.size))
    normal = ((drawn - policy.mean) / policy.std).numpy()
    for column in normal.T:
        assert stats.kstest(column, "norm").pvalue > 0.01
    assert abs(np.corrcoef(normal.T)[0, 1]) < 0.03


@pytest.mark.parametrize("name", SPACES)
def test_entropy_and_kl_are_means_of_log_probabilities(name):
    head, policy = policies(name, rows=40_000)
    other = head(policy.parameters.roll(1, dims=1) * 0.7)
    drawn = policy.sample(exponential(40_000, head.size, seed=1))
    own, theirs = policy.log_prob(drawn), other.log_prob(drawn)
    assert policy.entropy()[0].item() == pytest.approx(-own.mean().item(), abs=0.03)
    assert policy.kl(other)[0].item() == pytest.approx((own - theirs).mean().item(), rel=0.06)
    assert policy.kl(policy)[0].item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", SPACES)
def test_the_mode_is_the_likeliest_action(name):
    head, policy = policies(name, rows=500)
    drawn = policy.sample(exponential(500, head.size))
    assert (policy.log_prob(policy.mode()) >= policy.log_prob(drawn)).all()


@pytest.mark.parametrize("name", SPACES)
def test_the_score_is_the_log_probability_but_for_what_no_action_changes(name):
    head, policy = policies(name, rows=50)
    drawn = policy.sample(exponential(50, head.size))
    rest = policy.log_prob(drawn) - policy.score(drawn)
    if name == "Box":  # of a density, the square of the action belongs to the base measure
        rest = rest + ((drawn / policy.std).square() / 2).sum(1)
    torch.testing.assert_close(rest, rest[:1].expand(50))


@pytest.mark.parametrize("name", SPACES)
def test_the_likeliest_actions_score_has_a_gradient(name):
    head, policy = policies(name)
    parameters = policy.parameters.clone().requires_grad_()
    policy = head(parameters)
    policy.score(policy.mode()).sum().backward()
    assert parameters.grad.abs().sum() > 0


@pytest.mark.parametrize("name", SPACES)
def test_the_layer_gives_the_parameters_and_learns(name):
    head = head_of(SPACES[name])
    layer = head.layer(7)
    policy = head(layer(torch.randn(5, 7)))
    assert policy.parameters.shape == (5, head.size)
    drawn = policy.sample(exponential(5, head.size).float())
    assert drawn.shape == (5, *head.action_shape) and drawn.dtype == head.dtype
    (policy.log_prob(drawn.detach()) + policy.entropy()).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


def test_the_environment_gets_actions_of_its_own_space():
    for space, action, wanted in [
        (spaces.Discrete(3, start=5), torch.tensor([2]), 7),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), torch.tensor([[1, 2, 3, 4]]), [[1, 2], [3, 4]]),
        (spaces.MultiBinary([1, 2]), torch.tensor([[1, 0]]), [[1, 0]]),
        (spaces.Box(0.0, 10.0, (2,)), torch.tensor([[0.5, -7.0]]), [7.5, 0.0]),
        (spaces.Box(-np.inf, np.inf, (1,), np.float64), torch.tensor([[3.5]]), [3.5]),
        (spaces.Box(0.0, np.inf, (1,)), torch.tensor([[-3.5]]), [0.0]),
    ]:
        given = head_of(space).for_environment(action)
        assert given.dtype == space.dtype and given.shape == (1, *space.shape)
        np.testing.assert_array_equal(given[0], wanted)
        assert space.contains(given[0])


@pytest.mark.parametrize("space", [spaces.Text(3), spaces.Box(0, 9, (2,), np.int64)])
def test_a_space_without_a_policy_is_refused(space):
    with pytest.raises(UserError, match="MultiBinary"):
        head_of(space)

import pytest
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop
from torch import nn

from rl_attn.agents import ActorCritic
from rl_attn.attention import (
    class_score,
    guided_backpropagation,
    input_gradient,
)
from rl_attn.attention.guided import guided_relus

# captum announces what it does to the model
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


def test_it_is_captums(net, pictures, labels, untouched):
    theirs = GuidedBackprop(net).attribute(pictures, target=labels)
    ours = guided_backpropagation(class_score(net, labels), pictures)
    assert theirs.abs().max() > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)
    assert untouched(net) and not pictures.requires_grad


def test_by_hand():
    x = torch.tensor([[[[1.0, -1.0, 2.0]]]])
    weight = torch.tensor([3.0, 5.0, -7.0])  # relu stops the second input, guidance the third
    guided = guided_backpropagation(lambda p, rows: (p.relu() * weight).sum(dim=(1, 2, 3)), x)
    assert guided.tolist() == [[[[3.0, 0.0, 0.0]]]]


def test_the_tasks_own_forward_and_every_spelling_of_relu():
    weight = torch.tensor([3.0, 5.0, -7.0])
    spellings = [
        F.relu,
        torch.relu,
        torch.Tensor.relu,
        nn.ReLU(),
        nn.ReLU(inplace=True),
        lambda t: F.relu(input=t),
        lambda t: (t * 1).relu_(),
    ]
    for relu in spellings:
        x = torch.tensor([[1.0, -1.0, 2.0]], requires_grad=True)
        with guided_relus() as guided:
            score = (relu(x * 1) * weight).sum(1)
        assert guided.gradient(score, x).tolist() == [[3.0, 0.0, 0.0]]
        assert input_gradient(score, x).tolist() == [[3.0, 0.0, -7.0]]  # of the same forward


def test_the_tasks_loss_keeps_its_true_gradient(net, pictures, labels):
    plain = F.cross_entropy(net(pictures), labels)
    with guided_relus():
        guided = F.cross_entropy(net(pictures), labels)
    found = [torch.autograd.grad(loss, list(net.parameters())) for loss in (plain, guided)]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_functional_relus_of_the_agent_are_guided():
    torch.manual_seed(0)
    agent = ActorCritic(1, (36, 36), 3)
    frames = torch.rand(2, 1, 36, 36)

    def value(pictures, rows):
        features = F.relu(agent.convolutions(pictures))
        hidden = F.relu(agent.hidden(features.permute(0, 2, 3, 1).flatten(1)))
        return agent.critic(hidden)[:, 0]

    guided = guided_backpropagation(value, frames)
    leaf = frames.clone().requires_grad_()
    assert (guided - input_gradient(value(leaf, None), leaf)).abs().max() > 1e-4
    assert all(parameter.grad is None for parameter in agent.parameters())


def test_batch_is_a_loop(net, pictures, labels):
    batch = guided_backpropagation(class_score(net, labels), pictures)
    for b in range(5):
        alone = guided_backpropagation(class_score(net, labels[b : b + 1]), pictures[b : b + 1])
        torch.testing.assert_close(batch[b : b + 1], alone, rtol=1e-4, atol=1e-7)


def test_gradcheck_by_pictures_and_weights():
    generator = torch.Generator().manual_seed(2)
    pictures = torch.randn(2, 1, 2, 3, dtype=torch.float64, generator=generator).requires_grad_()
    weight = torch.randn(6, 4, dtype=torch.float64, generator=generator).requires_grad_()

    def attribution(pictures, weight):
        def score(x, rows):
            return torch.tanh(F.relu(x.flatten(1) @ weight)).sum(1)

        return guided_backpropagation(score, pictures)

    assert torch.autograd.gradcheck(attribution, (pictures, weight))


@pytest.mark.parametrize("second_order", [True, False])
def test_second_order(net, pictures, labels, second_order):
    score_of = class_score(net, labels)
    guided = guided_backpropagation(score_of, pictures, second_order=second_order)
    assert guided.requires_grad is second_order
    if second_order:
        (found,) = torch.autograd.grad(guided.square().sum(), next(net.parameters()))
        assert found.abs().max() > 0


def test_a_network_without_relu_is_refused(pictures):
    with pytest.raises(ValueError, match="no ReLU"):
        guided_backpropagation(lambda x, rows: F.gelu(x).sum(dim=(1, 2, 3)), pictures)

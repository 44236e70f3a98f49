"""Where cells are found to lie, against hand-computed places and against what is measured."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rl_attn.agents import NETWORKS, ActorCritic
from rl_attn.attention import Attention, find_cells, grad_cam
from rl_attn.supervised.backbones import SMALL, build
from rl_attn.supervised.network import Network


class Own(nn.Module):
    """Functions instead of modules, a residual branch, strides that differ between the axes."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 5), nn.Conv2d(4, 4, (3, 4), (1, 2), padding=(1, 0))
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        x = F.max_pool2d(self.a(F.pad(x, (1, 0, 2, 0))), 2)
        return self.norm(self.b(x) + self.b(x.relu()))


class Opaque(torch.autograd.Function):
    """A pooling by 4 that says nothing of itself."""

    @staticmethod
    def forward(ctx, x):
        return x.unflatten(3, (-1, 4)).mean(4).unflatten(2, (-1, 4)).mean(3)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.repeat_interleave(4, 2).repeat_interleave(4, 3) / 16


@pytest.mark.parametrize(
    ("network", "cells"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 8, 4), nn.ReLU(), nn.Conv2d(2, 2, 4, 2)), (9.5, 8.0)),
        (nn.Conv2d(1, 1, 3, dilation=2), (2.0, 1.0)),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.AvgPool2d(2)), (0.5, 2.0)),
        (nn.Conv2d(1, 1, 3, padding="same"), (0.0, 1.0)),
        # rows: 2 - 2 = 0, pool + 0.5, step 2; columns: 2 - 1 = 1, pool + 0.5, + 2 * 1.5, step 4
        (Own(), ((0.5, 2.0), (4.5, 4.0))),
        (nn.Identity(), (0.0, 1.0)),
    ],
)
def test_hand_computed_places(network, cells):
    assert find_cells(network, torch.zeros(2, 1, 44, 60)) == cells


def test_what_cannot_be_read_is_probed():
    merged = nn.Sequential(nn.Conv2d(1, 2, 1), nn.PixelUnshuffle(4))  # patches by a reshape
    assert find_cells(merged, torch.zeros(1, 1, 32, 32)) == (1.5, 4.0)
    torch.manual_seed(0)
    unpadded = nn.Sequential(nn.Conv2d(1, 4, 17), nn.Conv2d(4, 4, 17))
    found = find_cells(lambda x: Opaque.apply(unpadded(x)), torch.zeros(1, 1, 64, 64))
    for first, step in found:  # of rows, of columns; evenly would be (3.5, 8)
        assert first == pytest.approx(17.5, abs=4) and step == pytest.approx(4, abs=0.5)


def test_the_network_is_left_as_it_was():
    network = Own().train()
    network.norm.eval()
    network.b.requires_grad_(False)
    before = network.norm.running_mean.clone(), torch.get_rng_state()
    with torch.no_grad():
        find_cells(network, torch.zeros(1, 1, 44, 60))
    assert network.training and not network.norm.training and network.a.weight.grad is None
    assert torch.equal(network.norm.running_mean, before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def peak(attention: Attention, size: tuple[int, int]) -> tuple[int, int]:
    flat = attention.upsample(size)[0].flatten().argmax().item()
    return divmod(flat, size[1])


def cells_off(attention: Attention, at: tuple[int, int], size: tuple[int, int]) -> float:
    distances = [abs(a - b) for a, b in zip(peak(attention, size), at, strict=True)]
    return max(distances) / attention.cells[1]


def peaked(model: nn.Module) -> nn.Module:
    """Weights positive, kernels highest amid their window: a bright pixel on black is the only
    evidence there is, and strongest for the cell whose window lies round it."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.zero_() if name.endswith("bias") else parameter.abs_()
            if parameter.ndim == 4:
                hill = torch.hann_window(parameter.shape[2] + 2, periodic=False)[1:-1]
                parameter.copy_(parameter.mean((2, 3), keepdim=True) * hill[:, None] * hill)
    return model


@pytest.mark.parametrize("at", [(14, 14), (9, 18), (18, 11)])
@pytest.mark.parametrize("name", [n for n in SMALL if n != "rrr-mlp"])
def test_a_bright_pixel_is_where_the_map_of_a_small_backbone_peaks(name, at):
    torch.manual_seed(0)
    network = Network(peaked(build(name, 1, 10, (28, 28))), "conv2")
    x = torch.zeros(1, 1, 28, 28)
    x[0, 0, at[0], at[1]] = 1
    attention = network(x).grad_cam(torch.tensor([3]))
    assert cells_off(attention, at, (28, 28)) <= 1


@pytest.mark.parametrize("at", [(30, 40), (14, 60), (47, 24)])
@pytest.mark.parametrize("name", ["impala", "impoola"])
@pytest.mark.parametrize("tap", ["", "sequences.1", "sequences.0.1"])
def test_a_bright_pixel_is_where_the_map_of_a_residual_network_peaks(name, tap, at):
    torch.manual_seed(0)
    agent = peaked(NETWORKS[name](1, (60, 80), 3, tap, width_scale=0.25))
    x = torch.zeros(1, 1, 60, 80, dtype=torch.uint8)
    x[0, 0, at[0], at[1]] = 255
    output = agent(x)
    attention = Attention(grad_cam(output.value, output.features), agent.cells)
    assert cells_off(attention, at, (60, 80)) <= 1


@pytest.mark.parametrize("at", [(60, 80), (30, 120), (95, 50)])
def test_a_bright_pixel_is_where_the_map_of_the_agents_network_peaks(at):
    torch.manual_seed(0)
    agent = peaked(ActorCritic(1, (120, 160), 3))
    x = torch.zeros(1, 1, 120, 160, dtype=torch.uint8)
    x[0, 0, at[0], at[1]] = 255
    output = agent(x)
    attention = Attention(grad_cam(output.value, output.features), agent.cells)
    assert cells_off(attention, at, (120, 160)) <= 1
    pixels = find_cells(lambda x: agent._features(x)[0], torch.zeros(1, 1, 120, 160), model=agent)
    assert pixels == agent.cells

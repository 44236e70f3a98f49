"""What every network has from its base: a width, a core, and refusals."""

import pytest
import torch
from torch import nn

from rl_attn.agents import NETWORKS, Memory
from rl_attn.agents.networks import Network, Output, Trunk
from rl_attn.attention import explain, grad_cam
from rl_attn.errors import UserError
from rl_attn.rl.agent_attention import seen_by

FRAME, STEPS, LANES = (16, 24), 4, 3


class Small(Network):
    """As a stranger writes one."""

    def __init__(self, in_channels, frame_size, actions, tap="", **options):
        super().__init__(in_channels, frame_size, actions, tap, **options)
        self.layer_ = nn.Conv2d(in_channels, self.wide(6), 8, stride=8)
        self.add_heads(self.wide(6))

    def trunk(self, frames, shift=False):
        features = self.layer_(frames / 255).relu()
        return Trunk(features.mean(dim=(2, 3)), features)


class Whole(Network):
    """One that writes its forward, and takes no options."""

    def __init__(self, in_channels, frame_size, actions, tap=""):
        super().__init__(in_channels, frame_size, actions, tap)
        self.layer_ = nn.Conv2d(in_channels, 3, 8, stride=8)
        self.actor, self.critic = self.head.layer(3), nn.Linear(3, 1)

    def forward(self, frames, shift=False):
        features = self.layer_(frames / 255)
        hidden = features.mean(dim=(2, 3))
        return Output(self.head(self.actor(hidden)), self.critic(hidden)[:, 0], features)


def small(**options) -> Small:
    torch.manual_seed(3)
    return Small(2, FRAME, 3, **options)


def batch(steps: int = STEPS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (steps * LANES, 2, *FRAME)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", ["nature", "impala", "impoola"])
@pytest.mark.parametrize("recurrent", ["lstm", "gru"])
def test_any_network_may_have_a_core_and_a_width(name, recurrent):
    agent = NETWORKS[name](1, (36, 36), 3, width_scale=0.25, recurrent=recurrent)
    assert agent.memory_size == (256 if recurrent == "lstm" else 128)
    memory = agent.blank(2)
    output = agent(torch.zeros(2, 1, 36, 36, dtype=torch.uint8), memory=memory)
    channels = {"nature": 16, "impala": 8, "impoola": 8}[name]
    assert output.features.shape == (2, channels, *agent.grid)
    assert agent.actor.in_features == 128 and output.recall.after.shape == memory.state.shape
    assert agent.cells == NETWORKS[name](1, (36, 36), 3).cells


def test_a_network_without_a_core_is_the_same_network():
    agent = small()
    assert agent.memory_size == 0 and agent.blank(2) is None and agent.core is None
    assert agent(batch()).recall is None
    assert not any("core" in name for name in agent.state_dict())


def test_a_call_without_what_is_remembered_is_refused():
    with pytest.raises(UserError, match=r"memory=batch\.memory"):
        small(recurrent="gru")(batch())


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("name", ["grad-cam", "hires-cam", "input-gradient"])
def test_maps_of_a_sequence_are_those_of_its_frames_one_by_one(kind, name):
    """Each of its own value alone, what is remembered held fixed; the loss's gradient likewise."""
    agent, frames = small(recurrent=kind), batch()
    with torch.no_grad():
        agent.critic.weight.mul_(5)
    starts = torch.zeros(STEPS, LANES, dtype=torch.bool)
    starts[1, 0] = starts[3, 2] = True
    state = torch.randn(LANES, agent.memory_size, generator=torch.Generator().manual_seed(5))
    output = agent(frames, shift=True, memory=Memory(state, starts))
    together = explain(name, seen_by(agent, output, frames, "value")).map
    singly = []
    for frame, before in zip(frames, output.recall.before.detach(), strict=True):
        alone = agent(frame[None], shift=True, memory=Memory(before[None]))
        singly.append(explain(name, seen_by(agent, alone, frame[None], "value")).map)
    singly = torch.cat(singly)
    assert singly.detach().amax((1, 2)).max().item() == pytest.approx(1)
    torch.testing.assert_close(together, singly, rtol=1e-3, atol=1e-4)
    weights = [agent.layer_.weight, agent.core.cell.weight_ih, agent.critic.weight]
    one, other = (
        torch.autograd.grad(maps.square().mean(), weights, retain_graph=True)
        for maps in (together, singly)
    )
    for found, expected in zip(one, other, strict=True):
        size = expected.abs().max().item()
        assert size > 0
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3 * size)


def test_later_values_would_mix_into_the_map_of_a_frame():
    """Why what is remembered is held fixed: the sequence's own gradient is another."""
    agent, frames = small(recurrent="lstm"), batch()
    memory = Memory(agent.blank(LANES).state, torch.zeros(STEPS, LANES, dtype=torch.bool))
    output = agent(frames, memory=memory)
    held = agent.held(output)
    torch.testing.assert_close(held.value, output.value)
    mixed, own = (
        torch.autograd.grad(value.sum(), output.features, retain_graph=True)[0]
        for value in (output.value, held.value)
    )
    last = slice((STEPS - 1) * LANES, None)
    torch.testing.assert_close(mixed[last], own[last])
    assert not torch.allclose(mixed[:LANES], own[:LANES], rtol=0.1)


def test_a_forward_of_ones_own_needs_nothing_of_this():
    agent = Whole(2, FRAME, 3)
    output = agent(batch(), memory=None)
    assert output.recall is None and agent.grid == (2, 3) and agent.cells == (3.5, 8.0)
    assert grad_cam(output.value, output.features).shape == (STEPS * LANES, 2, 3)
    for options, words in (
        ({"recurrent": "lstm"}, "--recurrent lstm"),
        ({"width_scale": 2.0}, r"--width-scale 2\.0"),
    ):
        with pytest.raises(ValueError, match=words):
            Whole.check_options(options)
        Small.check_options(options)


def test_options_do_not_help_a_forward_of_ones_own_to_a_core():
    class Open(Whole):
        def __init__(self, *args, **options):
            super().__init__(*args)

    with pytest.raises(ValueError, match="a forward of its own"):
        Open.check_options({"recurrent": "gru"})

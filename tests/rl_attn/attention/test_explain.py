"""Maps by name: what each is, and that each trains in both halves."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from rl_attn.agents import NETWORKS, ActorCritic, Network, Output
from rl_attn.attention import (
    MAPS,
    PIXELS,
    Seen,
    as_map,
    contrast,
    explain,
    grad_cam,
    greydanus,
    input_gradient,
    layer_cam,
    sarfa,
)
from rl_attn.errors import UserError
from rl_attn.rl.agent_attention import seen_by
from rl_attn.rl.settings import AgentSettings, validate
from rl_attn.rl.trainer import Trainer

FRAME = (44, 52)


@pytest.fixture
def seen() -> Seen:
    torch.manual_seed(0)
    agent = ActorCritic(2, FRAME, 3)
    stacks = torch.randint(0, 256, (3, 2, *FRAME), dtype=torch.uint8)
    return seen_by(agent, agent(stacks), stacks, "action")


class Attentive(Network):
    """Frames in patches of 4 pixels, one layer of attention, the mean of its tokens."""

    def __init__(self, in_channels, frame_size, actions, tap=""):
        super().__init__(in_channels, frame_size, actions, tap)
        self.embed = nn.Conv2d(in_channels, 8, 4, 4)
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.value, self.policy = nn.Linear(8, 1), self.head.layer(8)

    def forward(self, frames, shift=False):
        features = self.embed(frames.float() / 255)
        tokens = features.flatten(2).transpose(1, 2)
        mixed = (tokens + self.mix(tokens, tokens, tokens, need_weights=False)[0]).mean(1)
        return Output(self.head(self.policy(mixed)), self.value(mixed)[:, 0], features)


@pytest.mark.parametrize("name", MAPS.names())
def test_maps_are_in_the_unit_and_know_their_cells(seen, name):
    grid, cells = (2, 3), (17.5, 8.0)
    if MAPS.kinds[name] == "blocks":
        agent = Attentive(2, FRAME, 3)
        seen = seen_by(agent, agent(seen.images), seen.images, "action")
        grid, cells = (11, 13), (1.5, 4.0)
    attention = explain(name, seen)
    assert attention.grid == (FRAME if MAPS.of_pixels(name) else grid)
    assert attention.cells == (PIXELS if MAPS.of_pixels(name) else cells)
    assert attention.map.min() >= 0
    assert attention.map.detach().amax((1, 2)).max().item() == pytest.approx(1)
    assert attention.map.requires_grad == (MAPS.kinds[name] != "probes")
    assert not explain(name, seen, second_order=False).map.isnan().any()


def test_a_name_is_its_function(seen):
    expected = grad_cam(seen.score, seen.features)
    torch.testing.assert_close(explain("grad-cam", seen).map, expected)
    expected = layer_cam(seen.score, seen.features)
    torch.testing.assert_close(explain("layer-cam", seen).map, expected)
    expected = grad_cam(contrast(seen.logits, seen.labels), seen.features)
    torch.testing.assert_close(explain("diff-grad-cam", seen).map, expected)
    pixels = seen.images.float().requires_grad_()
    score = seen.score_of(pixels, torch.arange(3))
    expected = as_map(input_gradient(score, pixels))
    torch.testing.assert_close(explain("input-gradient", seen).map, expected)


def test_an_unknown_name_is_answered_with_the_nearest(seen):
    with pytest.raises(UserError, match="did you mean grad-cam"):
        explain("grad-cm", seen)


def test_probes_are_their_functions(seen):
    pixels = seen.images.float()
    expected = sarfa(seen.logits_of, pixels, seen.labels)
    torch.testing.assert_close(explain("sarfa", seen).map, expected)
    expected = greydanus(seen.logits_of, pixels)
    torch.testing.assert_close(explain("greydanus", seen).map, expected)
    of_a_value, row = replace(seen, logits_of=None), torch.ones(1, dtype=torch.long)
    expected = greydanus(lambda x: seen.score_of(x, row.expand(len(x)))[:, None], pixels[1:2])
    torch.testing.assert_close(explain("greydanus", of_a_value).map[1:2], expected)
    for name in ("sarfa", "rise"):
        with pytest.raises(UserError, match="--attention-target action"):
            explain(name, of_a_value)


def test_a_map_that_cannot_be_trained_is_refused_by_name():
    for name in ("sarfa", "greydanus", "rise"):
        with pytest.raises(UserError, match=f"rl-attn evaluate --attention {name}"):
            MAPS.check_trained(name)
    with pytest.raises(UserError, match="this network computes none"):
        validate(AgentSettings(attention="le-grad", method="vanilla"))


@pytest.mark.parametrize("name", [name for name in MAPS if MAPS.kinds[name] != "probes"])
def test_every_map_trains_two_steps_in_ppo(name, monkeypatch):
    import spotlight  # noqa: F401 (registers the environment)

    monkeypatch.setitem(NETWORKS, "attentive", Attentive)
    small = {"num_envs": 1, "num_steps": 4, "num_minibatches": 2, "update_epochs": 1}
    network = "attentive" if name == "le-grad" else "nature"
    small |= {"env": "Spotlight-v0", "env_processes": False, "total_timesteps": 4}
    args = AgentSettings(**small, attention=name, network=network, device="cpu")
    with Trainer(args, torch.device("cpu"), "fp32") as trainer:
        trainer.start()
        trainer.rollout()
        before = [p.detach().clone() for p in trainer.agent.parameters()]
        logged = trainer.update()
    assert -1 <= logged["attention/camal"] <= 1
    moved = [not torch.equal(a, b) for a, b in zip(before, trainer.agent.parameters(), strict=True)]
    assert all(moved)


@pytest.mark.parametrize("rows", [[0], [0, 0], [0, 1], [0, 1, 2]])
def test_expected_gradients_never_compare_an_image_with_itself_alone(rows):
    agent, stacks = ActorCritic(2, FRAME, 3), torch.zeros(3, 2, *FRAME, dtype=torch.uint8)
    stacks[0, :, 10:20], stacks[1, :, :, 30:], stacks[2] = 200, 90, 130

    def maps_of(shown):
        seen = seen_by(agent, agent(shown), shown, "action")
        return explain("expected-gradients", seen, second_order=False).map

    found = maps_of(stacks[rows])
    assert found.isfinite().all() and (found.flatten(1).amax(1) > 0).all()
    assert torch.equal(found, maps_of(stacks[rows]))  # drawn alike in every call


def test_expected_gradients_of_nothing_but_zeros_are_refused():
    agent, stacks = ActorCritic(2, FRAME, 3), torch.zeros(2, 2, *FRAME, dtype=torch.uint8)
    with pytest.raises(UserError, match="each is zero everywhere"):
        explain("expected-gradients", seen_by(agent, agent(stacks), stacks, "action"))

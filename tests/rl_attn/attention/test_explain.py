"""Maps by name: what each is, and that each trains in both halves."""

import pytest
import torch

from rl_attn.agents import ActorCritic
from rl_attn.attention import (
    MAPS,
    PIXELS,
    Seen,
    as_map,
    contrast,
    explain,
    grad_cam,
    input_gradient,
    layer_cam,
)
from rl_attn.errors import UserError
from rl_attn.rl.settings import AgentSettings
from rl_attn.rl.trainer import Trainer
from rl_attn.rl.watch import seen_by

FRAME = (44, 52)


@pytest.fixture
def seen() -> Seen:
    torch.manual_seed(0)
    agent = ActorCritic(2, FRAME, 3)
    stacks = torch.randint(0, 256, (3, 2, *FRAME), dtype=torch.uint8)
    return seen_by(agent, agent(stacks), stacks, "action")


@pytest.mark.parametrize("name", sorted(MAPS))
def test_maps_are_in_the_unit_and_know_their_cells(seen, name):
    attention = explain(name, seen)
    assert attention.grid == (FRAME if MAPS.kinds[name] == "pixels" else (2, 3))
    assert attention.cells == (PIXELS if MAPS.kinds[name] == "pixels" else (17.5, 8.0))
    assert attention.map.min() >= 0
    assert attention.map.detach().amax((1, 2)).max().item() == pytest.approx(1)
    assert attention.map.requires_grad
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


@pytest.mark.parametrize("name", sorted(MAPS))
def test_every_map_trains_two_steps_in_ppo(name):
    small = {"num_envs": 1, "num_steps": 4, "num_minibatches": 2, "update_epochs": 1}
    args = AgentSettings(**small, total_timesteps=4, attention=name, device="cpu")
    with Trainer(args, torch.device("cpu"), "fp32") as trainer:
        trainer.start()
        trainer.rollout()
        before = [p.detach().clone() for p in trainer.agent.parameters()]
        logged = trainer.update()
    assert -1 <= logged["attention/camal"] <= 1
    moved = [not torch.equal(a, b) for a, b in zip(before, trainer.agent.parameters(), strict=True)]
    assert all(moved)

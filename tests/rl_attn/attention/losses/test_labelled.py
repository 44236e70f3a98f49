"""The losses that the documentation names for loops of others, on live and on dead maps."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import rl_attn.attention as core
from rl_attn.attention import Attention, camal, tap
from rl_attn.attention.labelled import attention_loss

DOCS = Path(__file__).parents[4] / "docs" / "your-loop.md"
NAMED = re.findall(
    r"`(\w+)`", re.search(r"with a mask: (.*?); or your own", DOCS.read_text(), re.S)[1]
)


def asked(loss, dead: bool):
    """The loss of two pictures and its gradient by the weights below the map."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).append(nn.Linear(4, 2))
    with torch.no_grad():
        model[4].weight.abs_().mul_(-1 if dead else 1)
    masks = torch.zeros(2, 8, 8)
    masks[:, 2:5, 2:5] = 1
    with tap(model, "1") as features:
        logits = model(torch.rand(2, 3, 8, 8))
    value = attention_loss(features, logits, torch.tensor([0, 1]), masks, loss)
    return value, torch.autograd.grad(value, model[0].weight)[0]


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("name", NAMED)
def test_every_named_loss_is_finite_on_live_and_dead_maps(name, dead):
    value, gradient = asked(getattr(core, name), dead)
    assert value.isfinite() and gradient.isfinite().all()
    assert name == "camal" or value >= 0
    assert gradient.any() or (dead and name != "camal")


def test_a_dead_map_is_signed_for_camal_and_zero_for_a_loss_of_one_s_own():
    seen = []

    def mine(attention: Attention, masks):
        seen.append(attention.map.detach())
        return camal(attention, masks)

    asked(mine, dead=True)
    assert not seen[0].any()
    for loss in (camal, partial(camal, empty_mask="suppress")):
        assert asked(loss, dead=True)[1].any()


def test_coverage_of_a_placed_map_is_that_of_the_bare_one_where_cells_tile_the_picture():
    maps, gaze = torch.rand(2, 4, 4), torch.rand(2, 8, 8)
    placed = core.coverage_gaze(Attention(maps, (0.5, 2.0)), gaze)
    torch.testing.assert_close(placed, core.coverage_gaze(maps, gaze))

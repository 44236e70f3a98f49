"""Removal and insertion of pixels, against single-frame loops and hand-made cases."""

import numpy as np
import pytest
import torch

from rl_attn.agents import ActorCritic
from rl_attn.rl.agent_attention import attention_maps
from rl_attn.rl.faithfulness import Curves, Removal, frame_curves, pixel_ranks
from rl_attn.rl.play import Moment


@pytest.fixture(scope="module")
def agent():
    torch.manual_seed(0)
    agent = ActorCritic(4, (44, 52), 3)
    torch.nn.init.orthogonal_(agent.actor.weight, 3.0)  # a policy with opinions
    return agent


@pytest.fixture(scope="module")
def stacks():
    return torch.randint(0, 256, (3, 4, 44, 52), dtype=torch.uint8)


def test_ranks_by_hand():
    attention = torch.tensor([[[0.1, 0.9], [0.5, 0.5]]])
    assert pixel_ranks(attention).tolist() == [[[3, 0], [1, 2]]]


def test_curves_equal_a_loop_over_frames_and_shares(agent, stacks):
    curves = frame_curves(agent, stacks, points=5)
    attention, _ = attention_maps(agent, stacks, "value")
    ranks = pixel_ranks(attention.upsample((44, 52))).flatten(1)
    for point, share in enumerate(curves.shares):
        count, values, kls = round(share * 44 * 52), [], []
        for i in range(len(stacks)):
            removed = stacks[i].clone().flatten(1)
            removed[:, ranks[i] < count] = 0
            with torch.no_grad():
                output = agent(removed.view(1, 4, 44, 52))
                true = agent(stacks[i : i + 1]).logits.log_softmax(-1)
            values.append(output.value.item())
            kl = torch.nn.functional.kl_div(
                output.logits.log_softmax(-1), true, log_target=True, reduction="sum"
            )
            kls.append(kl.item())
        assert curves.values["removal_attended_value"][point] == pytest.approx(
            np.mean(values), abs=1e-4
        )
        assert curves.values["removal_attended_kl"][point] == pytest.approx(np.mean(kls), abs=1e-4)


def test_removal_and_insertion_meet_at_their_ends(agent, stacks):
    values = frame_curves(agent, stacks, points=3).values
    for order in ("attended", "random"):
        removal, insertion = values[f"removal_{order}_kl"], values[f"insertion_{order}_kl"]
        assert removal[0] == pytest.approx(0, abs=1e-5)  # nothing is removed
        assert insertion[-1] == pytest.approx(0, abs=1e-5)  # everything is back
        assert removal[-1] == pytest.approx(insertion[0], abs=1e-5) and removal[-1] > 1e-3


def test_areas_by_hand():
    curves = Curves(np.array([0.0, 0.5, 1.0]), {"x": np.array([0.0, 1.0, 1.0])})
    assert curves.areas() == {"x": 0.75}
    assert curves.as_dict()["x"] == [0.0, 1.0, 1.0]


def moment(stacks: torch.Tensor, attention: torch.Tensor, masks: torch.Tensor) -> Moment:
    lanes = len(stacks)
    random = [np.random.default_rng(i) for i in range(lanes)]
    return Moment(stacks, np.empty(0), masks, attention, None, list(range(lanes)), random)


@pytest.fixture
def seen():
    stacks = torch.randint(1, 256, (2, 4, 10, 10), dtype=torch.uint8)
    masks = torch.zeros(2, 10, 10, dtype=torch.uint8)
    masks[:, 2:5, 3:7] = 1
    return moment(stacks, torch.rand(2, 10, 10), masks)


def test_attended_removal_blackens_the_top_share_in_every_frame_of_the_stack(seen):
    disturbed = Removal("attended", 0.13)(seen)
    gone = disturbed == 0
    assert (gone == gone[:, :1]).all()  # the same pixels of all four frames
    assert gone[:, 0].flatten(1).sum(1).tolist() == [13, 13]
    for lane in range(2):
        least_removed = seen.attention[lane][gone[lane, 0]].min()
        assert least_removed >= seen.attention[lane][~gone[lane, 0]].max()
    assert torch.equal(disturbed[~gone], seen.stacks[~gone])


def test_random_removal_takes_as_many_pixels_elsewhere_each_time(seen):
    removal = Removal("random", 0.13)
    first, second = removal(seen) == 0, removal(seen) == 0
    assert first[:, 0].flatten(1).sum(1).tolist() == [13, 13]
    assert not torch.equal(first, second)


def test_outside_mask_leaves_the_targets_alone(seen):
    disturbed = Removal("outside_mask")(seen)
    on = seen.masks.bool()[:, None].expand_as(disturbed)
    assert torch.equal(disturbed[on], seen.stacks[on])
    assert (disturbed[~on] == 0).all()


def test_mask_removes_the_targets_and_nothing_else(seen):
    disturbed = Removal("mask")(seen)
    on = seen.masks.bool()[:, None].expand_as(disturbed)
    assert on.any() and (disturbed[on] == 0).all()
    assert torch.equal(disturbed[~on], seen.stacks[~on])


def test_an_unknown_mode_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"'inverse'.*attended, random, outside_mask, mask"):
        Removal("inverse")

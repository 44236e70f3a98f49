"""Removal and insertion of pixels, against single-frame loops and hand-made cases."""

import numpy as np
import pytest
import torch

from rl_attn.agents import ActorCritic
from rl_attn.attention.curves import pixel_ranks
from rl_attn.rl.agent_attention import attention_maps
from rl_attn.rl.faithfulness import Curves, Removal, frame_curves
from rl_attn.rl.methods import Method
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
    full = attention.upsample((44, 52))
    ties = torch.rand(full.shape, generator=torch.Generator().manual_seed(0))
    ranks = pixel_ranks(full, ties).flatten(1)
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


def test_a_dead_maps_curves_are_those_of_random_order(agent, stacks):
    from copy import deepcopy

    dead = deepcopy(agent)
    torch.nn.init.zeros_(dead.critic.weight)  # V has no gradient: the map is zero
    values = frame_curves(dead, stacks, points=5).values
    for measure in ("removal_{}_kl", "insertion_{}_kl"):
        np.testing.assert_array_equal(
            values[measure.format("attended")], values[measure.format("random")]
        )


class Dims(Method):
    """Shows half the light, and judges by the mean pixel that is left."""

    def observe(self, stacks, masks, phase):
        return stacks // 2

    def judged(self, output, stacks, masks):
        return output._replace(value=(stacks * masks).float().mean((1, 2, 3)))


def test_pixels_go_before_a_method_shows_the_rest(agent, stacks):
    masks = torch.ones(3, 4, 44, 52, dtype=torch.uint8)
    values = frame_curves(agent, stacks, points=3, method=Dims(), masks=masks).values
    assert values["removal_random_value"][0] == pytest.approx(stacks.float().mean().item())
    assert values["removal_random_value"][-1] == 0
    plain = frame_curves(agent, stacks // 2, points=3).values
    np.testing.assert_allclose(values["removal_random_kl"], plain["removal_random_kl"], atol=1e-5)


def test_areas_by_hand():
    curves = Curves(np.array([0.0, 0.5, 1.0]), {"x": np.array([0.0, 1.0, 1.0])})
    assert curves.areas() == {"x": 0.75}
    assert curves.as_dict()["x"] == [0.0, 1.0, 1.0]


def moment(stacks: torch.Tensor, attention: torch.Tensor, masks: torch.Tensor) -> Moment:
    lanes = len(stacks)
    random = [np.random.default_rng(i) for i in range(lanes)]
    newest = masks[:, -1]
    frames, episode = np.empty(0), list(range(lanes))
    return Moment(stacks, masks, frames, newest, attention, None, episode, random)


@pytest.fixture
def seen():
    stacks = torch.randint(1, 256, (2, 4, 10, 10), dtype=torch.uint8)
    masks = torch.zeros(2, 4, 10, 10, dtype=torch.uint8)
    for frame in range(4):  # the target moves
        masks[:, frame, 2:5, frame : frame + 4] = 1
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


def test_a_shifted_removal_has_the_attended_shape_at_another_place(seen):
    seen.attention[:] = 0
    seen.attention[:, 4:7, 4:8] = 1
    removal = Removal("shifted", 0.12)
    first, second = (removal(seen)[:, 0] == 0 for _ in range(2))
    assert first.flatten(1).sum(1).tolist() == [12, 12]
    assert not torch.equal(first, second)
    for lane in range(2):
        rolls = [
            seen.attention[lane].bool().roll((y, x), (0, 1)) for y in range(10) for x in range(10)
        ]
        assert any(torch.equal(first[lane], rolled) for rolled in rolls[1:])


@pytest.mark.parametrize("mode", ["attended", "shifted"])
def test_without_a_map_the_pixels_are_scattered(seen, mode):
    seen.attention[:] = 0
    gone = torch.stack([Removal(mode, 0.2)(seen)[0, 0] == 0 for _ in range(50)]).float()
    assert gone.sum((1, 2)).tolist() == [20] * 50
    assert gone.mean(0)[:5].mean() == pytest.approx(0.2, abs=0.05)  # not the top of the frame


@pytest.mark.parametrize("mode", ["attended", "shifted", "random", "mask"])
def test_a_removal_leaves_the_noise_of_the_actions_as_it_is(seen, mode):
    Removal(mode)(seen)
    assert [g.random() for g in seen.random] == [np.random.default_rng(i).random() for i in (0, 1)]


def test_outside_mask_leaves_the_targets_alone(seen):
    disturbed = Removal("outside_mask")(seen)
    on = seen.mask_stacks.bool()
    assert torch.equal(disturbed[on], seen.stacks[on])
    assert (disturbed[~on] == 0).all()


def test_mask_removes_the_targets_and_nothing_else(seen):
    disturbed = Removal("mask")(seen)
    on = seen.mask_stacks.bool()
    assert on.any() and (disturbed[on] == 0).all()
    assert torch.equal(disturbed[~on], seen.stacks[~on])


def test_an_unknown_mode_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"'inverse'.*shifted, random, outside_mask, mask"):
        Removal("inverse")

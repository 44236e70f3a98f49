"""The CAMAL loss on an actor-critic: what is logged, and what its options mean."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from rl_attn.agents import ActorCritic, RolloutStorage
from rl_attn.attention import grad_cam, mask_weights, pool_mask, upsample
from rl_attn.rl.agent_attention import attention_maps
from rl_attn.rl.batch import Batch
from rl_attn.rl.distributed import ALONE
from rl_attn.rl.entries import entry
from rl_attn.rl.methods import Context
from rl_attn.rl.methods.camal import Camal, camal_terms
from rl_attn.rl.settings import AgentSettings


@pytest.fixture
def agent():
    torch.manual_seed(0)
    return ActorCritic(4, (120, 160), 3)


def method(agent, **options):
    camal = Camal(**options)
    camal.context = Context(agent, AgentSettings(), torch.device("cpu"), ALONE, torch.Generator())
    return camal


def random_stacks(number):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (number, 4, 120, 160), dtype=torch.uint8, generator=generator)


def batch_of(stacks, weights):
    actions, none = torch.zeros(len(stacks), dtype=torch.int64), torch.zeros(len(stacks))
    return Batch(stacks, none, actions, none, none, none, none, none, targets=weights, shown=stacks)


def logged_by(camal, stacks, weights):
    """Coefficient times the loss, and what is logged, as plain numbers."""
    output = camal.context.agent(stacks, shift=True)
    loss, log = camal.loss(camal.context.agent, output, batch_of(stacks, weights))
    return loss.item(), {name: entry(value).value.item() for name, value in log.items()}


def test_logged_alpha_and_beta_are_over_frames_with_a_target(agent):
    stacks = random_stacks(3)
    masks = torch.zeros(3, 120, 160)
    masks[0, 40:60, 50:90] = masks[2, :30] = 1
    weights = mask_weights(masks, agent.grid)
    loss, logged = logged_by(method(agent, camal=0.5), stacks, weights)
    _, seen = logged_by(method(agent), stacks[[0, 2]], weights[[0, 2]])
    assert logged["attention/empty_masks"] == pytest.approx(1 / 3)
    for name in ("attention/alpha", "attention/beta"):
        assert logged[name] == pytest.approx(seen[name], abs=1e-5)
    gap = logged["attention/beta"] - logged["attention/alpha"]
    assert logged["attention/camal"] == pytest.approx(2 / 3 * gap, abs=1e-5)
    assert loss == pytest.approx(0.5 * logged["attention/camal"])


@pytest.mark.parametrize("normalization", ["max", "minmax", "none"])
def test_the_loss_normalises_maps_as_told(agent, normalization):
    stacks = random_stacks(3)
    masks = torch.zeros(3, 120, 160)
    masks[:, 40:80, 50:90] = 1
    camal = method(agent, normalization=normalization)
    _, logged = logged_by(camal, stacks, mask_weights(masks, agent.grid))
    out = agent(stacks)
    raw = grad_cam(out.value, out.features, normalization="none").detach()
    low = raw.amin(dim=(1, 2), keepdim=True) if normalization == "minmax" else 0.0
    top = 1.0 if normalization == "none" else (raw - low).amax(dim=(1, 2), keepdim=True)
    upsampled = upsample((raw - low) / top, (120, 160))
    alpha, beta = upsampled[masks > 0].mean(), upsampled[masks == 0].mean()
    assert logged["attention/alpha"] == pytest.approx(alpha.item(), rel=1e-4)
    assert logged["attention/beta"] == pytest.approx(beta.item(), rel=1e-4)


def test_masks_are_compared_at_the_maps_grid_when_told(agent):
    storage = RolloutStorage(16, 2, (120, 160, 1))
    storage.masks[::2, 0, 30:50, 60:90] = 1
    weights, _ = method(agent, compare="mask-down").rollout(storage)
    pooled = pool_mask(storage.masks[:16].flatten(0, 1), agent.grid, agent.cells)
    seen = pooled.sum(dim=(1, 2)) > 0
    assert seen.sum() == 8 and torch.equal(weights.present, seen)
    inside = pooled[seen] / pooled[seen].sum(dim=(1, 2), keepdim=True)
    outside = (1 - pooled) / (1 - pooled).sum(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(weights.inside[seen], inside, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(weights.outside, outside, atol=1e-6, rtol=1e-4)


def test_at_zero_it_is_vanilla(agent):
    camal = method(agent, camal=0.0)
    assert not camal.attends and camal.rollout(RolloutStorage(2, 1, (36, 36, 1))) == (None, {})
    assert camal.loss(agent, agent(random_stacks(1)), None) == (None, {})


def terms(objective, empty_mask="skip"):
    """Two maps of 2x2 cells, one with a target in its first cell and one without any."""
    maps = torch.tensor([[[0.8, 0.2], [0.4, 0.0]], [[0.5, 0.5], [0.5, 0.5]]])
    masks = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    loss, _ = camal_terms(maps, mask_weights(masks, (2, 2)), empty_mask, objective)
    return loss.item()


def test_objectives_by_hand():
    """alpha 0.8; beta (0.2 + 0.4 + 0) / 3 = 0.2, and 0.5 without a target."""
    assert terms("camal") == pytest.approx((0.2 - 0.8) / 2)
    assert terms("suppress") == pytest.approx(0.2 / 2)
    assert terms("suppress", "suppress") == pytest.approx((0.2 + 0.5) / 2)
    shares = torch.tensor([0.8, 0.2, 0.4]) / 1.4
    peaked = -(shares * shares.log()).sum().item() / math.log(4)
    assert terms("entropy") == pytest.approx((peaked + 1) / 2, rel=1e-4)


@pytest.mark.parametrize("control", ["random", "shifted", "swapped"])
def test_controls_are_other_masks_of_the_same_area(agent, control):
    storage = RolloutStorage(40, 2, (120, 160, 1))
    for step in range(40):
        storage.masks[step, 0, 30 : 50 + step, 60:90] = 1
    masks = storage.masks[:40]
    wrong = method(agent, control=control).controlled(masks)
    assert wrong.shape == masks.shape and wrong.dtype == masks.dtype
    areas, before = (x.flatten(2).sum(2, dtype=torch.int64) for x in (wrong, masks))
    if control == "swapped":
        areas, before = areas.flatten().sort()[0], before.flatten().sort()[0]
    assert torch.equal(areas, before)
    overlap = (wrong & masks).sum() / masks.sum()
    assert overlap < (0.7 if control == "swapped" else 0.2)


def test_a_stretched_map_is_compared_as_if_its_cells_covered_the_frame(agent):
    storage = RolloutStorage(16, 2, (120, 160, 1))
    storage.masks[::2, 0, 30:50, 60:90] = 1
    weights, _ = method(agent, placement="stretched").rollout(storage)
    expected = mask_weights(storage.masks[:16].flatten(0, 1), agent.grid)
    placed, _ = method(agent).rollout(storage)
    torch.testing.assert_close(weights.inside, expected.inside)
    assert not torch.allclose(placed.inside, weights.inside)


# ---------------------------------------------------------------------- what they do to a toy

LETTER = {"dead_maps": "zero", "placement": "stretched"}


@pytest.fixture
def seeing(toy):
    """A toy whose value comes of positive evidence, so that no map is dead."""

    def ready(**options):
        this = toy("camal", **options)
        torch.nn.init.uniform_(this.agent.critic.weight, 0, 0.1)
        return this

    return ready


def on_target(this, target="value"):
    """Share of frames whose map is highest in the target's cell."""
    batch = this.batch()
    maps = attention_maps(this.agent, batch.stacks, target, batch.actions)[0].map.flatten(1)
    cells = F.avg_pool2d(batch.masks[:, -1:].float(), 4).flatten(1).argmax(1)
    return ((maps.argmax(1) == cells) & (maps.amax(1) > 0)).float().mean().item()


@pytest.mark.parametrize("options", [{}, LETTER], ids=["default", "to the letter"])
def test_the_map_goes_to_the_target(options, seeing):
    this = seeing(**options)
    before = on_target(this)
    this.train()
    assert before < 0.3 and on_target(this) > 0.9


@pytest.mark.parametrize("control", ["random", "shifted", "swapped"])
def test_with_wrong_masks_the_map_does_not_go_to_the_target(control, seeing):
    this = seeing(control=control)
    before = this.loss()[0].item()
    this.train()
    assert this.loss()[0].item() < before - 0.05 and on_target(this) < 0.15


def test_suppression_and_entropy_are_learned_and_do_not_find_the_target(seeing):
    for objective, steps in (("suppress", 60), ("entropy", 10)):
        this = seeing(objective=objective)
        before = this.loss()[0].item()
        this.train(steps)
        assert this.loss()[0].item() < 0.3 * before, objective
        assert on_target(this) < 0.15, objective


def test_to_the_letter_nothing_is_learned_from_dead_maps(toy):
    gradients = {}
    for dead in ("zero", "signed"):
        this = toy("camal", **LETTER | {"dead_maps": dead})
        this.agent.critic.weight.data.abs_().neg_()
        loss, log = this.loss()
        assert entry(log["attention/dead_maps"]).value == 1
        loss.backward()
        gradients[dead] = this.agent.cell.weight.grad.abs().sum().item()
    assert gradients["zero"] == 0 < gradients["signed"]


def test_the_taken_actions_map_by_hand(toy):
    """Of positive logits: each map is its action's mean weights times the features."""
    this = toy("camal", target="action", compare="mask-down", camal=0.5)
    torch.nn.init.uniform_(this.agent.actor.weight, 0, 1)
    batch = replace(this.batch(), actions=torch.arange(32) % 3)
    output = this.agent(batch.shown)
    loss, _ = this.method.loss(this.agent, output, batch)
    weights = this.agent.actor.weight.view(3, 8, 16).mean(2)[batch.actions]  # (B, K)
    maps = torch.einsum("bk,bkc->bc", weights, output.features.flatten(2))
    maps = maps / maps.amax(1, keepdim=True)
    cells = F.avg_pool2d(batch.masks[:, -1].float(), 4).flatten(1)  # one of 16 is 1
    gaps = (maps * (1 - cells)).sum(1) / 15 - (maps * cells).sum(1)
    assert loss.item() == pytest.approx(0.5 * gaps.mean().item(), rel=1e-4)


def test_the_taken_actions_map_goes_to_the_target_and_the_critic_stays(toy):
    this = toy("camal", target="action")
    torch.nn.init.uniform_(this.agent.actor.weight, 0, 0.1)
    before, critic = on_target(this, "action"), this.agent.critic.weight.clone()
    this.train()
    assert before < 0.3 and on_target(this, "action") > 0.9
    assert torch.equal(this.agent.critic.weight, critic)

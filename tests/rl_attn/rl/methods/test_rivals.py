"""What each rival's loss is, by hand, and that it does what it is for on a toy."""

import math
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from gymnasium.spaces import Discrete

from rl_attn.agents import Output, gae
from rl_attn.agents.heads import head_of
from rl_attn.attention import iou
from rl_attn.errors import UserError
from rl_attn.rl.batch import Batch
from rl_attn.rl.methods import METHODS
from rl_attn.rl.play import Player
from rl_attn.rl.settings import with_method
from rl_attn.rl.trainer import Trainer


def value_of(log, name):
    return getattr(log[name], "value", log[name]).item()


# ---------------------------------------------------------------------- what the agent is shown


def test_masked_input_is_frame_times_its_own_mask():
    stacks = torch.arange(1, 13, dtype=torch.uint8).view(1, 4, 1, 3)  # S = 2 frames of C = 2
    masks = torch.tensor([[[[1, 0, 0]], [[0, 0, 1]]]], dtype=torch.uint8)
    shown = METHODS["masked-input"]().observe(stacks, masks, "evaluate")
    assert shown.dtype == torch.uint8
    assert shown.tolist() == [[[[1, 0, 0]], [[4, 0, 0]], [[0, 0, 9]], [[0, 0, 12]]]]


def test_mask_channel_stands_behind_the_channels_of_its_frame():
    method = METHODS["mask-channel"]()
    stacks = torch.arange(1, 13, dtype=torch.uint8).view(1, 4, 1, 3)
    masks = torch.tensor([[[[1, 0, 0]], [[0, 0, 1]]]], dtype=torch.uint8)
    shown = method.observe(stacks, masks, "act")
    assert shown[0, :, 0].tolist() == [
        *([1, 2, 3], [4, 5, 6], [255, 0, 0]),
        *([7, 8, 9], [10, 11, 12], [0, 0, 255]),
    ]
    assert shown.shape[1] == method.channels(2, stack=2) == 6


def test_rad_learns_from_other_frames_than_it_acts_on(toy):
    this = toy("rad", augmentation="overlay")
    batch = this.batch()
    assert not torch.equal(batch.shown, batch.stacks)
    for phase in ("act", "evaluate"):
        assert this.method.observe(batch.stacks, batch.masks, phase) is batch.stacks


# ---------------------------------------------------------------------- consistency


def test_dracs_loss_by_hand(toy):
    this = toy("drac", drac=0.5)
    this.method.view = lambda stacks: torch.zeros_like(stacks)
    loss, log = this.loss()
    with torch.no_grad():
        plain, black = (this.agent(x) for x in (this.batch().stacks, torch.zeros(32, 2, 16, 16)))
    targets = plain.logits.log_softmax(1)
    kl = F.kl_div(black.logits.log_softmax(1), targets, reduction="batchmean", log_target=True)
    squared = (black.value - plain.value).square().mean()
    assert value_of(log, "consistency/policy") == pytest.approx(kl.item(), rel=1e-4)
    assert value_of(log, "consistency/value") == pytest.approx(squared.item(), rel=1e-4)
    assert loss.item() == pytest.approx(0.5 * (kl + squared).item(), rel=1e-4)


def test_a_twin_that_has_parted_does_not_count(toy, unprepared):
    this = unprepared("drac-twin", drac=2.0)
    batch = this.batch()
    black, kept = torch.zeros_like(batch.stacks), torch.zeros(32)
    kept[:4] = 1
    batch.targets = (black, kept)
    loss, _ = this.method.loss(this.agent, this.agent(batch.shown), batch)
    alone = toy("drac", drac=2.0)
    alone.agent, alone.method.view = this.agent, torch.zeros_like
    four = this.agent(batch.shown[:4])
    small = Batch(*[batch.stacks[:4]] * 8, shown=batch.shown[:4])
    expected, _ = alone.method.loss(this.agent, four, small)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_drac_makes_augmented_frames_change_less(toy):
    this = toy("drac", drac=1.0, augmentation="overlay")
    before = this.loss()[0].item()
    spread = this.agent(this.batch().stacks).value.std().item()
    this.train()
    after = this.agent(this.batch().stacks).value.std().item()
    assert this.loss()[0].item() / after**2 < 0.5 * before / spread**2  # and not by being constant


def policies(this):
    """KL of the policies of two views, and that of two samples."""
    policy = this.agent(this.batch().stacks).policy
    other = policy.kl(policy[[*range(1, 32), 0]]).mean().item()
    return value_of(this.loss()[1], "consistency/policy"), other


def test_drac_makes_the_policy_change_less_without_any_help_of_the_value(toy):
    this = toy("drac", drac=1.0, augmentation="overlay")
    torch.nn.init.zeros_(this.agent.critic.weight)
    torch.nn.init.normal_(this.agent.actor.weight, std=3.0)
    (before, other), value = policies(this), this.agent.critic.weight.clone()
    this.train()
    after, still = policies(this)
    assert after < 0.5 * before and still > other  # and not by acting alike everywhere
    assert torch.equal(this.agent.critic.weight, value)


def test_drac_twin_makes_twins_alike_and_learns_nothing_from_what_has_parted(unprepared):
    this = unprepared("drac-twin", drac=1.0)
    stacks, masks = this.batch().stacks, this.batch().masks
    noise = torch.randint_like(stacks, 150)
    twins = torch.where(masks > 0, stacks, noise)  # the same targets before another wall
    kept = torch.arange(32) % 2
    this.method.rollout = lambda storage: ((twins, kept), {})
    this.ready()
    torch.nn.init.normal_(this.agent.actor.weight, std=3.0)

    def changes():
        log = this.loss()[1]
        spread = this.agent(stacks).value.std().item() ** 2
        policy, other = policies(this)
        return policy / other, value_of(log, "consistency/value") / spread

    before = changes()
    this.train()
    assert all(a < 0.2 * b for a, b in zip(changes(), before, strict=True))
    twins[kept == 0] = 0
    moved = this.loss()[0].item()
    twins[kept == 0] = 255
    assert this.loss()[0].item() == moved


def test_drac_outside_leaves_the_targets_as_they_are(toy):
    this = toy("drac", where="outside")
    views = []
    agent = this.agent.forward
    this.agent.forward = lambda frames, shift=False: views.append(frames) or agent(frames)
    this.loss()
    stacks, view, on = this.batch().stacks, views[-1], this.batch().masks > 0
    assert torch.equal(view[on], stacks[on]) and (view[~on] != stacks[~on]).float().mean() > 0.9


def test_sgqns_saliency_is_where_the_value_comes_from(toy):
    """V hangs on one cell of the newest frame; 5 % of 256 pixels are 13 of its 16."""
    this = toy("sgqn", salient=0.05)
    with torch.no_grad():
        this.agent.cell.weight.zero_()
        this.agent.cell.weight[0, 1] = torch.linspace(1, 2, 16).view(4, 4)
        this.agent.critic.weight.zero_()
        this.agent.critic.weight[0, 5] = 1.0  # of channel 0: cell (1, 1)
    salient = this.method.saliency(this.agent, this.batch().stacks)
    older, newest = salient.unbind(1)
    assert not older.any()
    assert newest.flatten(1).sum(1).eq(13).all()
    assert newest[:, 4:8, 4:8].sum() == newest.sum() and not newest[:, 4, 4:7].any()


def test_of_a_gradient_in_few_pixels_these_alone_are_salient(toy):
    this = toy("sgqn", salient=0.5)
    with torch.no_grad():
        this.agent.cell.weight.abs_()
        this.agent.critic.weight.zero_()
        this.agent.critic.weight[0, 5] = 1.0
    salient = this.method.saliency(this.agent, this.batch().stacks)
    assert salient[:, :, 4:8, 4:8].all() and salient.sum() == 32 * 2 * 16


def test_sgqn_refuses_a_network_without_relu_before_a_game_starts(unprepared):
    this = unprepared("sgqn")
    maps = this.agent.maps
    this.agent.maps = lambda frames: F.silu(this.agent.cell(frames.float()))
    with pytest.raises(UserError, match="has none that runs: take --network nature"):
        this.ready()
    this.agent.maps = maps
    assert this.ready().method.head.out_channels == 2


def test_sgqns_loss_by_hand(toy):
    this = toy("sgqn", sgqn=0.5)
    for parameter in this.method.head.parameters():
        torch.nn.init.zeros_(parameter)
    loss, log = this.loss()
    batch = this.batch()
    salient = this.method.saliency(this.agent, batch.stacks)
    alone = this.agent(batch.stacks * salient).value
    squared = (this.agent(batch.stacks).value - alone).square().mean().item()
    assert value_of(log, "losses/salient") == pytest.approx(math.log(2), rel=1e-5)
    assert value_of(log, "consistency/salient") == pytest.approx(squared, rel=1e-4)
    assert loss.item() == pytest.approx(0.5 * (squared + math.log(2)), rel=1e-4)


def test_sgqn_makes_the_value_hang_on_what_is_salient(toy):
    this = toy("sgqn", sgqn=1.0)
    before = value_of(this.loss()[1], "consistency/salient")
    this.train()
    assert value_of(this.loss()[1], "consistency/salient") < 0.3 * before


# ---------------------------------------------------------------------- auxiliary losses


def test_a_segmentation_head_that_says_nothing_costs_log_2(toy):
    this = toy("segmentation-head", segmentation=0.5)
    torch.nn.init.zeros_(this.method.head.weight), torch.nn.init.zeros_(this.method.head.bias)
    loss, _log = this.loss()
    assert loss.item() == pytest.approx(0.5 * math.log(2), rel=1e-6)
    assert this.targets.shape == (32, 4, 4) and this.targets.flatten(1).sum(1).eq(1).all()


def test_a_segmentation_head_finds_the_targets_through_the_trunk(toy):
    this = toy("segmentation-head", segmentation=1.0)
    trunk = this.agent.cell.weight.clone()
    this.train(150)
    found = this.method.head(this.agent(this.batch().stacks).features)[:, 0].flatten(1).argmax(1)
    assert (found == this.targets.flatten(1).argmax(1)).float().mean() > 0.9
    assert not torch.equal(trunk, this.agent.cell.weight)


def test_rrr_by_hand(toy):
    """V = 0.5 * sum of all pixels: 0.25 for each pixel outside, 16 of 256 in each frame are on."""
    this = toy("rrr", rrr=2.0)

    def agent(frames):
        policy = head_of(Discrete(3))(torch.zeros(len(frames), 3))
        return Output(policy, 0.5 * frames.sum(dim=(1, 2, 3)), frames)

    batch = this.batch()
    loss, log = this.method.loss(agent, agent(batch.shown), batch)
    assert value_of(log, "losses/rrr") == pytest.approx(0.25 * 2 * (256 - 16))
    assert loss.item() == pytest.approx(2 * 0.25 * 2 * 240)


def test_rrr_moves_the_gradient_into_the_mask(toy):
    this = toy("rrr", rrr=1e4)

    def share():
        batch = this.batch()
        (gradient,) = torch.autograd.grad(this.agent(batch.shown).value.sum(), batch.shown)
        return (gradient.square()[batch.masks > 0].sum() / gradient.square().sum()).item()

    before = share()
    this.train(100)
    assert share() > 2 * before


def test_coverage_by_hand(toy):
    """Even activations on 16 cells, a target of one cell: KL = log 16."""
    this = toy("coverage", coverage=0.5)
    torch.nn.init.zeros_(this.agent.cell.weight)
    loss, _log = this.loss()
    assert loss.item() == pytest.approx(0.5 * math.log(16), rel=1e-5)


def test_coverage_activates_the_targets_cells(toy):
    this = toy("coverage", coverage=1.0)

    def highest():
        cells = this.agent(this.batch().stacks).features.mean(1).flatten(1).argmax(1)
        on = F.avg_pool2d(this.batch().masks[:, -1:].float(), 4)[:, 0].flatten(1).argmax(1)
        return (cells == on).float().mean().item()

    before = highest()
    this.train(150)
    assert highest() > max(0.8, before)


# ---------------------------------------------------------------------- masks in training only


def test_a_gate_finds_the_targets_and_the_agent_sees_nothing_else(toy):
    this = toy(
        "learned-gate", gate_dilation=0, gate_learning_rate=1e-2, gate_weight=3.0, gate_share=1.0
    )
    for _ in range(60):
        this.method.rollout(this.storage)
    batch = this.batch()  # shown: what the gate that acted lets through, which is nothing
    assert not batch.shown.any()
    shown = this.method.observe(batch.stacks, batch.masks, "act")
    let = this.method.gates(batch.stacks)
    assert iou(let.flatten(0, 1).float(), batch.masks.flatten(0, 1)).mean() > 0.6
    assert torch.equal(shown, batch.stacks * let)
    without = this.method.observe(batch.stacks, torch.zeros_like(batch.masks), "evaluate")
    assert torch.equal(without, shown)  # no mask at test


def test_a_gate_is_the_same_while_ppo_learns_from_its_rollout(toy):
    this = toy("learned-gate", gate="soft", gate_learning_rate=0.1)
    stacks, masks = this.batch().stacks, this.batch().masks
    acted = this.method.observe(stacks, masks, "act")
    this.method.rollout(this.storage)
    assert torch.equal(this.method.observe(stacks, masks, "learn"), acted)
    assert not torch.equal(this.method.observe(stacks, masks, "act"), acted)


def test_gates_of_a_rollout_are_made_once_and_are_those_that_acted(toy):
    this = toy("learned-gate", gate_learning_rate=1e-2, gate_share=1.0)
    for _ in range(60):
        this.method.rollout(this.storage)
    stacks, masks = this.batch().stacks, this.batch().masks
    acted = this.method.observe(stacks, masks, "act")
    this.targets, _ = this.method.rollout(this.storage)
    assert this.targets.dtype == torch.uint8 and this.targets.shape == masks[:, 0].shape
    assert acted.any() and torch.equal(this.batch().shown, acted)
    assert torch.equal(this.method.observe(stacks, masks, "learn"), acted)


def test_kept_gates_are_made_in_the_precision_of_the_run(toy):
    this = toy("learned-gate")
    asked = []
    context = replace(this.method.context, autocast=lambda: asked.append(1) or nullcontext())
    this.method.context = context
    this.method.kept(this.storage, this.storage.all_rows())
    assert asked


def test_a_gate_among_several_methods_shows_the_gates_that_it_has_kept(toy):
    this = toy("rad+learned-gate", gate_learning_rate=1e-2, gate_share=1.0)
    for _ in range(60):
        this.method.rollout(this.storage)
    this.method.observe(this.batch().stacks, this.batch().masks, "act")  # with what it was taught
    this.targets, _ = this.method.rollout(this.storage)
    gate = this.method.parts["learned-gate"]
    batch = this.batch()
    white = torch.full_like(batch.stacks, 255)
    own = replace(batch, stacks=white, targets=this.targets.of["learned-gate"])
    let = gate.shown(own) > 0
    assert let.any() and not let.all() and not batch.shown[~let].any()


def test_a_gates_options(toy):
    this = toy("learned-gate", gate="soft", gate_dilation=0)
    stacks = this.batch().stacks
    soft = this.method.gates(stacks)
    assert soft.is_floating_point() and soft.min() > 0 and soft.max() < 1
    assert this.method.observe(stacks, soft, "act").dtype == torch.uint8
    soft = this.method.gates(stacks)  # of the gate as it is taught by now
    this.method.gate_dilation = 1
    widened = F.max_pool2d(soft, 3, stride=1, padding=1)
    torch.testing.assert_close(this.method.gates(stacks), widened)
    this.method.gate, this.method.gate_threshold = "hard", soft.median().item()
    this.method.gate_dilation = 2
    hard = this.method.gates(stacks)
    expected = F.max_pool2d((soft > soft.median()).float(), 5, stride=1, padding=2)
    assert hard.dtype == torch.uint8 and torch.equal(hard.float(), expected)


def test_no_gradient_of_ppo_reaches_the_gate(toy):
    this = toy("learned-gate", gate="soft")
    batch = this.batch()
    output = this.agent(batch.shown)
    (output.value.sum() + output.logits.sum()).backward()
    gates = [*this.method.taught.parameters(), *this.method.acting.parameters()]
    assert len(this.parameters) == len(list(this.agent.parameters()))
    assert not any(p is q for p in gates for q in this.parameters)
    assert not batch.shown.requires_grad
    assert this.method.loss(this.agent, output, batch) == (None, {})


def test_an_asymmetric_critic_sees_the_targets_alone(unprepared):
    this = unprepared("asymmetric-critic")
    this.method.critic = type(this.agent)()
    batch = this.batch()
    output = this.agent(batch.shown)
    judged = this.method.judged(output, batch.stacks, batch.masks)
    expected = this.method.critic(batch.stacks * batch.masks).value
    assert torch.equal(judged.value, expected) and judged.policy is output.policy
    other = torch.where(batch.masks > 0, batch.stacks, 255)
    unmoved = this.method.judged(output, other, batch.masks).value
    torch.testing.assert_close(unmoved, expected)  # but for the layout's rounding
    judged.value.sum().backward()
    assert all(p.grad is None for p in this.agent.parameters())
    assert this.method.critic.critic.weight.grad.abs().sum() > 0


def test_training_learns_from_an_asymmetric_critics_values_and_bootstraps_with_them():
    """Values of the rollout, of the step after it, and of frames that the time limit cut off."""
    settings = with_method("asymmetric-critic")(
        env="spotlight:Spotlight-v0", env_processes=False, num_envs=2, num_steps=32,
        num_minibatches=2, update_epochs=1, width_scale=0.25,
    )  # fmt: skip
    with Trainer(settings, torch.device("cpu"), "fp32") as trainer:
        trainer.start()
        trainer.rollout()
        agent, critic, storage = trainer.agent, trainer.method.critic, trainer.storage

        def value(stacks, masks):
            with torch.no_grad():
                return critic(stacks * masks).value

        rows = storage.all_rows()
        values = value(storage.stacks(rows), storage.mask_stacks(rows)).view(32, 2)
        rewards, dones = torch.from_numpy(storage.rewards).clone(), torch.from_numpy(storage.dones)
        final = value(storage.final_stacks(), storage.final_masks())
        assert len(final) == 2  # either lane's limit is 25 steps
        rewards[storage.final_places()] += 0.99 * final
        after = value(storage.observation(32), storage.observed_masks(32))
        expected = gae(rewards, values, dones, after, 0.99, 0.95)
        advantages, returns = trainer.learner.advantages(storage)
        torch.testing.assert_close(storage.values, values, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(advantages, expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(returns, expected + values, atol=1e-4, rtol=1e-4)
        before = [network.critic.weight.clone() for network in (agent, critic)]
        trainer.update()
        assert torch.equal(agent.critic.weight, before[0])  # which nothing is learned from
        assert not torch.equal(critic.critic.weight, before[1])


def test_an_asymmetric_critic_fits_better_than_one_that_sees_the_frame(unprepared):
    """The return is how far right the newest target is; measured where all else is another."""
    this = unprepared("asymmetric-critic")
    batch = this.batch()
    stacks, masks = batch.stacks, batch.masks
    returns = masks[:, -1].any(dim=1).float().argmax(dim=1) / 16
    noise = torch.randint(0, 100, stacks.shape, dtype=torch.uint8, generator=this.random)
    others = torch.where(masks > 0, stacks, noise)

    def error(critic, seen, value):
        optimizer = torch.optim.Adam(critic.parameters(), lr=3e-3)
        for _ in range(200):
            optimizer.zero_grad()
            F.mse_loss(value(seen), returns).backward()
            optimizer.step()
        return F.mse_loss(value(others), returns).item()

    this.method.critic = deepcopy(this.agent)
    output = this.agent(stacks)
    asymmetric = error(
        this.method.critic, stacks, lambda seen: this.method.judged(output, seen, masks).value
    )
    own = error(this.agent, stacks, lambda seen: this.agent(seen).value)
    assert asymmetric < 0.1 * own and own < returns.var()


def test_a_students_loss_by_hand(toy):
    """KL((1/2, 1/2, 0) || (1/4, 1/4, 1/2)) = log 2."""
    this = toy("rad")
    method = METHODS["privileged-teacher"](imitation=3.0)
    none = torch.zeros(1)
    taught = torch.tensor([[0.5, 0.5, 1e-20]]).log()
    output = Output(this.agent.head(torch.tensor([[0.25, 0.25, 0.5]]).log()), none, none)
    batch = Batch(*[none] * 9, targets=taught)
    loss, _log = method.loss(this.agent, output, batch)
    assert loss.item() == pytest.approx(3 * math.log(2), rel=1e-5)


def test_a_student_comes_to_act_as_its_teacher(unprepared):
    this = unprepared("privileged-teacher", imitation=1.0)
    teacher = type(this.agent)()
    torch.nn.init.normal_(teacher.actor.weight)
    player = Player(teacher, None, METHODS["masked-input"]())
    this.method.prepare = lambda: setattr(this.method, "teacher", player)
    this.ready()
    batch = this.batch()
    expected = teacher(batch.stacks * batch.masks)
    torch.testing.assert_close(this.targets, expected.logits)
    before = this.loss()[0].item()
    this.train(100)
    assert this.loss()[0].item() < 0.1 * before
    agree = this.agent(batch.stacks).policy.mode() == expected.policy.mode()
    assert agree.float().mean() > 0.9

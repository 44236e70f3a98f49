"""The update's arithmetic: PPO's loss by hand, clipping, and what a rollout stores."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rl_attn.agents import Output
from rl_attn.attention import grad_cam, mask_weights, pool_mask, upsample
from rl_attn.rl.settings import Args
from rl_attn.rl.trainer import Trainer, attention_loss, explained_variance, ppo_loss

SMALL = Args(num_envs=2, num_steps=16, num_minibatches=2, update_epochs=1, device="cpu")


@pytest.fixture(scope="module")
def trainer():
    """After one rollout; no update."""
    with Trainer(SMALL, torch.device("cpu"), "fp32") as trainer:
        trainer.start()
        trainer.rollout()
        yield trainer


def batch(**changes: list[float]) -> dict[str, torch.Tensor]:
    values = {
        "log_probs": [math.log(0.5), math.log(0.5)],
        "values": [0.0, 0.0],
        "advantages": [1.0, -1.0],
        "returns": [1.0, 1.0],
        **changes,
    }
    tensors = {name: torch.tensor(value) for name, value in values.items()}
    return tensors | {"actions": torch.tensor([0, 0])}


def output(probability: float, values: list[float]) -> Output:
    """Two samples of a policy that takes action 0 with this probability."""
    logits = torch.tensor([[probability, 1 - probability]]).log().repeat(2, 1)
    return Output(logits, torch.tensor(values), torch.zeros(2, 1, 1, 1))


def test_the_clipped_objective_by_hand():
    """Ratio 1.2 is clipped to 1.1 where it would help, and not where it hurts (Eq. 7)."""
    args = Args(norm_adv=False, clip_vloss=False)
    _, logged = ppo_loss(output(0.6, [0.0, 0.0]), batch(), args)
    assert logged["losses/policy_loss"].item() == pytest.approx(-(1.1 - 1.2) / 2)
    assert logged["losses/clipfrac"].item() == 1.0
    assert logged["losses/approx_kl"].item() == pytest.approx(0.2 - math.log(1.2))
    entropy = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4))
    assert logged["losses/entropy"].item() == pytest.approx(entropy)


def test_the_value_loss_by_hand_clipped_and_not():
    """The step from 0 to 0.5 counts as 0.1 when clipped: (0.1 - 1)^2 instead of (0.5 - 1)^2."""
    out = output(0.5, [0.5, 0.5])
    _, clipped = ppo_loss(out, batch(), Args(clip_vloss=True))
    _, plain = ppo_loss(out, batch(), Args(clip_vloss=False))
    assert clipped["losses/value_loss"].item() == pytest.approx(0.5 * 0.81)
    assert plain["losses/value_loss"].item() == pytest.approx(0.5 * 0.25)


def test_the_total_weighs_its_parts():
    loss, logged = ppo_loss(output(0.6, [0.5, 0.2]), batch(), SMALL)
    parts = {name.removeprefix("losses/"): value.item() for name, value in logged.items()}
    whole = parts["policy_loss"] - 0.01 * parts["entropy"] + 0.5 * parts["value_loss"]
    assert loss.item() == pytest.approx(whole)


def test_advantages_are_normalised_in_the_mini_batch():
    same = [ppo_loss(output(0.55, [0.0, 0.0]), b, SMALL)[0] for b in (
        batch(), batch(advantages=[30.0, 10.0])
    )]  # fmt: skip
    assert same[0].item() == pytest.approx(same[1].item(), abs=1e-5)


def test_explained_variance_by_hand():
    returns = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(torch.zeros(3), returns) == 0.0
    assert math.isnan(explained_variance(returns, torch.ones(3)))


def test_logged_alpha_and_beta_are_over_frames_with_a_target(trainer):
    stacks = torch.randint(0, 256, (3, 4, 120, 160), dtype=torch.uint8)
    masks = torch.zeros(3, 120, 160)
    masks[0, 40:60, 50:90] = masks[2, :30] = 1
    out = trainer.agent(stacks, shift=True)
    weights = mask_weights(masks, trainer.agent.grid)
    actions = torch.zeros(3, dtype=torch.int64)
    logged = attention_loss(out, actions, weights, SMALL)
    seen = attention_loss(
        trainer.agent(stacks[[0, 2]], shift=True), actions[:2], weights[[0, 2]], SMALL
    )
    assert logged["attention/empty_masks"].item() == pytest.approx(1 / 3)
    for name in ("attention/alpha", "attention/beta"):
        assert logged[name].item() == pytest.approx(seen[name].item(), abs=1e-5)
    gap = logged["attention/beta"] - logged["attention/alpha"]
    assert logged["attention/camal"].item() == pytest.approx(2 / 3 * gap.item(), abs=1e-5)


@pytest.mark.parametrize("normalization", ["max", "minmax", "none"])
def test_the_loss_normalises_maps_as_told(trainer, normalization):
    stacks = torch.randint(0, 256, (3, 4, 120, 160), dtype=torch.uint8)
    masks = torch.zeros(3, 120, 160)
    masks[:, 40:80, 50:90] = 1
    out = trainer.agent(stacks, shift=True)
    weights = mask_weights(masks, trainer.agent.grid)
    args = Args(normalization=normalization)
    logged = attention_loss(out, torch.zeros(3, dtype=torch.int64), weights, args)
    raw = grad_cam(out.value, out.features, normalization="none").detach()
    low = raw.amin(dim=(1, 2), keepdim=True) if normalization == "minmax" else 0.0
    top = 1.0 if normalization == "none" else (raw - low).amax(dim=(1, 2), keepdim=True)
    upsampled = upsample((raw - low) / top, (120, 160))
    alpha, beta = upsampled[masks > 0].mean(), upsampled[masks == 0].mean()
    assert logged["attention/alpha"].item() == pytest.approx(alpha.item(), rel=1e-4)
    assert logged["attention/beta"].item() == pytest.approx(beta.item(), rel=1e-4)


def test_masks_are_compared_at_the_maps_grid_when_told(trainer, monkeypatch):
    rollout = trainer.storage.masks[:16]
    masks, grid = rollout.flatten(0, 1), trainer.agent.grid
    monkeypatch.setattr(trainer, "args", replace(SMALL, compare="mask-down"))
    weights = trainer._mask_weights(rollout)
    pooled = pool_mask(masks, grid, trainer.agent.cells)
    seen = pooled.sum(dim=(1, 2)) > 0
    assert seen.any() and torch.equal(weights.present, seen)
    inside = pooled[seen] / pooled[seen].sum(dim=(1, 2), keepdim=True)
    outside = (1 - pooled) / (1 - pooled).sum(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(weights.inside[seen], inside, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(weights.outside, outside, atol=1e-6, rtol=1e-4)


def test_stored_values_and_log_probs_are_the_networks_own(trainer):
    storage = trainer.storage
    rows = storage.rows(slice(0, 16), slice(None)).flatten(0, 1)
    with torch.no_grad():
        out = trainer.agent(storage.stacks(rows))
    chosen = out.logits.log_softmax(-1).gather(1, storage.actions.flatten()[:, None])[:, 0]
    torch.testing.assert_close(storage.values.flatten(), out.value, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(storage.log_probs.flatten(), chosen, atol=1e-5, rtol=1e-4)


def test_actions_are_samples_of_the_policy(trainer):
    """The exponential race draws from the softmax: frequencies of 20,000 draws."""
    probabilities = torch.tensor([0.1, 0.2, 0.7])
    noise = torch.empty(20_000, 3).exponential_(generator=torch.Generator().manual_seed(0))
    drawn = (probabilities / noise).argmax(-1)
    frequencies = torch.bincount(drawn, minlength=3) / 20_000
    torch.testing.assert_close(frequencies, probabilities, atol=0.015, rtol=0)


def test_a_cut_off_episode_is_bootstrapped_with_its_last_frame(trainer):
    """Reward + gamma V(true last frame) in place of what the next episode is worth."""
    storage = trainer.storage
    before, _ = trainer._advantages()
    frame = np.full(storage.frame_shape, 200, np.uint8)
    saved = storage.dones.copy(), list(storage.final_frames)
    try:
        storage.dones[7, 1] = True
        without, _ = trainer._advantages()
        storage.record(7, slice(1, 2), storage.rewards[7, 1:2], np.array([True]), {0: frame})
        with_frame, _ = trainer._advantages()
        with torch.no_grad():
            value = trainer.agent(storage.final_stacks()[-1:]).value.item()
    finally:
        storage.dones[:], storage.final_frames = saved
    assert (with_frame - without)[7, 1].item() == pytest.approx(0.99 * value, abs=1e-4)
    torch.testing.assert_close(with_frame[:, 0], before[:, 0])
    torch.testing.assert_close(with_frame[8:, 1], before[8:, 1])


def gradient(trainer: Trainer, losses: list[torch.Tensor]) -> tuple[torch.Tensor, list]:
    norms = trainer._gradients(losses)
    return torch.cat([p.grad.flatten() for p in trainer.agent.parameters()]), norms


def test_separate_clipping_adds_the_clipped_gradients(trainer):
    stacks = torch.randint(0, 256, (2, 4, 120, 160), dtype=torch.uint8)

    def losses(scales: tuple[float, ...]) -> list[torch.Tensor]:
        out = trainer.agent(stacks)
        parts = (out.value.sum() + out.logits.sum(), out.value[0] - 2 * out.logits[1, 0])
        return [scale * part for scale, part in zip(scales, parts, strict=True)]

    first, norm = gradient(trainer, losses((1e3, 0.0))[:1])
    second, _ = gradient(trainer, losses((0.0, 1e-4))[1:])
    both, norms = gradient(trainer, losses((1e3, 1e-4)))
    assert first.norm().item() == pytest.approx(0.5, rel=1e-3) and norm[0] > 0.5
    assert norms[1] < 0.5  # small gradients are left as they are
    torch.testing.assert_close(both, first + second, atol=1e-6, rtol=1e-4)


def test_without_it_the_sum_is_clipped(trainer):
    stacks = torch.randint(0, 256, (2, 4, 120, 160), dtype=torch.uint8)
    out = trainer.agent(stacks)
    joint, norms = gradient(trainer, [1e3 * out.value.sum() + 1e3 * out.logits.sum()])
    assert joint.norm().item() == pytest.approx(0.5, rel=1e-3)
    assert len(norms) == 1

"""The update's arithmetic: clipping, bootstrapping, and what a rollout stores."""

import numpy as np
import pytest
import torch

from rl_attn.rl.settings import AgentSettings
from rl_attn.rl.trainer import Trainer

SMALL = AgentSettings(
    num_envs=2,
    num_steps=16,
    num_minibatches=2,
    update_epochs=1,
    device="cpu",
    frame_size="80x60",
)


@pytest.fixture(scope="module")
def trainer():
    """After one rollout; no update."""
    with Trainer(SMALL, torch.device("cpu"), "fp32") as trainer:
        trainer.start()
        trainer.rollout()
        yield trainer


def test_stored_values_and_log_probs_are_the_networks_own(trainer):
    storage = trainer.storage
    rows = storage.rows(slice(0, 16), slice(None)).flatten(0, 1)
    with torch.no_grad():
        out = trainer.agent(storage.stacks(rows))
    chosen = out.logits.log_softmax(-1).gather(1, storage.actions.flatten()[:, None])[:, 0]
    torch.testing.assert_close(storage.values.flatten(), out.value, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(storage.log_probs.flatten(), chosen, atol=1e-5, rtol=1e-4)


def test_a_cut_off_episode_is_bootstrapped_with_its_last_frame(trainer):
    """Reward + gamma V(true last frame) in place of what the next episode is worth."""
    storage = trainer.storage
    before, _ = trainer.learner.advantages(storage)
    frame = np.full(storage.frame_shape, 200, np.uint8)
    saved = storage.dones.copy(), list(storage.final_frames)
    try:
        storage.dones[7, 1] = True
        without, _ = trainer.learner.advantages(storage)
        final = {0: frame}, {0: frame[..., 0]}
        storage.record(7, slice(1, 2), storage.rewards[7, 1:2], np.array([True]), *final)
        with_frame, _ = trainer.learner.advantages(storage)
        with torch.no_grad():
            value = trainer.agent(storage.final_stacks()[-1:]).value.item()
    finally:
        storage.dones[:], storage.final_frames = saved
    assert (with_frame - without)[7, 1].item() == pytest.approx(0.99 * value, abs=1e-4)
    torch.testing.assert_close(with_frame[:, 0], before[:, 0])
    torch.testing.assert_close(with_frame[8:, 1], before[8:, 1])


def gradient(trainer: Trainer, losses: list[torch.Tensor]) -> tuple[torch.Tensor, list]:
    norms = trainer.learner.gradients(losses)
    return torch.cat([p.grad.flatten() for p in trainer.agent.parameters()]), norms


def test_separate_clipping_adds_the_clipped_gradients(trainer):
    stacks = torch.randint(0, 256, (2, 4, 60, 80), dtype=torch.uint8)

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
    stacks = torch.randint(0, 256, (2, 4, 60, 80), dtype=torch.uint8)
    out = trainer.agent(stacks)
    joint, norms = gradient(trainer, [1e3 * out.value.sum() + 1e3 * out.logits.sum()])
    assert joint.norm().item() == pytest.approx(0.5, rel=1e-3)
    assert len(norms) == 1

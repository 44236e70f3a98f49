from collections import deque

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer

from rl_attn.agents import RolloutStorage, gae

CUDA = pytest.param(
    "cuda",
    marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
)
DEVICES = ["cpu", CUDA]


class PlainLanes:
    """Lanes of random frames and ends; stacks kept one deque a lane, the slow and plain way."""

    def __init__(self, num_lanes, frame_shape, stack, seed):
        self.rng = np.random.default_rng(seed)
        self.shape, self.stack = frame_shape, stack
        self.lanes = [deque(maxlen=stack) for _ in range(num_lanes)]
        self.ages = [0] * num_lanes
        self.ages_at_truncation = set()
        for lane in range(num_lanes):
            self.begin(lane)

    def frame(self):
        return self.rng.integers(0, 256, self.shape, np.uint8)

    def begin(self, lane):
        self.lanes[lane].extend([self.frame()] * self.stack)
        self.ages[lane] = 0

    def step(self, lanes):
        """Rewards, dones and final frames of some lanes, and the true final stacks."""
        n = len(lanes)
        ends = self.rng.random(n) < 0.35
        truncated = ends & (self.rng.random(n) < 0.6)
        final_frames, final_stacks = {}, []
        for i, lane in enumerate(lanes):
            frame = self.frame()
            if truncated[i]:
                self.ages_at_truncation.add(min(self.ages[lane], self.stack))
                final_frames[i] = frame
                last = self.lanes[lane].copy()
                last.append(frame)
                final_stacks.append(self.as_stack(last))
            if ends[i]:
                self.begin(lane)
            else:
                self.lanes[lane].append(frame)
                self.ages[lane] += 1
        return self.rng.random(n).astype(np.float32), ends, final_frames, final_stacks

    @property
    def masks(self):
        """Each frame's own: a stack of masks is a stack of frames taken modulo 2."""
        return np.stack([frames[-1][..., 0] % 2 for frames in self.lanes])

    def current(self, lane):
        return self.lanes[lane][-1]

    def stacks(self):
        return np.stack([self.as_stack(lane) for lane in self.lanes])  # (N, S*C, H, W)

    @staticmethod
    def as_stack(frames):
        return np.concatenate([frame.transpose(2, 0, 1) for frame in frames])


def play_one_rollout(storage, plain, groups):
    """Fill the storage as the trainer does, checking each observation as the policy sees it.

    Returns the plain stacks (T+1, N, S*C, H, W), those of final frames, and the masks.
    """
    seen, masks, finals = [plain.stacks()], [plain.masks.copy()], []
    for step in range(storage.num_steps):
        for lanes in groups:
            observed = storage.observation(step, lanes).cpu().numpy()
            np.testing.assert_array_equal(observed, seen[step][lanes])
            numbers = list(range(*lanes.indices(storage.num_lanes)))
            rewards, dones, final_frames, final_stacks = plain.step(numbers)
            frame_inbox, mask_inbox = storage.inbox(step + 1, lanes)
            for i, lane in enumerate(numbers):
                frame_inbox[i], mask_inbox[i] = plain.current(lane), plain.masks[lane]
            storage.deliver(step + 1, lanes)
            final_masks = {i: frame[..., 0] % 2 for i, frame in final_frames.items()}
            storage.record(step, lanes, rewards, dones, final_frames, final_masks)
            finals += final_stacks
            np.testing.assert_array_equal(storage.rewards[step, lanes], rewards)
            np.testing.assert_array_equal(storage.dones[step, lanes], dones)
        seen.append(plain.stacks())
        masks.append(plain.masks.copy())
    return np.stack(seen), finals, np.stack(masks)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("num_steps", "stack", "channels"),
    [(9, 4, 1), (9, 4, 3), (2, 4, 1), (1, 4, 3), (5, 1, 3), (4, 2, 1)],
)
def test_stacks_are_those_of_one_deque_a_lane(num_steps, stack, channels, groups, device):
    num_lanes, shape = 4, (5, 6, channels)
    split = [slice(None)] if groups == 1 else [slice(0, 2), slice(2, 4)]
    storage = RolloutStorage(num_steps, num_lanes, shape, stack, device)
    plain = PlainLanes(num_lanes, shape, stack, seed=num_steps)
    frames, masks = storage.inbox(0)
    frames[:], masks[:] = [plain.current(lane) for lane in range(num_lanes)], plain.masks
    storage.deliver(0)

    for _ in range(2 + 40 // num_steps):
        expected, finals, expected_masks = play_one_rollout(storage, plain, split)
        rows = storage.rows(slice(None), slice(None))
        assert rows.shape == (num_steps + 1, num_lanes, stack)
        stacks = storage.stacks(rows.flatten(0, 1).to(storage.device)).cpu().numpy()
        np.testing.assert_array_equal(stacks.reshape(expected.shape), expected)
        np.testing.assert_array_equal(storage.masks.cpu().numpy(), expected_masks)
        masks = storage.mask_stacks(rows.flatten(0, 1).to(storage.device)).cpu().numpy()
        np.testing.assert_array_equal(masks, stacks[:, ::channels] % 2)
        for step in range(num_steps + 1):
            same = storage.stacks(rows[step].to(storage.device))
            assert torch.equal(storage.observation(step), same)
        assert len(storage.final_frames) == len(finals)
        if finals:
            np.testing.assert_array_equal(storage.final_stacks().cpu().numpy(), np.stack(finals))
            masks = storage.final_masks().cpu().numpy()
            np.testing.assert_array_equal(masks, np.stack(finals)[:, ::channels] % 2)
        storage.roll()
        assert torch.equal(storage.observation(0).cpu(), torch.from_numpy(expected[-1]))
        np.testing.assert_array_equal(storage.masks[0].cpu().numpy(), expected_masks[-1])
        masks = storage.observed_masks(0).cpu().numpy()
        np.testing.assert_array_equal(masks, expected[-1][:, ::channels] % 2)
        assert storage.final_frames == []
    assert plain.ages_at_truncation >= set(range(stack))  # cut off at every age that matters


def filled_storage(channels=3):
    storage = RolloutStorage(3, 2, (4, 5, channels))
    rng = np.random.default_rng(0)
    for step in range(4):
        frames, _ = storage.inbox(step)
        frames[:] = rng.integers(0, 256, frames.shape)
        if step:
            storage.record(step - 1, slice(None), np.zeros(2), np.zeros(2, bool), {}, {})
    return storage


def test_the_first_frame_fills_what_lies_before_it():
    storage = RolloutStorage(2, 1, (1, 1, 1))
    for step, value in enumerate((10, 20, 30)):
        storage.inbox(step)[0][:] = value
        if step:
            storage.record(step - 1, slice(None), np.zeros(1), np.zeros(1, bool), {}, {})
    stacks = [storage.observation(step).flatten().tolist() for step in range(3)]
    assert stacks == [[10, 10, 10, 10], [10, 10, 10, 20], [10, 10, 20, 30]]


def test_a_stack_never_reaches_across_an_episodes_start():
    storage = RolloutStorage(3, 1, (1, 1, 1))
    for step, value in enumerate((10, 20, 30, 40)):
        storage.inbox(step)[0][:] = value
        if step:  # the episode ends with the step that leads to 30
            storage.record(step - 1, slice(None), np.zeros(1), np.array([step == 2]), {}, {})
    stacks = [storage.observation(step).flatten().tolist() for step in (1, 2, 3)]
    assert stacks == [[10, 10, 10, 20], [30, 30, 30, 30], [30, 30, 30, 40]]


def test_black_frames_and_empty_masks_lie_before_an_episode_that_starts_black():
    storage = RolloutStorage(3, 1, (1, 1, 1), black_start=True)
    final, mask = {0: np.full((1, 1, 1), 35, np.uint8)}, {0: np.full((1, 1), 1, np.uint8)}
    for step, value in enumerate((10, 20, 30, 40)):
        frames, masks = storage.inbox(step)
        frames[:], masks[:] = value, 1
        if step:  # a limit cuts the episode off with the step that leads to 30
            ends = (final, mask) if step == 2 else ({}, {})
            storage.record(step - 1, slice(None), np.zeros(1), np.array([step == 2]), *ends)
    expected = [[0, 0, 0, 10], [0, 0, 10, 20], [0, 0, 0, 30], [0, 0, 30, 40]]
    stacks = [storage.observation(step).flatten().tolist() for step in range(4)]
    assert stacks == expected
    assert storage.stacks(storage.all_rows()).flatten(1).tolist() == expected[:3]
    masks = [storage.observed_masks(step).flatten().tolist() for step in range(4)]
    assert masks == [[int(value > 0) for value in stack] for stack in expected]
    assert storage.final_stacks().flatten().tolist() == [0, 10, 20, 35]
    storage.roll()
    assert storage.observation(0).flatten().tolist() == expected[3]


def test_a_final_stack_ends_in_the_frame_that_the_limit_cut_off():
    storage = RolloutStorage(2, 1, (1, 1, 1))
    storage.inbox(0)[0][:], storage.inbox(1)[0][:], storage.inbox(2)[0][:] = 10, 20, 99
    storage.inbox(1)[1][:] = 1
    storage.record(0, slice(None), np.zeros(1), np.array([False]), {}, {})
    final, mask = {0: np.full((1, 1, 1), 30, np.uint8)}, {0: np.full((1, 1), 1, np.uint8)}
    storage.record(1, slice(None), np.zeros(1), np.array([True]), final, mask)
    assert storage.final_stacks().flatten().tolist() == [10, 10, 20, 30]
    assert storage.final_masks().flatten().tolist() == [0, 0, 1, 1]
    assert storage.observation(2).flatten().tolist() == [99, 99, 99, 99]


def test_final_frames_know_their_lane_in_the_whole_storage():
    storage = RolloutStorage(1, 4, (2, 2, 1))
    final, mask = {1: np.zeros((2, 2, 1), np.uint8)}, {1: np.zeros((2, 2), np.uint8)}
    storage.record(0, slice(2, 4), np.zeros(2), np.array([False, True]), final, mask)
    assert [(f.step, f.lane) for f in storage.final_frames] == [(0, 3)]


@pytest.mark.parametrize("channels", [1, 3])
def test_stacks_are_uint8_and_channels_last_in_memory(channels):
    storage = filled_storage(channels)
    stacks = storage.observation(3)
    assert stacks.shape == (2, 4 * channels, 4, 5) and stacks.dtype == torch.uint8
    assert stacks.is_contiguous(memory_format=torch.channels_last)


def test_rows_may_be_picked_in_any_order():
    storage = filled_storage()
    rows = storage.rows(np.array([3, 0, 3]), np.array([1, 0, 1]))
    assert rows.shape == (3, 4) and rows.dtype == torch.int64
    picked = storage.stacks(rows)
    assert torch.equal(picked[0], storage.observation(3)[1])
    assert torch.equal(picked[1], storage.observation(0)[0])
    assert torch.equal(picked[2], picked[0])


def test_stacks_are_copies_that_later_frames_do_not_change():
    storage = filled_storage()
    stacks = storage.observation(1)
    before = stacks.clone()
    storage.frames.zero_()
    assert torch.equal(stacks, before)


def test_an_observation_after_the_last_step_is_refused():
    with pytest.raises(IndexError, match="step 4 of a rollout of 3"):
        filled_storage().observation(4)


def test_inbox_on_a_cpu_is_the_storage_itself():
    storage = RolloutStorage(3, 2, (4, 5, 1))
    frames, masks = storage.inbox(2, slice(1, 2))
    frames[:], masks[:] = 7, 1
    assert storage.frames[5, 1].eq(7).all() and storage.frames.sum() == 7 * 20
    assert storage.masks[2, 1].eq(1).all() and storage.masks.sum() == 20


def test_a_rollout_in_the_papers_setting_takes_less_than_200_megabytes():
    storage = RolloutStorage(128, 8, (240, 320, 1), device="meta")
    tensors = [t for t in vars(storage).values() if isinstance(t, torch.Tensor)]
    assert storage.nbytes == sum(t.numel() * t.element_size() for t in tensors)
    arrays = [a for a in vars(storage).values() if isinstance(a, np.ndarray)]
    assert storage.nbytes + sum(a.nbytes for a in arrays) < 200e6


# ---------------------------------------------------------------------- advantages


def random_rollout(num_steps=17, num_lanes=5):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    dones = torch.rand(num_steps, num_lanes, generator=generator) < 0.2
    assert dones.any() and not dones.all()
    shape = (num_steps, num_lanes)
    return draw(*shape), draw(*shape), dones, draw(num_lanes)


def test_gae_by_hand():
    rewards, values = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[4.0], [2.0], [6.0]])
    dones = torch.tensor([[False], [True], [False]])
    found = gae(rewards, values, dones, torch.tensor([8.0]), gamma=0.5, lam=0.5)
    # delta_2 = 3 + 8/2 - 6 = 1; delta_1 = 2 - 2 = 0, an end; delta_0 = 1 + 2/2 - 4 = -2.
    assert found.tolist() == [[-2.0], [0.0], [1.0]]
    found = gae(rewards, values, dones & False, torch.tensor([8.0]), gamma=0.5, lam=0.5)
    # delta_1 = 2 + 6/2 - 2 = 3, so A_1 = 3 + 1/4 and A_0 = -2 + 3.25/4.
    assert found.tolist() == [[-1.1875], [3.25], [1.0]]


@pytest.mark.parametrize(("gamma", "lam"), [(0.99, 0.95), (0.9, 0.0), (1.0, 1.0), (0.0, 0.5)])
def test_gae_is_the_loop_over_single_steps(gamma, lam):
    rewards, values, dones, last_value = random_rollout()
    expected = torch.zeros_like(values)
    for lane in range(values.shape[1]):
        advantage, following = 0.0, last_value[lane].item()
        for step in reversed(range(len(values))):
            value, done = values[step, lane].item(), bool(dones[step, lane])
            if done:
                advantage, following = 0.0, 0.0
            delta = rewards[step, lane].item() + gamma * following - value
            advantage = delta + gamma * lam * advantage
            expected[step, lane], following = advantage, value
    found = gae(rewards, values, dones, last_value, gamma, lam)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_gae_is_that_of_stable_baselines3():
    rewards, values, dones, last_value = random_rollout()
    num_steps, num_lanes = values.shape
    buffer = RolloutBuffer(
        num_steps,
        spaces.Box(-1, 1, (1,)),
        spaces.Discrete(2),
        gae_lambda=0.95,
        gamma=0.99,
        n_envs=num_lanes,
    )
    buffer.rewards, buffer.values = rewards.numpy(), values.numpy()
    buffer.episode_starts[1:] = dones[:-1].numpy()
    buffer.compute_returns_and_advantage(last_value, dones[-1].numpy())
    found = gae(rewards, values, dones, last_value, 0.99, 0.95)
    np.testing.assert_allclose(found.numpy(), buffer.advantages, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose((found + values).numpy(), buffer.returns, rtol=1e-5, atol=1e-5)


def test_a_cut_off_step_with_its_last_frames_value_is_a_step_before_it():
    rewards, values, _, _ = random_rollout(num_steps=4, num_lanes=1)
    last_frames_value, gamma = torch.tensor([0.7]), 0.9
    going_on = torch.zeros(4, 1, dtype=torch.bool)
    whole = gae(rewards, values, going_on, last_frames_value, gamma, 0.95)

    # The same four steps, cut off by a time limit, then two steps of another episode.
    cut = going_on.clone()
    cut[3] = True
    bootstrapped = rewards.clone()
    bootstrapped[3] += gamma * last_frames_value
    other = torch.tensor([[5.0], [-3.0]])
    found = gae(
        torch.cat([bootstrapped, other]),
        torch.cat([values, other]),
        torch.cat([cut, going_on[:2]]),
        torch.tensor([11.0]),
        gamma,
        0.95,
    )
    torch.testing.assert_close(found[:4], whole)


def test_nothing_leaks_back_across_an_episodes_end():
    rewards, values, dones, last_value = random_rollout()
    dones[8] = True
    before = gae(rewards, values, dones, last_value, 0.99, 0.95)
    rewards[9:], values[9:] = 100.0, -100.0
    after = gae(rewards, values, dones, last_value + 50, 0.99, 0.95)
    assert torch.equal(before[:9], after[:9])
    assert not torch.equal(before[9:], after[9:])

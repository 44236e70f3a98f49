"""Augmentations: a sample at a time gives the same, and what they keep."""

import pytest
import torch
import torch.nn.functional as F

from rl_attn.rl.augment import AUGMENTATIONS, masked, outside, per_channel, random_convolution


def stacks_of(number=3, frames=2, channels=3):
    random = torch.Generator().manual_seed(0)
    shape = (number, frames * channels, 9, 7)
    stacks = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
    return stacks.contiguous(memory_format=torch.channels_last)


def seeded():
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_random_convolution_is_each_samples_own_and_the_same_for_all_its_frames(channels):
    stacks = stacks_of(20, channels=channels)  # more than are convolved at once
    drawn = random_convolution(stacks, 2, seeded())
    kernels = torch.randn(20, channels, channels, 3, 3, generator=seeded())
    for sample in (0, 19):
        for frame in (0, 1):
            part = slice(frame * channels, (frame + 1) * channels)
            pixels = F.pad(stacks[sample : sample + 1, part] / 255, (1,) * 4, mode="replicate")
            expected = 255 * F.conv2d(pixels, kernels[sample]).sigmoid()[0]
            assert (drawn[sample, part] - expected).abs().max() <= 0.51


def test_an_overlay_is_half_the_frame_and_half_a_smooth_picture():
    black, white = torch.zeros(4, 2, 40, 40).byte(), torch.full((4, 2, 40, 40), 255).byte()
    low, high = (AUGMENTATIONS["overlay"](x, 2, seeded()).int() for x in (black, white))
    assert (high - low).eq(127).all()
    assert low.max() <= 128 and low.float().std() > 10
    assert torch.equal(low[:, 0], low[:, 1]) and not torch.equal(low[0], low[1])
    assert (low[:, :, 1:] - low[:, :, :-1]).abs().max() < 45  # 127 in a third of a cell of 40 / 12


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_generator_alone_decides(name):
    stacks = stacks_of()
    one, same = (AUGMENTATIONS[name](stacks, 2, seeded()) for _ in range(2))
    other = AUGMENTATIONS[name](stacks, 2, torch.Generator().manual_seed(6))
    assert one.dtype == torch.uint8 and one.shape == stacks.shape
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_soft_masks_round_and_hard_ones_are_exact():
    stacks = torch.tensor([[[[100, 255]]]], dtype=torch.uint8)
    assert masked(stacks, torch.tensor([[[[0.5, 0.1]]]])).tolist() == [[[[50, 26]]]]
    assert masked(stacks, torch.tensor([[[[1, 0]]]], dtype=torch.uint8)).tolist() == [[[[100, 0]]]]


def test_masks_belong_to_all_channels_of_their_frame():
    stacks, masks = stacks_of(1, frames=2, channels=3), torch.zeros(1, 2, 9, 7, dtype=torch.uint8)
    masks[0, 1, 2:4] = 1
    assert per_channel(masks, stacks)[0].flatten(1).any(1).tolist() == [False] * 3 + [True] * 3
    pasted = outside(stacks, torch.zeros_like(stacks), masks)
    assert torch.equal(pasted[0, 3:, 2:4], stacks[0, 3:, 2:4]) and not pasted[0, :3].any()

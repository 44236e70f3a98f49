"""Masks made during training: each picture's once, the same whatever batch it comes in."""

import torch

from rl_attn.teachers import Taught
from rl_attn.teachers.cache import MaskCache


class Counting:
    """A teacher whose mask is the picture's first channel, shifted by the label."""

    def __init__(self):
        self.asked = []

    def __call__(self, images, labels):
        self.asked.append(len(images))
        shift = 0 if labels is None else labels[:, None, None]
        return Taught((images[:, 0] / 255 + shift / 10).clamp(0, 1), torch.ones(len(images)))


def pictures(*values):
    return torch.stack([torch.full((3, 4, 4), value, dtype=torch.uint8) for value in values])


def test_only_new_pictures_are_asked_for_and_twins_once():
    teacher = Counting()
    cache = MaskCache(teacher, capacity=10)
    first = cache(pictures(10, 20, 10))
    again = cache(pictures(20, 30, 10))
    assert teacher.asked == [2, 1]
    assert (cache.hits, cache.misses, len(cache)) == (3, 3, 3)
    expected = torch.tensor([10, 20, 10, 20, 30, 10]) / 255
    torch.testing.assert_close(torch.cat([first, again])[:, 0, 0], expected)


def test_the_label_is_part_of_what_a_mask_is_of():
    teacher = Counting()
    cache = MaskCache(teacher, capacity=10)
    masks = cache(pictures(0, 0), torch.tensor([1, 2]))
    assert teacher.asked == [2]
    torch.testing.assert_close(masks[:, 0, 0], torch.tensor([26, 51]) / 255)


def test_the_longest_unused_go_first():
    teacher = Counting()
    cache = MaskCache(teacher, capacity=2)
    cache(pictures(1))
    cache(pictures(2))
    cache(pictures(1))  # 2 is now the longest unused
    cache(pictures(3))
    assert len(cache) == 2
    cache(pictures(1))
    assert teacher.asked == [1, 1, 1]
    cache(pictures(2))
    assert teacher.asked == [1, 1, 1, 1]


def test_a_batch_larger_than_the_cache_is_served_whole():
    cache = MaskCache(Counting(), capacity=2)
    masks = cache(pictures(5, 6, 7, 8))
    torch.testing.assert_close(masks[:, 1, 1] * 255, torch.tensor([5.0, 6.0, 7.0, 8.0]))
    assert len(cache) == 2

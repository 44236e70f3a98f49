"""Teachers that are trained here, and what they are shown."""

import torch
from torch import nn

from rl_attn.supervised.batches import View
from rl_attn.supervised.teachers import fit_teacher, moved, without_colour

VIEW = View(None, 3, torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.5, 0.25, 0.2]))


def test_teacher_starts_afresh_and_tells_what_it_reached():
    torch.manual_seed(0)
    x = torch.randn(120, 4)
    labels = (x[:, 0] > 0).long()
    model = nn.Linear(4, 2)
    with torch.no_grad():
        model.weight.fill_(50.0)  # weights that it must not start from
    state = torch.get_rng_state()
    accuracy = fit_teacher(
        model, lambda i: (x[i], labels[i]), 120, 200, torch.Generator().manual_seed(0)
    )
    assert accuracy > 0.9
    assert model.weight.abs().max() < 10
    assert torch.equal(torch.get_rng_state(), state)


def test_without_colour_by_hand():
    """Two pixels, (0.2, 0.4, 0.1) and (0.8, 0, 0): half as bright as the brightest, and that."""
    picture = torch.tensor([[[[0.2, 0.8]], [[0.4, 0.0]], [[0.1, 0.0]]]])
    mean, std = VIEW.mean[:, None, None], VIEW.std[:, None, None]
    seen = without_colour((picture - mean) / std, VIEW) * std + mean
    torch.testing.assert_close(seen, torch.tensor([0.5, 1.0]).expand(1, 3, 1, 2))


def test_a_black_picture_stays_black():
    mean, std = VIEW.mean[:, None, None], VIEW.std[:, None, None]
    black = (torch.zeros(1, 3, 2, 2) - mean) / std
    torch.testing.assert_close(without_colour(black, VIEW), black)


def test_moved_pictures_are_near_where_they_were_and_on_black():
    picture = torch.zeros(200, 1, 20, 20)
    picture[..., 8:12, 8:12] = 255
    changed = moved(picture, torch.Generator().manual_seed(0))
    assert changed.shape == picture.shape
    assert changed.min() >= 0 and changed.max() < 255.01
    near = (changed * (picture > 0)).sum() / changed.sum()
    assert 0.4 < near < 0.95
    again = moved(picture, torch.Generator().manual_seed(0))
    assert torch.equal(changed, again)

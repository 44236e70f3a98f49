import pytest
import torch

from rl_attn.attention.deviations import DIRECTIONS, KINDS, deviations, reach


def square(size=9, side=5):
    mask = torch.zeros(size, size)
    start = (size - side) // 2
    mask[start : start + side, start : start + side] = 1
    return mask


def test_a_square_by_hand():
    mask = square()
    # Shifted by 5 nothing is covered (by 4 a fifth still is); an erosion by 2 leaves its centre.
    assert [reach(mask, kind) for kind in KINDS] == [5, 2, 2]
    severities, maps = deviations(mask, "erode")
    assert severities.tolist() == [0, 1, 2]
    assert [m.sum().item() for m in maps] == [25, 9, 1]
    severities, maps = deviations(mask, "dilate")
    assert [m.sum().item() for m in maps] == [25, 49, 81]
    severities, maps = deviations(mask, "shift")
    assert [(m * mask).sum().item() for m in maps] == [25, 20, 15, 10, 5, 0]
    assert [m.sum().item() for m in maps] == [25, 25, 25, 20, 15, 10]  # it leaves the picture


@pytest.mark.parametrize("kind", KINDS)
def test_severity_starts_at_the_mask_itself_and_grows(kind):
    mask = square(40, 20)
    severities, maps = deviations(mask, kind, levels=6)
    assert torch.equal(maps[0], mask) and severities[0] == 0
    assert len(severities) == len(maps) <= 7 and (severities.diff() > 0).all()
    covered = (maps * mask).sum(dim=(1, 2))
    spilled = (maps * (1 - mask)).sum(dim=(1, 2))
    assert kind == "dilate" or (covered.diff() < 0).all()
    assert kind != "dilate" or (spilled.diff() > 0).all()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_shifts_go_where_they_should(direction):
    mask = square()
    _, maps = deviations(mask, "shift", 5, direction)
    assert torch.equal(maps[1], mask.roll(direction, (0, 1)))


def test_nine_tenths_are_gone_in_the_end():
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 1, 60, 80, generator=generator)
    smooth = torch.nn.functional.avg_pool2d(noise, 15, 1, 7)[0, 0]
    mask = (smooth > smooth.median()).float()
    _, maps = deviations(mask, "erode", levels=100)
    assert maps[-1].sum() <= 0.1 * mask.sum() < maps[-2].sum()


def test_a_shift_stops_before_objects_lie_on_their_neighbours():
    mask = torch.zeros(8, 40)
    mask[2:6, 2:8] = mask[2:6, 12:18] = 1  # shifted by 10 the left one would cover the right one
    assert reach(mask, "shift", (0, 1)) == 6


@pytest.mark.parametrize("kind", KINDS)
def test_empty_and_full_masks_have_nowhere_to_go(kind):
    for mask in (torch.zeros(5, 6), torch.ones(5, 6)):
        assert reach(mask, kind) == 0
        assert deviations(mask, kind)[0].tolist() == [0]


def test_unknown_kinds_are_named_with_the_choices():
    with pytest.raises(ValueError, match=r"'rotate'.*shift, erode, dilate"):
        reach(square(), "rotate")

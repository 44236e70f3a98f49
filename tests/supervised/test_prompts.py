import pytest
import torch

from rl_attn.errors import UserError
from rl_attn.supervised.prompts import Annotator, decode, encode, given


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def masks() -> torch.Tensor:
    """(50, 16, 16): a square on each."""
    masks = torch.zeros(50, 16, 16, dtype=torch.uint8)
    masks[:, 4:10, 4:12] = 255
    return masks


def test_a_prompt_is_a_mask_file_of_three_greys():
    prompts = torch.tensor([[[-1, 0, 1]]], dtype=torch.int8)
    assert encode(prompts).tolist() == [[[128, 0, 255]]]
    assert torch.equal(decode(encode(prompts).float() / 255), prompts)
    assert decode(torch.tensor([[[0.24, 0.26, 0.74, 0.76]]])).tolist() == [[[0, -1, -1, 1]]]


def test_a_picture_that_is_undecided_all_over_has_no_prompt():
    prompts = torch.full((3, 2, 2), -1)
    prompts[0, 0, 0], prompts[2, 1, 1] = 0, 1
    assert given(prompts).tolist() == [True, False, True]


def test_a_complete_prompt_is_the_mask(masks):
    prompts = Annotator(factual=1, counterfactual=1)(masks, generator())
    assert torch.equal(prompts, (masks > 127).to(torch.int8))


def test_what_is_decided_is_right_and_covers_the_shares_asked_for(masks):
    prompts = Annotator(factual=0.7, counterfactual=0.2)(masks, generator())
    on = masks > 127
    assert set(prompts[on].tolist()) == {-1, 1} and set(prompts[~on].tolist()) == {-1, 0}
    assert (prompts[on] == 1).float().mean().item() == pytest.approx(0.7, abs=0.05)
    assert (prompts[~on] == 0).float().mean().item() == pytest.approx(0.2, abs=0.03)
    cells = prompts[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(cells, prompts)  # strokes of 2 x 2 pixels here


def test_noise_turns_strokes_round(masks):
    said = Annotator(1, 1, noise=0.3)(masks, generator())
    wrong = said != (masks > 127)
    assert wrong.float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_a_shift_moves_every_mask_by_as_much(masks):
    moved = Annotator(1, 1, shift=0.125)(masks, generator()).float()  # 2 of 16 pixels
    places = torch.arange(16.0) + 0.5
    rows = (moved.sum(2) * places).sum(1) / moved.sum((1, 2))
    columns = (moved.sum(1) * places).sum(1) / moved.sum((1, 2))
    distance = ((rows - 7) ** 2 + (columns - 8) ** 2).sqrt()
    assert (distance - 2).abs().max() < 0.75  # whole pixels
    assert len({(r, c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True)}) > 6
    far = Annotator(1, 1, shift=1.0)(masks, generator())
    assert far.sum() < 0.1 * moved.sum()  # mostly out of the picture, and not in again


def test_an_empty_mask_does_not_tell_the_class():
    masks = torch.zeros(6, 16, 16, dtype=torch.uint8)
    masks[0, :4, :4], masks[3, 8:, 8:] = 255, 255
    said = Annotator(factual=1, counterfactual=1)(masks, generator()) == 1
    own = masks > 127
    assert torch.equal(said[0], own[0]) and torch.equal(said[3], own[3])
    assert all((part == own[0]).all() or (part == own[3]).all() for part in said)
    nothing = torch.zeros(2, 16, 16, dtype=torch.uint8)  # where nobody has one, nothing is told
    assert not (Annotator(1, 1)(nothing, generator()) == 1).any()


def test_the_generator_decides(masks):
    annotate = Annotator(0.5, 0.5, 0.2, 0.1)
    assert torch.equal(annotate(masks, generator()), annotate(masks, generator()))
    assert not torch.equal(annotate(masks, generator()), annotate(masks, generator(1)))


@pytest.mark.parametrize("flags", [{"factual": 1.5}, {"noise": -0.1}, {"factual": 0}])
def test_shares_that_cannot_be_are_refused(flags):
    with pytest.raises(UserError, match=next(iter(flags))):
        Annotator(**{"counterfactual": 0.0} | flags).check()

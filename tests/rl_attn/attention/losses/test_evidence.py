"""Evidence alignment: values by hand, invariances, and what it refuses."""

import math

import pytest
import torch

from rl_attn.attention import evidence_alignment


def test_by_hand():
    """Two classes in two cells; wanted (3/4, 1/4) and (1/2, 1/2), found (1/2, 1/2) in both."""
    wanted = torch.tensor([3.0, 1.0]).log().view(1, 2, 1, 1) * torch.tensor([1.0, 0.0])
    found = torch.zeros(1, 2, 1, 2)
    expected = (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2
    assert evidence_alignment(found, wanted).tolist() == pytest.approx([expected])


def test_batch_is_a_loop_over_cells():
    torch.manual_seed(0)
    found, wanted = torch.randn(3, 5, 2, 4), torch.randn(3, 5, 2, 4)
    for b, value in enumerate(evidence_alignment(found, wanted)):
        cells = [
            torch.distributions.kl_divergence(
                *(torch.distributions.Categorical(logits=x[b, :, i, j]) for x in (wanted, found))
            )
            for i in range(2)
            for j in range(4)
        ]
        torch.testing.assert_close(value, torch.stack(cells).mean())


def test_what_all_classes_share_does_not_count():
    torch.manual_seed(0)
    wanted = torch.randn(2, 5, 3, 3)
    same = evidence_alignment(wanted + torch.randn(2, 1, 3, 3), wanted)
    torch.testing.assert_close(same, torch.zeros(2), atol=1e-5, rtol=0)


def test_descent_finds_the_wanted_evidence():
    torch.manual_seed(0)
    wanted, found = torch.randn(2, 3, 2, 2), torch.zeros(2, 3, 2, 2, requires_grad=True)
    optimizer = torch.optim.Adam([found], 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        evidence_alignment(found, wanted).sum().backward()
        optimizer.step()
    assert evidence_alignment(found, wanted).max() < 1e-3


@pytest.mark.parametrize("shape", [(2, 3, 2, 1), (2, 3, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"got \(2, 3, 2, 2\) and"):
        evidence_alignment(torch.zeros(2, 3, 2, 2), torch.zeros(shape))

"""The recurrent core against torch's own sequences, and what it forgets."""

import pytest
import torch
from torch import nn

from rl_attn.agents.core import Core, Memory

T, LANES, INPUTS = 5, 3, 4


def core_of(kind: str) -> Core:
    torch.manual_seed(0)
    return Core(kind, INPUTS)


def whole(core: Core) -> nn.Module:
    """torch's sequence layer with the same weights."""
    layer = {"lstm": nn.LSTM, "gru": nn.GRU}[core.kind](INPUTS, core.SIZE)
    layer.load_state_dict({f"{name}_l0": value for name, value in core.cell.state_dict().items()})
    return layer


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_it_is_torchs_sequence_layer_on_each_episode(kind):
    core = core_of(kind)
    inputs = torch.randn(T, LANES, INPUTS)
    starts = torch.zeros(T, LANES, dtype=torch.bool)
    starts[2, 1] = True  # lane 1: an episode of two steps, then one of three
    state = torch.randn(LANES, core.memory_size)
    outputs, before, after = core(inputs.flatten(0, 1), Memory(state, starts))
    outputs, before, after = (part.unflatten(0, (T, LANES)) for part in (outputs, before, after))
    layer = whole(core)
    with torch.no_grad():
        for lane in range(LANES):
            for first, end in [(0, 2), (2, T)] if lane == 1 else [(0, T)]:
                begin = state[lane : lane + 1] if first == 0 else torch.zeros(1, core.memory_size)
                h, c = begin[None, :, : core.SIZE], begin[None, :, core.SIZE :]
                carried = (h.contiguous(), c.contiguous()) if kind == "lstm" else h.contiguous()
                expected, _ = layer(inputs[first:end, lane : lane + 1], carried)
                torch.testing.assert_close(outputs[first:end, lane], expected[:, 0])
    torch.testing.assert_close(before[0], state)
    assert not before[2, 1].any() and torch.equal(before[2, 0], after[1, 0])


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_loss_on_a_gradient_goes_through_it(kind, monkeypatch):
    monkeypatch.setattr(Core, "SIZE", 3)
    core = core_of(kind).double()
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # as if it stayed at double
    hidden = torch.randn(4, INPUTS, dtype=torch.double, requires_grad=True)
    state = torch.randn(2, core.memory_size, dtype=torch.double, requires_grad=True)
    starts = torch.tensor([[False, False], [True, False]])

    def outputs(hidden, state):
        return core(hidden, Memory(state, starts))[0]

    assert torch.autograd.gradgradcheck(outputs, (hidden, state))


def test_weights_are_orthogonal_and_biases_zero():
    for kind in ("lstm", "gru"):
        for name, weight in core_of(kind).cell.named_parameters():
            if "bias" in name:
                assert not weight.any()
            elif "ih" in name:  # (G*128, 4): orthonormal columns
                torch.testing.assert_close(weight.T @ weight, torch.eye(INPUTS))


def test_what_is_remembered_stays_float32_under_autocast():
    core = core_of("lstm")
    with torch.autocast("cpu", torch.bfloat16):
        outputs, _, after = core(torch.randn(2, INPUTS).bfloat16(), Memory(torch.zeros(2, 256)))
    assert outputs.dtype == after.dtype == torch.float32

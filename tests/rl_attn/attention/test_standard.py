"""The standard tap: found by a forward, where its definition says, and nothing left behind."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rl_attn.attention import standard_layer, tap
from rl_attn.attention.standard import picture_for


class Net(nn.Module):
    """conv, conv, pool, 1x1 conv, linear; `head` says what is read of the cells."""

    def __init__(self, head: str = "mean"):
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)
        self.norm, self.after = nn.BatchNorm2d(6), nn.Conv2d(6, 5, 1)
        self.classifier = nn.Linear(5, 3)
        self.how = head

    def forward(self, x):
        x = F.relu(self.norm(self.last(F.relu(self.stem(x)))))
        if self.how == "corner":
            x = x[:, :, :1, :1]  # one cell is read, and no other
        return self.classifier(self.after(x.mean((2, 3), keepdim=True)).flatten(1))


def test_it_is_the_last_layer_with_cells_that_all_goes_through():
    assert standard_layer(Net()) == "norm"  # `after` has one cell


def test_where_one_cell_is_read_the_layer_before_has_none_to_show():
    with pytest.raises(ValueError, match="no standard tap"):
        standard_layer(Net("corner"))


def test_a_branch_beside_the_way_is_no_tap():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.branch = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            x = self.stem(x)
            return self.head((x + self.branch(x)).mean((2, 3)))

    assert standard_layer(Residual()) == "stem"


def test_a_head_of_zeros_does_not_hide_it():
    net = Net()
    nn.init.zeros_(net.classifier.weight)
    assert standard_layer(net) == "norm"


def test_a_network_may_say_it_itself_and_a_size_may_be_needed():
    net = Net()
    net.standard_tap = "stem"
    assert standard_layer(net) == "stem"
    fixed = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 9 * 5, 3))
    with pytest.raises(ValueError, match=r"size=\(H, W\)"):
        standard_layer(fixed)
    assert standard_layer(fixed, (11, 7)) == "0"
    assert picture_for(fixed, (11, 7)).shape == (1, 1, 11, 7)


def test_nothing_is_left_behind():
    net = Net().train()
    net.stem.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    standard_layer(net)
    assert net.training and net.norm.training and not net.stem.weight.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert all(p.grad is None for p in net.parameters())


def test_a_class_token_that_joins_late_is_none_of_the_patches_before():
    class Late(nn.Module):
        """Patches by themselves, then one token that attends to them (as CaiT has it)."""

        def __init__(self):
            super().__init__()
            self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
            self.embed, self.block = nn.Conv2d(3, 8, 16, 16), nn.Linear(8, 8)
            self.read = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            x = self.block(self.embed(x).flatten(2).transpose(1, 2))
            token = self.cls_token.expand(len(x), -1, -1)
            return self.head(self.read(token, x, x)[0][:, 0])

    model = Late()
    assert standard_layer(model) == "block"
    with tap(model, "block") as features:
        model(torch.randn(1, 3, 64, 32))
    assert features().shape == (1, 8, 4, 2)

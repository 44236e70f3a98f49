"""Several methods as one: losses add up, observations pass through all, targets stay apart."""

import pytest
import torch

from rl_attn.rl.methods import METHODS
from rl_attn.rl.settings import args_type, method_of
from rl_attn.run.cli import parse


def test_flags_are_those_of_all():
    flags = ["--method", "camal+drac", "--camal", "0.2", "--drac", "0.3", "--where", "outside"]
    args = parse(args_type(flags), flags, "rl-attn ppo")
    method = method_of(args)
    camal, drac = method.parts.values()
    assert camal == METHODS["camal"](camal=0.2)
    assert drac == METHODS["drac"](drac=0.3, where="outside")
    assert method.attends and not method.shows


def test_channels_and_observations_pass_through_all():
    method = METHODS["masked-input+mask-channel"]()
    stacks = torch.full((1, 2, 1, 2), 7, dtype=torch.uint8)
    masks = torch.tensor([[[[1, 0]], [[0, 1]]]], dtype=torch.uint8)
    shown = method.observe(stacks, masks, "act")
    assert shown[0, :, 0].tolist() == [[7, 0], [255, 0], [0, 7], [0, 255]]
    assert method.channels(1, stack=2) == 4 and method.shows


def test_losses_add_up_and_each_has_its_own_targets(toy):
    names = ("segmentation-head", "coverage")
    both = toy("+".join(names), segmentation=0.5, coverage=0.25)
    head = both.method.parts["segmentation-head"].head
    loss, log = both.loss()
    expected = 0.0
    for name, options in zip(names, ({"segmentation": 0.5}, {"coverage": 0.25}), strict=True):
        alone = toy(name, **options)
        if name == "segmentation-head":
            alone.method.head.load_state_dict(head.state_dict())
        expected += alone.loss()[0].item()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert set(log) == {"losses/segmentation", "losses/coverage"}
    assert {id(p) for p in head.parameters()} <= {id(p) for p in both.parameters}
    half = both.targets[:3]
    assert len(half.of["segmentation-head"]) == 3 and half.of["coverage"] is None

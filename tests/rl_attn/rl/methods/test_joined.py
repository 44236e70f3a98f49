"""Several methods as one: losses add up, observations pass through all, targets stay apart."""

import re
from dataclasses import replace

import pytest
import torch

from rl_attn.errors import UserError
from rl_attn.rl.methods import METHODS
from rl_attn.rl.settings import AgentSettings, args_type, check_together, method_of
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


def test_an_asymmetric_critic_sees_plain_frames_beside_a_mask_channel(unprepared):
    """Both build networks of the frames' channels, of which an actor with masks has more."""
    this = unprepared("mask-channel+asymmetric-critic")
    settings = AgentSettings(env="Basic", method="mask-channel+asymmetric-critic", frame_stack=2)
    this.method.context = replace(this.method.context, settings=settings)
    this.method.prepare()
    assert this.method.channels(1, stack=2) == 4
    assert this.method.parts["asymmetric-critic"].critic.in_channels == 2


@pytest.mark.parametrize("name", ["rad+rrr", "rrr+rad", "rrr+masked-input"])
def test_rrr_differentiates_what_is_shown_wherever_it_is_named(toy, name):
    shown = toy(name).batch().shown
    assert shown.requires_grad and shown.is_leaf


@pytest.mark.parametrize("augmentation", ["convolution", "overlay"])
@pytest.mark.parametrize("name", ["drac+rrr", "rrr+sgqn"])
def test_other_views_are_pixels_where_rrr_learns_too(toy, name, augmentation):
    loss, _ = toy(name, augmentation=augmentation).loss()
    assert loss.isfinite()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rrr+asymmetric-critic", "asymmetric-critic does not go with rrr: its critic"),
        ("asymmetric-critic+drac", "asymmetric-critic does not go with drac: its critic"),
        ("asymmetric-critic+drac-twin", "asymmetric-critic does not go with drac-twin: its critic"),
        ("camal+sgqn+asymmetric-critic", "asymmetric-critic does not go with sgqn: its critic"),
        (
            "mask-channel+learned-gate",
            "learned-gate does not go with mask-channel: .* name it first",
        ),
        ("masked-input+learned-gate", "learned-gate does not go with masked-input: .* first"),
        ("mask-channel+drac-twin", "drac-twin does not go with mask-channel: the agent"),
        ("drac-twin+learned-gate", "drac-twin does not go with learned-gate: the agent"),
    ],
)
def test_methods_that_do_not_go_together_say_so(name, words):
    flags = ["--env", "Basic", "--method", name]
    with pytest.raises(UserError, match=f"{re.escape(name)}: {words}"):
        check_together(parse(args_type(flags), flags, "rl-attn ppo"))

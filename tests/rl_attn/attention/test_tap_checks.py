import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchvision.models import VisionTransformer, resnet18

from rl_attn.agents import ActorCritic
from rl_attn.attention import TapError, TapWarning, check_tap


def found(*args, **options):
    """The traps by name, whether they are refused or warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TapWarning)
        return {f.trap: f for f in check_tap(*args, strict=False, **options)}


def vit(kind=VisionTransformer, head=0.5):
    torch.manual_seed(0)
    model = kind(16, 4, 2, 2, 8, 8, num_classes=3).eval()
    if head:
        nn.init.normal_(model.heads.head.weight, std=head)
    return model


SMALL = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
BLOCK = "encoder.layers.encoder_layer_1"


# ---------------------------------------------------------------------- good taps


def test_a_good_tap_has_no_findings(net, pictures, untouched):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_tap(net, pictures, layer="last") == []
    assert untouched(net)


def test_our_agent_is_fine_but_for_dead_maps():
    torch.manual_seed(1)
    agent = ActorCritic(2, (44, 52), 3)
    frames = torch.randint(0, 256, (6, 2, 44, 52), dtype=torch.uint8)
    assert set(found(agent, frames)) <= {"dead maps"}


def test_the_standard_tap_of_a_resnet_is_fine_in_training_mode():
    torch.manual_seed(0)
    assert check_tap(resnet18(num_classes=3), torch.randn(2, 3, 64, 64)) == []


# ---------------------------------------------------------------------- BatchNorm (trap 4)


def test_batchnorm_between_tap_and_score_is_warned_of():
    torch.manual_seed(0)
    model, pictures = resnet18(num_classes=3), torch.randn(4, 3, 64, 64)
    with pytest.warns(TapWarning, match=r"mixed samples: BatchNorm .*layer4\.0\.bn1.* eval mode"):
        findings = check_tap(model, pictures, layer="layer3")
    assert [f.trap for f in findings] == ["mixed samples"] and not findings[0].fatal
    assert "layer3.0.bn1" not in findings[0].reason
    assert found(model.eval(), pictures, layer="layer3") == {}


def test_other_mixing_is_seen_too():
    class Mixing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 3)
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            features = self.layer(x).relu().mean(dim=(2, 3))
            return self.fc(features + 0.5 * features.roll(1, 0))

    torch.manual_seed(0)
    assert (
        "a layer between 'layer'" in found(Mixing(), SMALL, layer="layer")["mixed samples"].reason
    )


# ---------------------------------------------------------------------- attention (trap 5)


def test_fused_attention_is_named_with_the_tap_as_its_cure():
    findings = found(vit(), SMALL)
    assert "cannot be differentiated twice" in findings["fused attention"].reason
    assert "inside `tap`" in findings["fused attention"].remedy
    assert not findings["fused attention"].fatal
    assert "fused attention" not in found(vit(), SMALL, second_order=False)


class Stubborn(VisionTransformer):
    """A forward that sets its own attention backend."""

    def forward(self, x):
        self.encoder.layers[1].self_attention.register_forward_pre_hook(self.enter)
        return super().forward(x)

    def enter(self, module, args):
        module.forward = lambda *a, **k: self.fused(module, *a, **k)

    def fused(self, module, *args, **options):
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return nn.MultiheadAttention.forward(module, *args, **options)


@pytest.mark.filterwarnings("ignore::rl_attn.attention.TapWarning")
def test_attention_that_overrides_the_tap_is_refused():
    with pytest.raises(TapError, match="overrides the MATH backend"):
        check_tap(vit(Stubborn), SMALL)


class Gated(nn.Module):
    """A tap, and above it a gate."""

    def __init__(self, gate):
        super().__init__()
        self.early, self.gate = nn.Hardsigmoid(), gate
        self.layer, self.head = nn.Conv2d(3, 4, 4, stride=4), nn.Linear(4, 3)

    def forward(self, x):
        x = self.layer(self.early(x))
        return self.head((x * self.gate(x)).mean((2, 3)))


class Hard(nn.Module):
    def forward(self, x):
        return F.relu6(x + 3) / 6


def test_what_has_no_second_derivative_is_named_with_its_place_and_its_remedy():
    torch.manual_seed(0)
    findings = found(Gated(nn.Hardsigmoid()), SMALL, layer="layer")
    finding = findings["no second derivative"]
    assert "hardsigmoid ('gate') above 'layer'" in finding.reason and finding.fatal
    assert "second_order=False" in finding.remedy and "relu6(x + 3) / 6" in finding.remedy
    assert "fused attention" not in findings
    torch.testing.assert_close(Hard()(SMALL), F.hardsigmoid(SMALL))
    for cured, options in [(Hard(), {}), (nn.Hardsigmoid(), {"second_order": False})]:
        assert "no second derivative" not in found(Gated(cured), SMALL, layer="layer", **options)


# ---------------------------------------------------------------------- zeros (trap 6)


@pytest.mark.parametrize("layer", ["encoder.ln", BLOCK])
def test_patches_that_the_head_does_not_read_are_refused(layer):
    with pytest.raises(TapError, match=rf"zero map: .*{layer}.* tap, '{BLOCK}\.ln_1'"):
        check_tap(vit(), SMALL, layer=layer)


@pytest.mark.filterwarnings("ignore::rl_attn.attention.TapWarning")
def test_a_zero_initialised_head_is_refused():
    with pytest.raises(TapError, match=r"zero-initialised head: heads\.head\.weight"):
        check_tap(vit(head=None), SMALL)


def test_a_score_without_graph_is_refused(net, pictures):
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x).detach()

    assert "detached" in found(Detached(), pictures, layer="net.last")["zero map"].reason


def test_maps_that_are_dead_after_relu_are_warned_of():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)
    )
    nn.init.constant_(model[4].weight, -1.0)  # every channel speaks against it
    finding = found(model, SMALL, layer="1", score=lambda output: output[:, 0])["dead maps"]
    assert "4 of 4" in finding.reason and not finding.fatal


@pytest.mark.filterwarnings("ignore::rl_attn.attention.TapWarning")
def test_a_single_cell_is_refused():
    torch.manual_seed(0)
    with pytest.raises(TapError, match=r"one cell: .*larger pictures"):
        check_tap(resnet18(num_classes=3).eval(), torch.randn(2, 3, 32, 32))


# ---------------------------------------------------------------------- parameters above


def test_half_a_gradient_is_named(net, pictures):
    finding = found(net, pictures, layer="last", second_order=False)["half gradient"]
    assert ("head.1.weight" if hasattr(net, "head") else "fc.weight") in finding.reason
    assert "second_order=True" in finding.remedy and not finding.fatal


def test_a_head_whose_weights_get_nothing_is_refused():
    class Constant(nn.Module):
        """The evidence does not depend on the weight above: its gradient is a sign."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 3)
            self.weight = nn.Parameter(torch.randn(4, 4))

        def forward(self, x):
            features = self.layer(x).relu().mean(dim=(2, 3))
            return features + F.linear(features.detach(), self.weight)

    torch.manual_seed(0)
    with pytest.raises(TapError, match=r"half gradient: .*weight"):
        check_tap(Constant(), SMALL, layer="layer")


def test_nothing_trainable_above_is_warned_of(net, pictures):
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(not name.startswith(("head", "fc")))
    findings = found(net, pictures, layer="last")
    assert "unfreeze" in findings["nothing above"].remedy


# ---------------------------------------------------------------------- as it was


def test_the_model_and_the_random_state_are_left_as_they_were():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(1)
    )
    model.append(nn.Flatten()).append(nn.Linear(4, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    found(model, SMALL, layer="2")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    with torch.no_grad():  # also where gradients are switched off
        found(model, SMALL, layer="2")


def test_scores_are_picked_or_given(net, pictures):
    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return type("Output", (), {"logits": self.net(x)})

    assert check_tap(Logits(), pictures, layer="net.last") == []
    assert check_tap(net, pictures, layer="last", score=lambda logits: logits[:, 0]) is not None
    with pytest.raises(ValueError, match=r"must be \(B,\), got \(5, 4\)"):
        check_tap(net, pictures, layer="last", score=lambda logits: logits)
    with pytest.raises(ValueError, match="give a score"):
        check_tap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), pictures, layer="0")

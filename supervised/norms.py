"""Backbones whose attention is each sample's own, and a stem for small images.

BatchNorm in training mode makes a sample's score depend on the other samples of its batch. Above
the target layer that breaks what Grad-CAM of a batch rests on (CAMAL, Proposition 1), so it can be
replaced by GroupNorm, or frozen.
"""

from math import gcd

from torch import nn

from rl_attn.errors import UserError
from rl_attn.supervised.settings import BatchNorm

#: Groups of a GroupNorm, as many as divide the channels (Wu and He 2018 take 32).
GROUPS = 32


class _Frozen:
    """Mixed into a kind of BatchNorm: it stays in evaluation mode; weight and bias are trained."""

    def train(self, mode: bool = True) -> "_Frozen":
        return super().train(False)  # pyright: ignore[reportAttributeAccessIssue]


def replace_batch_norm(model: nn.Module, norm: BatchNorm, name: str) -> None:
    """Change each BatchNorm2d in place, its weight and bias kept; `name` is for the UserError that
    says there is none."""
    places = [
        (parent, key, child)
        for parent in model.modules()
        for key, child in parent.named_children()
        if isinstance(child, nn.BatchNorm2d)
    ]
    if not places:
        raise UserError(f"--batch-norm {norm}: {name} has no BatchNorm, leave it out")
    for parent, key, old in places:
        if norm == "group":
            setattr(parent, key, _group_norm(old))
        else:
            kind = type(old)
            old.__class__ = type(f"Frozen{kind.__name__}", (_Frozen, kind), {})
            old.eval()


def _group_norm(old: nn.BatchNorm2d) -> nn.Module:
    channels = old.num_features
    new = nn.GroupNorm(gcd(GROUPS, channels), channels, eps=old.eps)
    new.load_state_dict({"weight": old.weight, "bias": old.bias})
    if hasattr(old, "act"):  # timm's BatchNormAct2d has an activation of its own
        return nn.Sequential(new, old.drop, old.act)
    return new


def small_stem(model: nn.Module, name: str) -> None:
    """Of a torchvision ResNet in place: `conv1` 3x3 without stride, no pool (He et al. 2016, 4.2),
    drawn from torch's global generator."""
    conv = getattr(model, "conv1", None)
    if not isinstance(conv, nn.Conv2d) or not hasattr(model, "maxpool"):
        raise UserError(f"--stem small is for ResNets, not for {name}: leave it out")
    small = nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(small.weight, mode="fan_out", nonlinearity="relu")
    model.conv1, model.maxpool = small, nn.Identity()

"""Backbones that others have written, by name: (channels, classes, (H, W)) -> a fresh model.

resnet18, convnext_tiny, efficientnet_b0, vit_b_16, swin_v2_t, maxvit_t
                  CAMAL's six, of torchvision
torchvision:NAME  any other classifier of torchvision
timm:NAME         any model of timm
hf:NAME           any image classifier of transformers: a name of the hub, a folder with its
                  configuration and weights, or a kind of its standard size (hf:resnet)
MODULE:FUNCTION   your own: function(channels, classes, size), or some of the three, gives a
                  torch.nn.Module from images (B, C, H, W) to logits (B, classes);
                  FILE.py:FUNCTION too
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from rl_attn.attention.backbones import evaluating
from rl_attn.errors import UserError, choose, one_line
from rl_attn.run.plugins import import_one


def made(
    name: str, channels: int, classes: int | None, size: tuple[int, int], imagenet: bool
) -> nn.Module:
    """The model of that name, with ImageNet's weights below a fresh head if asked for.

    classes: of the head; None keeps the model's own.

    UserError: an unknown name, weights that are not available, a package that is missing.
    """
    source, _, rest = name.rpartition(":")
    if source in ("", "torchvision"):
        return _torchvision(rest, classes, imagenet, size)
    if source == "timm":
        return _timm(rest, classes, imagenet, size)
    if source == "hf":
        return _transformers(rest, classes, imagenet, size)
    if imagenet:
        raise UserError(
            f"there are no ImageNet weights for {name}: take --weights FILE, or leave it out"
        )
    return _own(source, rest, {"channels": channels, "classes": classes, "size": size})


def _torchvision(
    name: str, classes: int | None, imagenet: bool, size: tuple[int, int]
) -> nn.Module:
    from torchvision import models  # slow to import: the small networks do without

    choose("model of torchvision", name, models.list_models(module=models))
    fresh = name.startswith("vit_") and not imagenet  # its positions are of one size
    options: dict[str, Any] = {"image_size": size[0]} if fresh else {}
    if name in ("googlenet", "inception_v3") and not imagenet:
        options = {"aux_logits": False, "init_weights": True}  # the auxiliary heads are left out
    try:
        model = models.get_model(name, weights="DEFAULT" if imagenet else None, **options)
    except OSError as error:
        raise UserError(
            f"ImageNet weights of {name} could not be fetched ({error}): take --weights none, or "
            "put torchvision's file into torch's hub folder"
        ) from None
    if classes is None:
        return model
    if not any(isinstance(module, nn.Linear) for module in model.modules()):  # SqueezeNet
        convolution: Any = model.get_submodule("classifier.1")
        head = nn.Conv2d(convolution.in_channels, classes, 1)
        model.get_submodule("classifier")[1] = head  # pyright: ignore[reportIndexIssue]
        return model
    owner, last = _last_linear(model)
    head = nn.Linear(last.in_features, classes)
    if not imagenet:  # torchvision's fresh ViT has a head of zeros, which attends nowhere
        nn.init.trunc_normal_(head.weight, std=0.02)
        nn.init.zeros_(head.bias)
    setattr(owner[0], owner[1], head)
    return model


def _last_linear(model: nn.Module) -> tuple[tuple[nn.Module, str], nn.Linear]:
    name, layer = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)][-1]
    parent, _, attribute = name.rpartition(".")
    return (model.get_submodule(parent), attribute), layer


def _timm(name: str, classes: int | None, imagenet: bool, size: tuple[int, int]) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise UserError("timm:NAME needs timm: pip install 'rl-attn[timm]'") from None
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:8]) or "timm.list_models()"
        raise UserError(f"timm has no model {name!r}: choose from {close}")
    own: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    if classes is not None and getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False):
        own["img_size"] = size
    try:
        return timm.create_model(name, pretrained=imagenet, **own)
    except (OSError, RuntimeError, AssertionError, ValueError) as error:
        reason = one_line(error)
        raise UserError(f"timm could not make {name} ({reason}): take --weights none?") from None


class Logits(nn.Module):
    """A classifier of transformers that gives its logits alone."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        return self.model(pixel_values=x).logits


def _transformers(
    name: str, classes: int | None, pretrained: bool, size: tuple[int, int]
) -> nn.Module:
    try:
        from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForImageClassification
    except ImportError:
        raise UserError("hf:NAME needs transformers: pip install 'rl-attn[transformers]'") from None
    own = {} if classes is None else {"num_labels": classes}
    try:
        if pretrained:
            model = AutoModelForImageClassification.from_pretrained(
                name, ignore_mismatched_sizes=True, **own
            )
        else:
            kind = name in CONFIG_MAPPING
            make = AutoConfig.for_model if kind else AutoConfig.from_pretrained
            config = make(name, **own)
            if hasattr(config, "image_size") and classes is not None:
                config.image_size = size[0]
            config.architectures = config.architectures or []  # from_config walks over it
            model = AutoModelForImageClassification.from_config(config)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = one_line(error)[:200]
        raise UserError(
            f"transformers could not make an image classifier of {name} ({reason}): name a folder "
            "with its config.json and weights, or a kind such as hf:resnet with --weights none"
        ) from None
    return Logits(model)


def _own(module: str, function: str, given: dict[str, Any]) -> nn.Module:
    """What a function of the user's makes; UserError: no such function, or not a module."""
    where = f"--backbone {module}:{function}"
    make = getattr(import_one(module, "--backbone"), function, None)
    if not callable(make):
        raise UserError(f"{where}: {module} has no function {function!r}")
    taken = inspect.signature(make).parameters
    needed = [n for n, p in taken.items() if p.default is p.empty and p.kind not in (2, 4)]
    if odd := [n for n in needed if n not in given]:
        raise UserError(f"{where}: it takes {', '.join(odd)}; it is given {', '.join(given)}")
    try:
        model = make(**{name: value for name, value in given.items() if name in taken})
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{where}: it raised {one_line(error, named=True)}") from None
    if not isinstance(model, nn.Module):
        raise UserError(f"{where}: it gives a {type(model).__name__}, not a torch.nn.Module")
    return model


def check_answer(
    backbone: str, model: nn.Module, shape: tuple[int, int, int], outputs: int, asked: str
) -> None:
    """UserError: a model that refuses pictures of `shape` (C, H, W), or does not answer each with
    so many `outputs`, which are of what is `asked`.

    The forward that finds the tap cannot tell: it is of any size that the model takes, and is left
    out where a layer is named. In evaluation mode, so that no statistics and no seed move.
    """
    pictures = torch.zeros(2, *shape)
    try:
        with evaluating(model), torch.random.fork_rng(devices=[]), torch.no_grad():
            answer = model(pictures)
    except Exception as error:  # whatever a stranger's forward raises
        raise UserError(
            f"--backbone {backbone} does not take pictures {shape}: {one_line(error, named=True)}"
        ) from None
    wanted = (len(pictures), outputs)
    if not isinstance(answer, Tensor):
        given = f"a {type(answer).__name__}"
    elif answer.shape == wanted:
        return
    else:
        given = f"a tensor {tuple(answer.shape)}"
        if answer.ndim == 2 and len(answer) == wanted[0]:
            given = f"{answer.shape[1]} values"
    raise UserError(
        f"--backbone {backbone} gives {given} for {asked}: let it give a tensor "
        f"(B, {outputs}); a function of yours is told `classes`"
    )

"""A model by its name, asked as a run is: its own classes, its own statistics, its own size.

    rl_attn.load("timm:vit_tiny_patch16_224").explain("x.png")
    rl_attn.load("torchvision:resnet18", weights="none")         # or a file of weights

Images are brought to the model's size by their middle square (`fit="crop"`), not by the enlarging
and cropping that some models were tested with, so that a mask goes through the same.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from rl_attn.attention.standard import picture_for
from rl_attn.errors import UserError
from rl_attn.supervised.backbones import tap_layer
from rl_attn.supervised.classifier import Classifier
from rl_attn.supervised.data.dataset import IMAGENET_MEAN, IMAGENET_STD
from rl_attn.supervised.data.images import ImageOptions
from rl_attn.supervised.inputs import Inputs
from rl_attn.supervised.models import made
from rl_attn.supervised.network import Network
from rl_attn.supervised.weights import load_weights

_SIDE = 224


def load_by_name(name: str, device: torch.device, weights: str = "imagenet") -> Classifier:
    """A model of torchvision, timm or transformers, or of a function of one's own.

    Args:
        weights: imagenet (those that belong to the name), none (random), or a file.

    Raises:
        UserError: an unknown name, weights that are not available, a network without target layer.
    """
    own = name.rpartition(":")[0] not in ("", "torchvision", "timm", "hf")
    if own and weights == "imagenet":
        raise UserError(f"{name} has no weights of its own: take --weights FILE, or none")
    model = made(name, 3, 1000 if own else None, (_SIDE, _SIDE), weights == "imagenet")
    if weights not in ("imagenet", "none"):
        print(load_weights(model, Path(weights)), flush=True)
    model = model.to(device).eval()
    network = Network(model, tap_layer(model, ""))
    return Classifier(network, inputs_of(name, model), ImageOptions(alpha="white"))


def inputs_of(name: str, model: nn.Module) -> Inputs:
    """What a model takes, as its package says; 224 pixels and ImageNet's statistics else."""
    source, _, rest = name.rpartition(":")
    said = {"": _of_torchvision, "torchvision": _of_torchvision, "timm": _of_timm, "hf": _of_hf}
    found = said.get(source, lambda *_: {})(rest, model)
    picture = picture_for(model, found.get("size"))  # checks that it is taken, too
    size = found.get("size") or tuple(picture.shape[2:])
    with torch.no_grad():
        number = model(picture).shape[1]
    classes = found.get("classes") or ()
    if len(set(classes)) != number:
        named = len(classes) == number  # some names of ImageNet stand for two classes
        classes = [f"{c} ({i})" if named else f"class {i}" for i, c in enumerate(classes)] or [
            f"class {i}" for i in range(number)
        ]
    return Inputs(
        classes=tuple(classes)[:number],
        stored=(size[0], size[1]),
        crop=None,
        channels=picture.shape[1],
        grey=picture.shape[1] == 1,
        mean=tuple(found.get("mean") or IMAGENET_MEAN),
        std=tuple(found.get("std") or IMAGENET_STD),
        fit="crop",
    )


def _of_torchvision(name: str, model: nn.Module) -> dict[str, Any]:
    from torchvision import models

    weights: Any = models.get_model_weights(name)
    best = weights.DEFAULT
    shown = best.transforms()
    side = shown.crop_size[0]
    return {
        "classes": best.meta["categories"],
        "size": (side, side),
        "mean": shown.mean,
        "std": shown.std,
    }


def _of_timm(name: str, model: nn.Module) -> dict[str, Any]:
    from timm.data import ImageNetInfo, resolve_model_data_config

    config = resolve_model_data_config(model)
    found = {"size": config["input_size"][1:], "mean": config["mean"], "std": config["std"]}
    if getattr(model, "num_classes", 0) == 1000:
        info = ImageNetInfo()
        found["classes"] = [info.index_to_description(i) for i in range(1000)]
    return found


def _of_hf(name: str, model: nn.Module) -> dict[str, Any]:
    from transformers import AutoImageProcessor

    config: Any = model.model.config
    found: dict[str, Any] = {"classes": list(config.id2label.values())}
    if isinstance(side := getattr(config, "image_size", None), int):
        found["size"] = (side, side)
    if not config.name_or_path:  # made of its kind alone
        return found
    try:
        shown: Any = AutoImageProcessor.from_pretrained(name)
    except (OSError, ValueError):  # a folder without one
        return found
    size = shown.crop_size if getattr(shown, "do_center_crop", False) else shown.size
    if "size" not in found and size:
        side = size.get("height") or size.get("shortest_edge")
        found["size"] = (side, side)
    return {**found, "mean": shown.image_mean, "std": shown.image_std}

"""Where a network's feature maps are: its standard tap, and layers by name.

The standard tap is the last layer whose cells the head still reads one by one: the last stage of
a convolutional network, and for a vision transformer whose head reads the class token alone the
norm *before* its last attention. At that transformer's last block or final norm the patch tokens'
gradient is exactly zero.
"""

from collections.abc import Callable
from difflib import get_close_matches

import torch
from torch import nn

#: Field of the model's own output instead of a layer's: our agents return their feature maps.
OUTPUT = "output."


def _last(path: str) -> Callable[[nn.Module], str]:
    return lambda model: f"{path}.{len(model.get_submodule(path)._modules) - 1}"


def _transformer(path: str, norm: str) -> Callable[[nn.Module], str]:
    def layer(model: nn.Module) -> str:
        last = list(model.get_submodule(path)._modules)[-1]
        return f"{path}.{last}.{norm}"

    return layer


#: (package, class) of a model -> its standard tap.
STANDARD: dict[tuple[str, str], Callable[[nn.Module], str]] = {
    ("rl_attn", "Network"): lambda model: f"{OUTPUT}features",
    ("torchvision", "ResNet"): lambda model: "layer4",
    ("torchvision", "ConvNeXt"): _last("features"),
    ("torchvision", "EfficientNet"): _last("features"),
    ("torchvision", "VisionTransformer"): _transformer("encoder.layers", "ln_1"),
    ("torchvision", "SwinTransformer"): lambda model: "norm",
    ("torchvision", "MaxVit"): _last("blocks"),
    ("timm", "ResNet"): lambda model: "layer4",
    ("timm", "ConvNeXt"): _last("stages"),
    ("timm", "EfficientNet"): lambda model: "bn2",
    ("timm", "VisionTransformer"): _transformer("blocks", "norm1"),
    ("timm", "SwinTransformer"): lambda model: "norm",
    ("timm", "SwinTransformerV2"): lambda model: "norm",
    ("timm", "MaxxVit"): _last("stages"),
    ("timm", "FastVit"): lambda model: "final_conv",
    ("open_clip", "ModifiedResNet"): lambda model: "layer4",
    ("open_clip", "VisionTransformer"): _transformer("transformer.resblocks", "ln_1"),
}


def standard_layer(model: nn.Module) -> str:
    """The name of the model's standard tap; an error that lists candidates where none is known."""
    model = unwrapped(model)
    for kind in type(model).__mro__:
        found = STANDARD.get((kind.__module__.split(".")[0], kind.__name__))
        if found:
            return found(model)
    candidates = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d)][-5:]
    raise ValueError(
        f"no standard tap is known for {type(model).__name__}; name a layer, e.g. one of its last "
        f"convolutions {', '.join(map(repr, candidates)) or '(it has none)'}"
    )


def ancestors(model: nn.Module, layer: str) -> list[nn.Module]:
    """The modules that a layer is part of, from the nearest outwards to the model."""
    parts = layer.split(".")[:-1]
    return [model.get_submodule(".".join(parts[:n])) for n in range(len(parts), -1, -1)]


def find_layer(model: nn.Module, layer: str) -> nn.Module:
    """The submodule of that name; an error with close names where there is none."""
    model = unwrapped(model)
    names = [name for name, _ in model.named_modules() if name]
    if layer in names:
        found = model.get_submodule(layer)
        for module in (*ancestors(model, layer), found):
            _refuse_without_hooks(module)
        return found
    close = get_close_matches(layer, names, n=5, cutoff=0.4)
    close += [name for name in names if name.endswith(f".{layer}")][: 5 - len(close)]
    choices = close or [name for name, _ in model.named_children()]
    raise ValueError(
        f"{type(model).__name__} has no layer {layer!r}; "
        f"{'close names are' if close else 'its parts are'} {', '.join(map(repr, choices))}"
    )


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside DataParallel or DistributedDataParallel; an error for a compiled one."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    model = model.module if isinstance(model, wrappers) else model
    _refuse_without_hooks(model)
    return model


def _refuse_without_hooks(module: nn.Module) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError(
            "a scripted or traced model does not call its layers one by one, and none can be "
            "tapped; tap the model that it was made from"
        )
    if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
        raise TypeError(
            "a compiled model does not call the hooks of its layers and has no second derivative; "
            "tap and run the model as it was before, of torch.compile(model) its _orig_mod"
        )

"""The standard tap of any image network, found by one forward and what gradients say of it.

    standard_layer(resnet18())            # "layer4"
    standard_layer(vit_b_16())            # "encoder.layers.encoder_layer_11.ln_1"

It is the last layer whose output

    is a cut        every way from the picture to the score goes through it,
    has cells       a grid of more than one, laid out in a way that `tap` can tell,
    is read         the score has a gradient by its cells, not by a class token beside them alone.

A class token reads the patches in the last attention, and after it nothing does: there the cut is
the block before, and the tap its norm, which that attention reads (as pytorch-grad-cam has it). A
network may say its tap itself: `standard_tap = "name"`.

The forward is of noise, in evaluation mode, at a size that the network takes. Nothing is left
behind: no hook, no gradient, no statistics.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from rl_attn.attention.backbones import evaluating, find_layer, leaves, unwrapped

#: Sides that are tried of networks that do not say one. The first is small and still gives most
#: networks, which divide by 32, a grid of 4 x 4.
SIDES = (128, 224, 256, 64, 32, 28, 16, 384, 299, 448)
#: Share of the cells that the score must have a gradient by. A maximum's pool reads few of them.
READ = 0.05
#: Cuts that are looked at, from the last one back.
_MOST = 24

#: model -> the name of its standard tap.
_FOUND: WeakKeyDictionary = WeakKeyDictionary()


class Ran(NamedTuple):
    """A module that gave a tensor in one forward."""

    name: str
    module: nn.Module
    read: Any  # its first argument
    output: Tensor


class Forward(NamedTuple):
    """One forward of a picture (1, C, H, W), and a score of what came out."""

    picture: Tensor
    ran: list[Ran]  # in the order of their ends
    score: Tensor


def standard_layer(model: nn.Module, size: tuple[int, int] | None = None) -> str:
    """The name of the model's standard tap.

    Args:
        size: (H, W) of pictures that the model takes, where neither it says so nor usual ones fit.

    Raises:
        ValueError: there is none; the message says why, and names layers to choose from.

    >>> from torchvision.models import resnet18
    >>> standard_layer(resnet18())
    'layer4'
    """
    model = unwrapped(model)
    if isinstance(said := getattr(model, "standard_tap", None), str):
        return said
    known = _FOUND.get(model)
    if known is None or known not in dict(model.named_modules()):
        known = _FOUND[model] = _found(model, size)
    return known


def picture_for(model: nn.Module, size: tuple[int, int] | None = None) -> Tensor:
    """Noise (1, C, H, W) of a size that the model takes; ValueError: none was found."""
    with _at_rest(model), torch.no_grad():
        return _forward_of_some_size(model, size).picture.detach()


def _found(model: nn.Module, size: tuple[int, int] | None) -> str:
    with _at_rest(model), torch.enable_grad():
        forward = _forward_of_some_size(model, size)
        refusals, unread = [], False
        for names in list(_cuts(forward))[:_MOST]:
            name = names[-1]  # the outermost of those that give this tensor
            try:
                share = _share_read(model, name, forward.picture)
            except (ValueError, TypeError, RuntimeError) as error:
                refusals.append(f"{name!r}: {' '.join(str(error).split())}")
                continue
            if share > READ:
                after = _norm_after(forward, names) if unread else None
                return after or name
            unread |= share == 0
    raise ValueError(_refusal(model, refusals))


def _cuts(forward: Forward) -> Iterator[list[str]]:
    """Names of the layers that give one tensor through which all goes, from the last one back."""
    groups: dict[int, list[Ran]] = {}
    for ran in forward.ran:
        groups.setdefault(id(ran.output), []).append(ran)
    for group in sorted(groups.values(), key=lambda g: forward.ran.index(g[0]), reverse=True):
        inner = [ran for ran in group if ran.read is not forward.picture] or group
        node = group[0].output.grad_fn
        # No way leads from the score to the picture but through this output.
        if node is not None and forward.picture not in leaves(forward.score.grad_fn, stop=node):
            yield [ran.name for ran in inner]


def _share_read(model: nn.Module, name: str, picture: Tensor) -> float:
    """By how many of the layer's cells the score has a gradient; ValueError: no grid."""
    from rl_attn.attention.taps import tap  # which takes its standard layer from here

    find_layer(model, name)
    with tap(model, name, second_order=False) as features:
        score = _run(model, picture).score
    maps = features()
    if maps.shape[2] * maps.shape[3] < 2:
        raise ValueError("a single cell")
    (gradient,) = torch.autograd.grad(score, maps, allow_unused=True, materialize_grads=True)
    return (gradient != 0).any(1).float().mean().item()


def _norm_after(forward: Forward, names: list[str]) -> str | None:
    """The norm that reads what these layers give, if one does."""
    output = next(ran.output for ran in forward.ran if ran.name == names[-1])
    return next(
        (
            r.name
            for r in forward.ran
            if r.read is output and "norm" in type(r.module).__name__.lower()
        ),
        None,
    )


def _refusal(model: nn.Module, reasons: list[str]) -> str:
    convolutions = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d)][-5:]
    why = f" ({'; '.join(reasons[:2])})" if reasons else ""
    return (
        f"{type(model).__name__} has no standard tap: the score reads no single layer's cells"
        f"{why}; name a layer, e.g. one of its last convolutions "
        f"{', '.join(map(repr, convolutions)) or '(it has none)'}"
    )


# ---------------------------------------------------------------------- a forward


def _forward_of_some_size(model: nn.Module, size: tuple[int, int] | None) -> Forward:
    """Of the first size that the model takes; ValueError: none."""
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    channels = 3 if first is None else first.in_channels
    error: Exception | None = None
    sizes = [*_said_sizes(model), *((side, side) for side in SIDES)]
    for side in dict.fromkeys([*sizes, size] if size else sizes):
        noise = torch.randn(1, channels, *side, generator=torch.Generator().manual_seed(0))
        weight = next((p for p in model.parameters() if p.is_floating_point()), noise)
        try:
            return _run(model, noise.to(weight).requires_grad_())
        except Exception as failed:  # whatever a stranger's forward raises of a size
            error = error or failed
    reason = f"{type(error).__name__}: {error}" if error else ""
    raise ValueError(
        f"{type(model).__name__} took no picture of {channels} channels ({' '.join(reason.split())}"
        "): name a layer, or say the size, standard_layer(model, size=(H, W))"
    )


def _said_sizes(model: nn.Module) -> list[tuple[int, int]]:
    """What the parts of a model say of their images: img_size, image_size, a configuration."""
    found = []
    for module in model.modules():
        owners = (module, getattr(module, "config", None), getattr(module, "default_cfg", None))
        for owner, name in (
            (o, n) for o in owners for n in ("img_size", "image_size", "input_size")
        ):
            said = owner.get(name) if isinstance(owner, dict) else getattr(owner, name, None)
            said = (said, said) if isinstance(said, int) else said
            if isinstance(said, tuple | list) and len(said) in (2, 3):
                height, width = said[-2:]
                if isinstance(height, int) and isinstance(width, int):
                    found.append((height, width))
    return [size for size in dict.fromkeys(found) if max(size) <= 1024][:4]


def _run(model: nn.Module, picture: Tensor) -> Forward:
    ran: list[Ran] = []

    def record(name: str, module: nn.Module, args: tuple, output: Any) -> None:
        read = args[0] if args else None
        if isinstance(output, Tensor) and not _same_numbers(read, output):
            ran.append(Ran(name, module, read, output))

    handles = [
        module.register_forward_hook(lambda m, a, o, name=name: record(name, m, a, o))
        for name, module in model.named_modules()
        if name
    ]
    try:
        output = model(picture)
    finally:
        for handle in handles:
            handle.remove()
    counts: dict[str, int] = {}
    for one in ran:
        counts[one.name] = counts.get(one.name, 0) + 1
    cells = [one for one in ran if counts[one.name] == 1 and _may_have_cells(one)]
    return Forward(picture, cells, _score(output, ran))


def _same_numbers(read: Any, output: Tensor) -> bool:
    """Whether a module has only handed on what it read, or laid it out in another way."""
    if not isinstance(read, Tensor) or read.numel() != output.numel():
        return False
    return read is output or read.data_ptr() == output.data_ptr()


def _may_have_cells(ran: Ran) -> bool:
    """Adaptive pools make a grid of a size of their own."""
    pool = isinstance(ran.module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d)
    return ran.output.ndim in (3, 4) and len(ran.output) == 1 and not pool


def _score(output: Any, ran: list[Ran]) -> Tensor:
    """A scalar that all of the output's numbers count in. Of a head whose weights are all zero, as
    fresh ones are, it is of what that reads: the same layers are behind it."""
    kinds = (nn.Linear, nn.Conv2d)
    heads = [(r.module.weight, r.read) for r in ran if isinstance(r.module, kinds)]
    if heads and not heads[-1][0].any() and isinstance(heads[-1][1], Tensor):
        logits = heads[-1][1]
    else:
        logits = getattr(output, "logits", output)
        logits = next(leaf for leaf in pytree.tree_leaves(logits) if isinstance(leaf, Tensor))
    drawn = torch.Generator().manual_seed(1)
    return (logits * torch.randn(logits.shape, generator=drawn).to(logits)).sum()


@contextmanager
def _at_rest(model: nn.Module) -> Iterator[None]:
    """In evaluation mode, the random state as it was."""
    with evaluating(model), torch.random.fork_rng(devices=[]), torch.inference_mode(False):
        yield

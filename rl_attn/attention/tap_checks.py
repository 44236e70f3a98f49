"""Is this tap fit to train attention? `check_tap(model, batch)` says so before any epoch is spent.

A loss on an attention map can be silently useless: the map may be zero whatever is learned, the
loss may stop at the tap, other samples may get a share of the gradient. Each is measured here on
one batch, and named with its reason and its remedy. The model is left as it was: running
statistics, modes, `.grad` and the random state included.
"""

import re
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rl_attn.attention.maps import DEAD
from rl_attn.attention.probe import Probe, probe_of, ran_above
from rl_attn.attention.standard import standard_layer


class Finding(NamedTuple):
    trap: str  # its short name
    reason: str
    remedy: str
    fatal: bool  # training on this map is useless

    def __str__(self) -> str:
        return f"{self.trap}: {self.reason}. Remedy: {self.remedy}."


class TapError(ValueError):
    """Attention at this tap cannot be trained.

    >>> layers = torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2)
    >>> model = torch.nn.Sequential(*layers)
    >>> _ = [torch.nn.init.zeros_(parameter) for parameter in model.parameters()]
    >>> try:
    ...     check_tap(model, torch.rand(2, 1, 4, 4), layer="0")
    ... except TapError as error:
    ...     print(str(error).split(":")[0])
    zero-initialised head
    """


class TapWarning(UserWarning):
    """The tap works, with a side effect that is easy to miss.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", TapWarning)  # known, and meant
    """


def check_tap(
    model: nn.Module,
    batch: Tensor,
    *,
    layer: str | None = None,
    score: Callable[[object], Tensor] | None = None,
    second_order: bool = True,
    strict: bool = True,
    **options,
) -> list[Finding]:
    """Refuse a tap that cannot train attention, warn of one with side effects.

    Args:
        batch: (B, C, H, W), what the model takes; B of at least 2 lets mixed samples be seen.
        layer, options: as `tap` takes them.
        score: from the model's output to (B,). None takes `value` if the output has one, else the
            largest logit.
        second_order: as the map will be made with.
        strict: raise TapError for fatal findings; False warns of them as well.

    Returns:
        What was found, fatal or not; an empty list for a good tap.

    >>> from torchvision.models import resnet18
    >>> check_tap(resnet18(num_classes=10).eval(), torch.rand(2, 3, 64, 64))
    []
    """
    layer = standard_layer(model) if layer is None else layer
    with _as_it_was(model, batch), torch.enable_grad():
        findings = []
        probe = probe_of(model, batch, layer, score, False, options)
        if second_order and (message := probe.without_second_derivative()):
            probe = probe_of(model, batch, layer, score, True, options)
            uncured = probe.without_second_derivative()
            if uncured and "attention" not in uncured:
                findings.append(_no_second_derivative(model, batch, layer, uncured))
            else:
                findings.append(_attention(layer, uncured or message, bool(uncured)))
        if not any(finding.fatal for finding in findings):
            findings += _measure(probe, second_order)
    _report(findings, strict)
    return findings


def _attention(layer: str, message: str, fatal: bool) -> Finding:
    remedy = (
        "the forward overrides the MATH backend that `tap` sets; compute attention by an explicit "
        "softmax above the tap"
        if fatal
        else "run the forward inside `tap`, which sets the MATH backend for the layers above it, "
        "or inside `differentiable_attention()`"
    )
    reason = f"something above {layer!r} cannot be differentiated twice ({message})"
    return Finding("fused attention", reason, remedy, fatal)


def _no_second_derivative(model: nn.Module, batch: Tensor, layer: str, message: str) -> Finding:
    found = re.search(r"aten::(\w+?)(_backward)?\b", message)
    kind = found[1].strip("_") if found else "an operation"
    names = ran_above(model, batch, layer, kind.replace("_", ""))
    where = f" ({', '.join(map(repr, names))})" if names else ""
    reason = f"{kind}{where} above {layer!r} has no second derivative in torch ({message})"
    remedy = "make the map with second_order=False, or replace it by what has one" + (
        ", relu6(x + 3) / 6" if kind == "hardsigmoid" else ""
    )
    return Finding("no second derivative", reason, remedy, True)


def _measure(probe: Probe, second_order: bool) -> list[Finding]:
    if not probe.gradient().any():
        return [_zero_map(probe)]
    found = [_one_cell(probe), _dead(probe), _unreached(probe, second_order), _mixed(probe)]
    return [finding for finding in found if finding]


def _zero_map(probe: Probe) -> Finding:
    if not probe.score.requires_grad:
        reason = "the score has no graph: it was detached or computed without gradients"
        return Finding("zero map", reason, "compute the score with gradients enabled", True)
    zeros = [name for name, p in probe.above().items() if p.ndim > 1 and not p.any()]
    if zeros:
        reason = f"{', '.join(zeros)} is all zero, so the score is constant and every map is zero"
        remedy = "initialise it (nn.init.normal_(weight, std=0.01)) or train cross-entropy first"
        return Finding("zero-initialised head", reason, remedy, True)
    reason = f"the score's gradient by {probe.layer!r} is exactly zero: the head does not read it"
    try:
        better = f"the standard tap, {standard_layer(probe.model)!r}"
    except ValueError:
        better = "a layer whose cells reach the score"
    remedy = f"tap {better}; a class token reads the patches in the last attention, not after it"
    return Finding("zero map", reason, remedy, True)


def _one_cell(probe: Probe) -> Finding | None:
    if probe.features[0, 0].numel() > 1:
        return None
    reason = "the map is a single cell, which normalisation turns into a constant 1"
    return Finding("one cell", reason, "use larger pictures or an earlier layer", True)


def _dead(probe: Probe) -> Finding | None:
    dead = int((probe.evidence(False).flatten(1).amax(1) < DEAD).sum())
    if not dead:
        return None
    reason = f"{dead} of {len(probe.score)} maps are zero after ReLU: no evidence for the score"
    remedy = "log the share of dead maps; where it stays high, train the task first"
    return Finding("dead maps", reason, remedy, False)


def _unreached(probe: Probe, second_order: bool) -> Finding | None:
    above = {name: p for name, p in probe.above().items() if p.ndim > 1}
    if not above:
        reason = f"no trainable weight lies between {probe.layer!r} and the score"
        remedy = "unfreeze the layers above, or accept that the loss trains those below alone"
        return Finding("nothing above", reason, remedy, False)
    if any(probe.reached(list(above.values()), second_order)):
        return None
    reason = f"a loss on the map gives no gradient to {', '.join(list(above)[:5])}"
    remedy = "make the map with second_order=True" + (
        "; here that is so, and a detach or a zero second derivative lies in between"
        if second_order
        else ", unless you reproduce code that trains on half the gradient"
    )
    return Finding("half gradient", reason, remedy, second_order)


def mixed_pixels(
    model: nn.Module, batch: Tensor, score: Callable[[Tensor], Tensor]
) -> Finding | None:
    """The finding "mixed samples" for maps of the pixels, whose tap is the picture itself.

    Args:
        batch: (B, C, H, W), of at least 2.
        score: from the model's output to (B,).

    >>> model = torch.nn.Sequential(torch.nn.BatchNorm2d(1), torch.nn.Flatten())
    >>> mixed_pixels(model, torch.rand(4, 1, 2, 2), lambda output: output[:, 0]).trap
    'mixed samples'
    >>> mixed_pixels(model.eval(), torch.rand(4, 1, 2, 2), lambda output: output[:, 0])
    """
    pictures = batch.detach().clone().requires_grad_()
    with _as_it_was(model, batch), torch.enable_grad():
        first = score(model(pictures))[0]
        (gradient,) = torch.autograd.grad(first, pictures)
    return _mixing(gradient, model, "the pictures", None)


def _mixed(probe: Probe) -> Finding | None:
    gradient = probe.gradient(probe.score[0])
    return _mixing(gradient, probe.model, repr(probe.layer), probe.above())


def _mixing(
    gradient: Tensor, model: nn.Module, where: str, above: Collection[str] | None
) -> Finding | None:
    """gradient: (B, ...) of the first sample's score, by what is at `where`. above: parameters
    behind it; None: all."""
    size = gradient.abs().flatten(1).sum(1)  # (B,)
    share = (size[1:].sum() / size.sum().clamp_min(torch.finfo(size.dtype).tiny)).item()
    if share < 1e-4:
        return None
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        and module.training
        and (above is None or not module.affine or f"{name}.weight" in above)
    ]
    cause = f"BatchNorm in training mode ({', '.join(names)})" if names else "a layer"
    reason = (
        f"{cause} between {where} and the score mixes samples: {share:.0%} of a sample's "
        "gradient falls on others, and one product for the batch is not each sample's map"
    )
    remedy = "put it in eval mode, tap above it, or use a norm that keeps samples apart"
    return Finding("mixed samples", reason, remedy, False)


def _report(findings: list[Finding], strict: bool) -> None:
    fatal = [finding for finding in findings if finding.fatal]
    for finding in findings:
        if not (strict and finding.fatal):
            warnings.warn(str(finding), TapWarning, stacklevel=3)
    if strict and fatal:
        raise TapError(" ".join(map(str, fatal)))


@contextmanager
def _as_it_was(model: nn.Module, batch: Tensor) -> Iterator[None]:
    """Restore buffers (running statistics) and the random state on exit."""
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = [batch.device] if batch.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for buffer, before in kept:
            if not torch.equal(buffer, before):
                buffer.copy_(before)

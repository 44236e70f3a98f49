"""Contenders that train a classifier while they look at its attention; see `attribution.py`.

A chunk is a number of training steps on one fixed batch. Every contender's step has the same
forward, cross-entropy, backward and optimiser; they differ in the attention map beside it and in
what a loss on that map can train, which each of them measures for itself (`Reach`).
"""

from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from rl_attn.attention import (
    camal,
    differentiable_attention,
    grad_cam,
    normalize,
    standard_layer,
    tap,
)
from rl_attn.attention.backbones import find_layer
from rl_attn.attention.grids import as_maps
from rl_attn.attention.probe import probe_of
from rl_attn.supervised.norms import replace_batch_norm

CLASSES = 10


@dataclass(frozen=True)
class Case:
    """What is trained, and where it is tapped."""

    backbone: str  # torchvision's name
    layer: str | None  # None: the standard tap
    pixels: int  # height and width of the pictures
    batch: int
    threads: int
    device: str = "cpu"
    group_norm: bool = False  # in place of BatchNorm, with which a batch's maps mix its samples


class Reach(StrEnum):
    """Which weights a loss on a contender's map trains."""

    ALL = "yes"
    HALF = "no: below alone"
    NONE = "no: nowhere"
    NO_MAP = "-"


class Plain:
    """A training step on cross-entropy, without a map."""

    def __init__(self, case: Case) -> None:
        torch.set_num_threads(case.threads)
        torch.manual_seed(0)
        self.model = classifier(case.backbone, case.pixels).train().to(case.device)
        if case.group_norm:
            replace_batch_norm(self.model, "group", case.backbone)
        self.layer = case.layer or standard_layer(self.model)
        self.pictures = torch.randn(case.batch, 3, case.pixels, case.pixels)
        self.labels = torch.arange(case.batch) % CLASSES
        self.mask = torch.zeros(case.batch, case.pixels, case.pixels)
        self.mask[:, case.pixels // 4 : case.pixels // 2, case.pixels // 4 :] = 1
        self.pictures, self.labels, self.mask = (
            tensor.to(case.device) for tensor in (self.pictures, self.labels, self.mask)
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9)
        self.prepare()
        self.note = (str(self.reach()), self.operations())

    def prepare(self) -> None:
        """Set up what makes the map."""

    def losses(self) -> tuple[Tensor, Tensor | None]:
        """Cross-entropy, and CAMAL on the map if that has a graph."""
        return F.cross_entropy(self.model(self.pictures), self.labels), None

    def run(self, count: int) -> float:
        """`count` training steps; returns how many parameters were given a gradient in them."""
        trained = 0
        for _ in range(count):
            self.backward()
            self.optimizer.step()
            trained += sum(p.numel() for p in self.model.parameters() if p.grad is not None)
        if self.mask.is_cuda:
            torch.cuda.synchronize()
        return float(trained)

    def backward(self) -> None:
        """The step's gradients."""
        self.optimizer.zero_grad()
        task, attention = self.losses()
        (task if attention is None else task + attention).backward()

    def reach(self) -> Reach:
        """Train on the map alone, and see which weights get a gradient."""
        _, attention = self.losses()
        if attention is None:
            return Reach.NO_MAP
        if not attention.requires_grad:
            return Reach.NONE
        probe = probe_of(self.model, self.pictures[:2], self.layer, None, False, {})
        above = [weight for weight in probe.above().values() if weight.ndim > 1]
        del probe  # and its graph
        self.optimizer.zero_grad()
        attention.backward()
        trained = [p for p in self.model.parameters() if p.grad is not None and p.grad.any()]
        self.optimizer.zero_grad()
        if any(weight is p for weight in above for p in trained):
            return Reach.ALL
        return Reach.HALF if trained else Reach.NONE

    def operations(self) -> int:
        """Floating-point operations of a step's convolutions and matrix products: no noise."""
        with FlopCounterMode(display=False) as counter:
            self.backward()
        self.optimizer.zero_grad()
        return counter.get_total_flops()

    def close(self) -> None:
        pass


class Camal(Plain):
    """Our map, from the task's own forward, by one product for the whole batch."""

    second_order = True

    def losses(self) -> tuple[Tensor, Tensor]:
        with tap(self.model, self.layer, second_order=self.second_order) as features:
            logits = self.model(self.pictures)
        score = logits.gather(1, self.labels[:, None])[:, 0]
        attention = self.map(score, features())
        return F.cross_entropy(logits, self.labels), camal(attention, self.mask).mean()

    def map(self, score: Tensor, features: Tensor) -> Tensor:
        return grad_cam(score, features)


class FirstOrder(Camal):
    """The same map with its channels' weights as constants, which is what Captum's map trains."""

    second_order = False

    def map(self, score: Tensor, features: Tensor) -> Tensor:
        return grad_cam(score, features, second_order=False)


class PerSample(Camal):
    """The same map by one product a sample, all of them batched: whatever mixes samples behind it,
    each map is its sample's own."""

    def map(self, score: Tensor, features: Tensor) -> Tensor:
        return grad_cam(score, features, per_sample=True)


class BySample(Camal):
    """The same map by one backward a sample."""

    def map(self, score: Tensor, features: Tensor) -> Tensor:
        gradients = [
            torch.autograd.grad(each, features, create_graph=True)[0][b]
            for b, each in enumerate(score)
        ]
        weights = torch.stack(gradients).mean(dim=(2, 3), keepdim=True)  # (B, K, 1, 1)
        return normalize(F.relu((weights * features).mean(1)))


class Captum(Plain):
    """Captum's LayerGradCam, whose map comes from a second forward, as it is used by default."""

    options: dict | None = None

    def prepare(self) -> None:
        from captum.attr import LayerGradCam

        self.explainer = LayerGradCam(self.model, tapped(self.model, self.layer, self.pictures))

    def losses(self) -> tuple[Tensor, Tensor]:
        task = F.cross_entropy(self.model(self.pictures), self.labels)
        # Attention that is fused cannot be differentiated twice, wherever in the forward it is.
        with differentiable_attention() if self.options else nullcontext():
            attention = self.explainer.attribute(
                self.pictures,
                target=self.labels,
                relu_attributions=True,
                grad_kwargs=self.options,
            )
        return task, camal(normalize(attention[:, 0]), self.mask).mean()


class CaptumCreateGraph(Captum):
    """The same with `create_graph`, so that the map's gradient is whole."""

    options = {"create_graph": True}  # noqa: RUF012


class PytorchGradCam(Plain):
    """pytorch-grad-cam's maps beside a training step; as NumPy arrays they can train nothing."""

    def prepare(self) -> None:
        # Here, so that no other contender waits for the import or has it in its memory.
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        self.explainer = GradCAM
        self.hooked = tapped(self.model, self.layer, self.pictures)
        self.targets = [ClassifierOutputTarget(label) for label in self.labels.tolist()]

    def losses(self) -> tuple[Tensor, Tensor]:
        with self.explainer(self.model, [self.hooked]) as explainer:
            maps = torch.from_numpy(explainer(self.pictures, self.targets))  # (B, H, W)
        self.model.train()  # it was left in eval mode, with the maps' gradients in its parameters
        self.optimizer.zero_grad()
        task = F.cross_entropy(self.model(self.pictures), self.labels)
        return task, camal(maps, self.mask).mean()


def classifier(backbone: str, pixels: int) -> nn.Module:
    """torchvision's network, freshly initialised, with a head that is not zero."""
    options = {"image_size": pixels} if backbone.startswith("vit") else {}
    model = getattr(models, backbone)(num_classes=CLASSES, **options)
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and not weight.any():  # ViT's: with it every map would be zero
            nn.init.normal_(model.get_parameter(name), std=0.01)
    return model


def tapped(model: nn.Module, layer: str, pictures: Tensor) -> nn.Module:
    """A module that returns the feature maps (B, K, h, w), for libraries that hook modules.

    The layer itself where it returns them; else a module put behind it, which the forward passes
    through, so that gradients by it are those by the layer.
    """
    found, outputs = find_layer(model, layer), []
    handle = found.register_forward_hook(lambda *call: outputs.append(call[-1]))
    with tap(model, layer) as features:
        model(pictures[:2])
    handle.remove()
    maps, output = features(), outputs[0]
    if torch.equal(maps, output):
        return found
    height, width = maps.shape[2:]
    if output.ndim == 4:
        behind = Maps("channels_last", 0, None)
    else:
        behind = Maps("tokens", output.shape[1] - height * width, (height, width))
    model.set_submodule(layer, nn.Sequential(found, behind))
    return behind.maps


class Maps(nn.Module):
    """The identity, by way of the feature maps, which `maps` returns."""

    def __init__(self, *shape: object) -> None:
        super().__init__()
        self.shape, self.maps = shape, nn.Identity()

    def forward(self, output: Tensor) -> Tensor:
        maps, output = as_maps(output, *self.shape)
        self.maps(maps)  # the same tensor, which `output` was made from
        return output

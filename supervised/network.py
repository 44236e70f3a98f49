"""What methods see of a network: logits and the feature maps behind them, of one forward.

Letters: B samples, K feature maps of h x w cells.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rl_attn.attention import (
    MAPS,
    Attention,
    Cells,
    Seen,
    cam,
    class_score,
    differentiable_attention,
    explain,
    find_cells,
    grad_cam,
    tap,
)
from rl_attn.supervised.tasks import Classes


class Output(NamedTuple):
    """One forward."""

    logits: Tensor  # (B, classes) float32
    features: Tensor | None = None  # (B, K, h, w); None where they were not asked for
    weight: Tensor | None = None  # (rows, K): of a linear head on averaged features
    first_row: Tensor | int = 0  # of each sample's classes in `weight`, (B,) or 0
    cells: Cells | None = None  # where the cells of the features lie in the pictures
    per_sample: bool = False  # layers above the features mix samples, see `gradient_of`

    def score(self, labels: Tensor) -> Tensor:
        """Each sample's logit of its label, (B,)."""
        return self.logits.gather(1, labels[:, None])[:, 0]

    def grad_cam(self, labels: Tensor, **options) -> Attention:
        """The labels' Grad-CAM, whatever map the network has; options as of `grad_cam`."""
        options = {"per_sample": self.per_sample, **options}
        return Attention(grad_cam(self.score(labels), self.features, **options), self.cells)

    def cam(self, labels: Tensor, **options) -> Attention:
        """The labels' CAM, where the head is linear on averaged features."""
        maps = cam(self.features, self.weight, labels + self.first_row, **options)
        return Attention(maps, self.cells)

    def evidence(self) -> Tensor:
        """Signed evidence (B, classes, h, w) for every class, of one network with such a head."""
        return cam(self.features, self.weight, None, normalization="none", relu=False)


class Network:
    """One model and its tap; calling it is one forward."""

    #: How many networks this is at once, see `ensemble.py`.
    copies = 1

    def __init__(
        self,
        model: nn.Module,
        layer: str | None,
        precision: str = "fp32",
        attention: str = "grad-cam",
        per_sample: bool = False,
        task: Classes | None = None,
    ):
        """
        Args:
            attention: which map is trained and measured, by its name in MAPS; one of the pixels
                where there are no feature maps.
            per_sample: maps in training mode are each sample's own although BatchNorm above the
                tap mixes them, see `gradient_of`.
            task: what it is asked for; None: one class out of all.
        """
        self.task = task or Classes()
        self.model, self.layer, self.precision = model, layer, precision
        if layer is None and not MAPS.of_pixels(attention):
            attention = "input-gradient"
        self.attention, self.per_sample = attention, per_sample
        #: Whether model(x) = model.head(model.features(x)) with the tap between the two.
        self.halved = layer is not None and layer == getattr(model, "layer", None)
        self.halved &= hasattr(model, "features") and hasattr(model, "head")
        self.one = model  # of several that are one model, whose cells lie alike, the first
        self._cells: dict[tuple[int, int], Cells] = {}  # by the size of the pictures

    def __call__(self, pictures: Tensor) -> Output:
        """Logits and feature maps of pictures (B, C, H, W), normalised."""
        with self.autocast(pictures):
            maps, logits = self.halves(pictures) if self.halved else self.tapped(pictures)
        weight = head_weight(self.model, maps.shape[1])
        own = self.per_sample and self.model.training
        return Output(logits.float(), maps, weight, cells=self.cells(pictures), per_sample=own)

    def explain(
        self,
        output: Output,
        pictures: Tensor,
        labels: Tensor,
        attention: str = "",
        signed: bool = False,
        **options: Any,
    ) -> Attention:
        """The labels' attention in a forward, to be trained through or looked at.

        Of a number, what lowers it is evidence as well as what raises it: the map is the size of
        the evidence, whatever the options say, or with `signed` the evidence in [-1, 1].

        Args:
            output: of pictures (B, C, H, W).
            labels: (B,).
            attention: which map, by its name in MAPS; empty: the network's own.
            options: normalization, second_order, relu, dead, epsilon, as of `grad_cam`.
        """

        def logits_of(images: Tensor) -> Tensor:
            return self.plain(images).logits

        seen = Seen(
            score=output.score(labels),
            features=output.features,
            cells=output.cells,
            logits=None if self.task.signed else output.logits,
            labels=labels,
            images=pictures,
            score_of=class_score(logits_of, labels),
            per_sample=output.per_sample,
            logits_of=None if self.task.signed else logits_of,
        )
        if not self.task.signed:
            return explain(attention or self.attention, seen, **options)
        if options.get("normalization") != "none":
            options["normalization"] = "signed"
        found = explain(attention or self.attention, seen, **{**options, "relu": False})
        return found if signed else found.magnitude

    def cells(self, pictures: Tensor) -> Cells:
        """Where the cells of the maps of such pictures lie."""
        size = tuple(pictures.shape[2:])
        if size not in self._cells:
            maps_of = self.one.features if self.halved else lambda x: self.tapped(x)[0]
            self._cells[size] = find_cells(maps_of, pictures, model=self.one)
        return self._cells[size]

    def halves(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Maps and logits without a tap, whose hooks are felt in a forward as short as LeNet's."""
        maps = self.model.features(pictures)
        if torch.is_grad_enabled() and not maps.requires_grad:  # all below is frozen
            maps.requires_grad_()
        return maps, self.model.head(maps)

    def tapped(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Maps and logits of any network."""
        with tap(self.model, self.layer) as features:
            logits = self.model(pictures)
        return features(), logits

    def plain(self, pictures: Tensor) -> Output:
        """Logits alone, by the fastest kernels."""
        with self.autocast(pictures):
            return Output(self.model(pictures).float())

    def by_input(self, pictures: Tensor) -> Output:
        """Logits alone, that a loss on their gradient by the pictures can be trained through."""
        pictures.requires_grad_()
        with differentiable_attention():
            return self.plain(pictures)

    def autocast(self, pictures: Tensor) -> torch.autocast:
        return torch.autocast(pictures.device.type, torch.bfloat16, self.precision == "bf16")


def head_weight(model: nn.Module, channels: int) -> Tensor | None:
    """Weight (classes, K) of the linear layer `classifier`, if it takes the maps' averages."""
    head = getattr(model, "classifier", None)
    return head.weight if isinstance(head, nn.Linear) and head.in_features == channels else None

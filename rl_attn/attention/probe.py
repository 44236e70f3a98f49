"""One forward through a tap, and what gradients say about it; `check_tap` asks the questions."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rl_attn.attention.backbones import leaves
from rl_attn.attention.maps import full
from rl_attn.attention.taps import tap


class Probe(NamedTuple):
    model: nn.Module
    layer: str
    features: Tensor  # (B, K, h, w)
    score: Tensor  # (B,)

    def gradient(self, score: Tensor | None = None, twice: bool = False) -> Tensor:
        """d score / d features, zeros where nothing depends on them."""
        score = self.score.sum() if score is None else score
        if not score.requires_grad:
            return torch.zeros_like(self.features)
        options: dict[str, Any] = {
            "allow_unused": True,
            "materialize_grads": True,
            "create_graph": twice,
        }
        return torch.autograd.grad(score, self.features, retain_graph=True, **options)[0]

    def evidence(self, twice: bool) -> Tensor:
        """The signed Grad-CAM map before ReLU and normalisation, (B, h, w)."""
        weights = full(self.gradient(twice=twice)).mean(dim=(2, 3), keepdim=True)  # (B, K, 1, 1)
        return (weights * full(self.features)).mean(1)

    def reached(self, parameters: list[Tensor], twice: bool) -> list[bool]:
        """Which parameters a loss on the map gives a gradient that is not zero."""
        evidence = self.evidence(twice)
        if not evidence.requires_grad or not parameters:
            return [False] * len(parameters)
        loss = evidence.square().sum()
        options: dict[str, Any] = {
            "allow_unused": True,
            "materialize_grads": True,
            "retain_graph": True,
        }
        found = torch.autograd.grad(loss, parameters, **options)
        return [bool(gradient.any()) for gradient in found]

    def without_second_derivative(self) -> str:
        """The first line of the error that a second derivative raises; empty where it does not."""
        try:
            self.reached([p for p in self.model.parameters() if p.requires_grad], twice=True)
        except RuntimeError as error:
            if "derivative" not in str(error):
                raise
            return str(error).splitlines()[0]
        return ""

    def above(self) -> dict[str, Tensor]:
        """Trainable parameters that the score depends on and the features do not."""
        node = self.features.grad_fn
        reached = leaves(self.score.grad_fn, stop=node) - leaves(node) - {self.features}
        return {name: p for name, p in self.model.named_parameters() if p in reached}


def probe_of(model, batch, layer, score, second_order, options) -> Probe:
    with tap(model, layer, second_order=second_order, **options) as features:
        output = model(batch)
    scores = (score or _usual_score)(output)
    if scores.shape != batch.shape[:1]:
        raise ValueError(f"the score must be (B,), got {tuple(scores.shape)}")
    return Probe(model, layer, features(), scores)


def ran_above(model: nn.Module, batch: Tensor, layer: str, kind: str) -> list[str]:
    """Names of the modules of a kind (its class name in lower case) that run after the layer."""
    ran: list[str] = []
    handles = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in model.named_modules()
        if name == layer or type(module).__name__.lower() == kind
    ]
    try:
        model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(ran[ran.index(layer) + 1 :] if layer in ran else ran))


def _usual_score(output: Any) -> Tensor:
    if hasattr(output, "value"):
        return output.value
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if logits is None or logits.ndim != 2:
        raise ValueError("give a score: a function from the model's output to (B,)")
    return logits.amax(1)

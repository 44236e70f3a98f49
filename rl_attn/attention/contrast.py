"""Explain the decision instead of one logit: DiffGradCAM (Piland et al. 2025).

A softmax sees only differences of logits. Whatever is added to all logits alike leaves every
probability as it is, and yet changes the gradient of a single logit: a network can be trained to
show any Grad-CAM without changing a decision. DiffGradCAM explains a difference instead,

    score = logit_y - baseline(logits of the other classes),

to which such an addition is nothing. Any map or attribution takes this score, so that
`grad_cam_plus_plus(contrast(logits, labels), features)` is DiffGradCAM++.
"""

from typing import Literal

import torch
from torch import Tensor

Baseline = Literal["logsumexp", "mean", "max"]


def contrast(logits: Tensor, labels: Tensor, baseline: Baseline = "logsumexp") -> Tensor:
    """Logit of the label less a baseline of the others, (B,).

    Args:
        logits: (B, classes), at least two classes.
        labels: (B,) int64.
        baseline: "logsumexp" makes the score the log-odds log p_y / (1 - p_y), the whole
            decision; "mean" weighs all other classes alike; "max" is the margin to the runner-up.
            With two classes all are logit_y - logit_other.

    >>> contrast(torch.tensor([[2.0, 0.5, 1.0]]), torch.tensor([0]), "max")
    tensor([1.])
    """
    if logits.ndim != 2 or logits.shape[1] < 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"contrast needs logits (B, classes) of two or more classes and labels (B,), got "
            f"{tuple(logits.shape)} and {tuple(labels.shape)}; a single logit is its own contrast"
        )
    own = torch.zeros_like(logits, dtype=torch.bool).scatter(1, labels[:, None], True)
    chosen = logits.gather(1, labels[:, None])[:, 0]  # (B,)
    if baseline == "mean":
        return chosen - logits.masked_fill(own, 0.0).sum(1) / (logits.shape[1] - 1)
    others = logits.masked_fill(own, -torch.inf)  # (B, classes)
    if baseline == "logsumexp":
        return chosen - others.logsumexp(1)
    if baseline == "max":
        return chosen - others.amax(1)
    raise ValueError(f"unknown baseline {baseline!r}: choose logsumexp, mean or max")

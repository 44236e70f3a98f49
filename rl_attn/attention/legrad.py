"""LeGrad: maps for vision transformers from the gradient by their attention probabilities.

    with record_attention() as attentions:
        logits = model(x)
    attention = le_grad(logits.gather(1, y[:, None])[:, 0], attentions, grid=(14, 14))

A patch matters where more attention to it would raise the score (Bousselham et al. 2024, arXiv
2404.03214). Letters: L recorded layers, M heads, N tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from rl_attn.attention.maps import Normalization, finish, full


def le_grad(
    score: Tensor | Sequence[Tensor],
    attentions: Sequence[Tensor],
    *,
    grid: tuple[int, int],
    normalization: Normalization = "max",
    second_order: bool = True,
) -> Tensor:
    """Mean over layers, heads and queries of ReLU(d score / d attention), by attended patch.

    Args:
        score: (B,), the score whose gradient all layers get; or L of them, one a layer, as the
            paper has it: each layer's mean token through the final norm and the head.
        attentions: L tensors (B, M, N, N), queries x keys, rows summing to 1.
        grid: (h, w) of the patches, the last h*w tokens; earlier ones (class token, registers)
            are dropped.

    Returns:
        (B, h, w) float32, in [0, 1] unless `normalization` is "none". The paper uses "minmax".

    >>> attentions = torch.full((1, 1, 3, 3), 1 / 3, requires_grad=True)
    >>> score = attentions[:, 0, 0, 2]  # of a class token and two patches, the second
    >>> le_grad(score, [attentions], grid=(1, 2)).detach()
    tensor([[[0., 1.]]])
    """
    if not attentions:
        raise ValueError(
            "no attention was recorded: the model does not call scaled_dot_product_attention (in "
            "timm, set fused_attn = True on its attention), or all of it is frozen"
        )
    cells = prod(grid)
    if any(a.ndim != 4 or a.shape[-1] < cells for a in attentions):
        shapes = sorted({tuple(a.shape) for a in attentions})
        raise ValueError(f"le_grad needs attentions (B, M, N, N) with N >= {cells}, got {shapes}")
    gradients = _gradients(score, attentions, second_order)
    layers = [F.relu(full(g)).mean(dim=(1, 2))[:, -cells:] for g in gradients]  # each (B, h*w)
    return finish(torch.stack(layers).mean(0).unflatten(1, grid), normalization)


@contextmanager
def record_attention(
    keep: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[list[Tensor]]:
    """Collect the attention probabilities (B, M, N, N) of every layer that runs inside.

    `torch.nn.functional.scaled_dot_product_attention` is replaced, for this block of code and the
    whole process, by its definition with an explicit softmax, which also has the double backward
    that the fused kernels lack. It serves nn.MultiheadAttention (whose fast path, which would go
    round it, is off inside), torchvision, timm and open_clip.

    Args:
        keep: what is recorded of each layer's probabilities, without a gradient, where all of
            them would take too much memory: e.g. `lambda p: p.mean(1)`, the mean over heads.

    >>> layer = torch.nn.MultiheadAttention(4, 2, batch_first=True)
    >>> tokens = torch.rand(1, 3, 4)
    >>> with record_attention() as attentions:
    ...     _ = layer(tokens, tokens, tokens, need_weights=False)
    >>> attentions[0].shape
    torch.Size([1, 2, 3, 3])
    """
    recorded: list[Tensor] = []

    def attend(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, **options):
        probabilities = _probabilities(query, key, attn_mask, is_causal, **options)
        if keep is not None:
            recorded.append(keep(probabilities.detach()))
        else:
            if torch.is_grad_enabled() and not probabilities.requires_grad:
                probabilities.requires_grad_()  # nothing below is trained, the map still needs it
            recorded.append(probabilities)
        return F.dropout(probabilities, dropout_p) @ value

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with patch.object(F, "scaled_dot_product_attention", attend):
            yield recorded
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _probabilities(query, key, attn_mask, is_causal, scale=None, enable_gqa=False) -> Tensor:
    if enable_gqa:
        raise ValueError("record_attention does not serve grouped queries (enable_gqa=True)")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    energy = (query * scale) @ key.transpose(-2, -1)  # (B, M, N, N)
    if is_causal:
        energy = energy.masked_fill(torch.ones_like(energy, dtype=torch.bool).triu(1), -torch.inf)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        energy = energy.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        energy = energy + attn_mask
    return energy.softmax(-1)


def _gradients(score, attentions: Sequence[Tensor], second_order: bool) -> list[Tensor]:
    """d score / d attention of each layer; zeros where a score does not depend on a layer."""
    scores = [score] * len(attentions) if isinstance(score, Tensor) else list(score)
    if len(scores) != len(attentions) or any(
        s.shape != a.shape[:1] for s, a in zip(scores, attentions, strict=False)
    ):
        shapes = [tuple(s.shape) for s in scores]
        raise ValueError(f"{len(attentions)} layers need one score (B,) or one each, got {shapes}")
    options: dict[str, Any] = {
        "create_graph": second_order,
        "retain_graph": True,
        "allow_unused": True,
        "materialize_grads": True,
    }
    if isinstance(score, Tensor):
        return list(torch.autograd.grad(score.sum(), list(attentions), **options))
    pairs = zip(scores, attentions, strict=True)
    return [torch.autograd.grad(s.sum(), a, **options)[0] for s, a in pairs]

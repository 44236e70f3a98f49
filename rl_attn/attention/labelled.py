"""The attention loss of a classifier's own training step, for loops that others have written.

    with tap(model) as features:
        logits = model(images)
    loss = cross_entropy(logits, labels) + attention_loss(features, logits, labels, masks)

Letters: B images, C classes, H x W pixels.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from rl_attn.attention.explain import Seen, explain
from rl_attn.attention.losses import camal
from rl_attn.attention.maps import Dead
from rl_attn.attention.placed import Attention
from rl_attn.attention.taps import Features
from rl_attn.map_names import MAPS


def attention_loss(
    features: Features,
    logits: Tensor,
    labels: Tensor,
    masks: Tensor,
    loss: Callable[[Attention, Tensor], Tensor] = camal,
    attention: str = "grad-cam",
) -> Tensor:
    """Mean loss of the labels' maps on their masks, a scalar in the graph of the forward.

    Args:
        features: what `tap` yielded, after the forward that gave `logits` (B, C).
        labels: (B,).
        masks: (B, H, W), or (B, 1, H, W), in [0, 1] or boolean; an empty one asks for nothing.
        loss: (attention, masks) -> (B,), of `rl_attn.attention`. To `camal`, also a partial of it,
            a map without positive evidence is shown signed, so that it can come to life; other
            losses are of maps in [0, 1] and see zeros.
        attention: a map of feature maps, by its name in MAPS.

    Raises:
        ValueError: a map that takes forwards of its own.
    """
    MAPS.check_trained(attention)
    if MAPS.kinds[attention] != "features":
        raise ValueError(f"{attention!r} takes forwards of its own: choose a map of features")
    score = logits.float().gather(1, labels[:, None])[:, 0]
    seen = Seen(score, features(), features.cells, logits=logits.float(), labels=labels)
    found: Any = explain(attention, seen, dead=_dead(loss))
    return loss(found, masks.reshape(-1, *masks.shape[-2:]).float()).mean()


def _dead(loss: Callable[[Attention, Tensor], Tensor]) -> Dead:
    """As in `rl_attn.ppo`: negative evidence lowers CAMAL's alpha, and gives others no meaning."""
    while isinstance(loss, partial):
        loss = loss.func
    return "signed" if loss is camal else "zero"

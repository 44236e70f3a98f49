"""Contextual decomposition: a network's logits split into the part of a region and the rest.

    relevant, irrelevant = contextual_decomposition(model, x, mask)     # each (B, classes)
    relevant + irrelevant == model(x)

Singh et al. (2019, "Hierarchical interpretations"), trained through by CDEP (Rieger et al. 2020,
Sec. 3). The model's own forward runs, on a pair of tensors instead of one; each
function below says how it splits:

- linear, convolution, BatchNorm in eval mode: both parts through the weights; the bias in
  proportion to their magnitudes, element by element;
- ReLU: relevant' = relu(relevant), irrelevant' = relu(both) - relu(relevant);
- max pooling: both parts at the place where their sum is largest;
- averages, reshapes, sums of branches, dropout: both parts alike.

Where both parts are 0 (black background) the proportion is 0/0. The authors' code drops the bias
there, so that the parts no longer add up; here it goes to the irrelevant part.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Magnitudes below this count as 0 when a bias is split.
TINY = 1e-12


def contextual_decomposition(
    model: Callable | nn.Module, pictures: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """The logits' part due to the masked pixels, and the rest.

    Args:
        model: takes (B, C, H, W); of convolutions, linear layers, ReLUs, poolings and the like.
        pictures: (B, C, H, W).
        mask: (B, H, W) in [0, 1], 1 on the region; or (R, B, H, W), several regions at once, for
            which the network's own activations are computed only once.

    Returns:
        (relevant, irrelevant), each as the model's output, with R in front if the mask has it; they
        have gradients of any order.

    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 1, bias=False))
    >>> _ = torch.nn.init.constant_(model[1].weight, 2)
    >>> mask = torch.tensor([[[1.0, 0.0]]])
    >>> relevant, rest = contextual_decomposition(model, torch.ones(1, 1, 1, 2), mask)
    >>> relevant.item(), rest.item()
    (2.0, 2.0)
    """
    if mask.shape[-3:] != (len(pictures), *pictures.shape[2:]) or mask.ndim > 4:
        raise ValueError(
            f"mask must be (B, H, W) or (R, B, H, W) for pictures {tuple(pictures.shape)}, "
            f"got {tuple(mask.shape)}"
        )

    def decompose(mask: Tensor) -> tuple[Tensor, Tensor]:
        output = model(Pair(mask[:, None].to(pictures.dtype) * pictures, pictures))
        return output.relevant, output.irrelevant

    return torch.vmap(decompose, randomness="same")(mask) if mask.ndim == 4 else decompose(mask)


class Pair:
    """A region's part of a tensor, and the tensor itself; torch's functions are applied to it.

    The tensor in place of the rest, because it does not depend on the region.
    """

    def __init__(self, relevant: Tensor, both: Tensor):
        self.relevant, self.both = relevant, both

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function not in RULES:
            known = ", ".join(sorted({f.__name__ for f in RULES}))
            name = getattr(function, "__name__", str(function))
            raise NotImplementedError(
                f"contextual decomposition has no rule for {name}; it knows {known}"
            )
        return RULES[function](*args, **(kwargs or {}))

    @property
    def irrelevant(self) -> Tensor:
        return self.both - self.relevant

    def each(self, function: Callable[[Tensor], Tensor]) -> "Pair":
        return Pair(function(self.relevant), function(self.both))

    def __getattr__(self, name: str):
        """Tensor methods that move or average elements, and properties such as shape."""
        if name in ("shape", "ndim", "dtype", "device", "is_cuda", "requires_grad"):
            return getattr(self.relevant, name)
        if name in ("size", "dim", "stride"):
            return getattr(self.relevant, name)
        if name in ALIKE:
            return lambda *args, **kwargs: self.each(lambda t: getattr(t, name)(*args, **kwargs))
        raise AttributeError(f"contextual decomposition has no rule for Tensor.{name}")

    def __add__(self, other: "Pair | Tensor") -> "Pair":
        if isinstance(other, Pair):
            return Pair(self.relevant + other.relevant, self.both + other.both)
        return _biased(self, other)

    __iadd__ = __radd__ = __add__

    def relu(self) -> "Pair":
        return _relu(self)


ALIKE = {"view", "reshape", "flatten", "mean", "permute", "transpose", "contiguous", "squeeze"}


def _biased(pair: Pair, bias: Tensor | None) -> Pair:
    """Give each part its share of the bias (CDEP, Sec. 3)."""
    if bias is None:
        return pair
    relevant = pair.relevant.abs()
    total = relevant + pair.irrelevant.abs()
    nothing = total < TINY
    share = (relevant / total.masked_fill(nothing, 1.0)).masked_fill(nothing, 0.0)
    return Pair(pair.relevant + share * bias, pair.both + bias)


def _linear(pair: Pair, weight: Tensor, bias: Tensor | None = None) -> Pair:
    return _biased(pair.each(lambda t: F.linear(t, weight)), bias)


def _conv2d(pair: Pair, weight: Tensor, bias: Tensor | None = None, *args, **kwargs) -> Pair:
    convolved = pair.each(lambda t: F.conv2d(t, weight, None, *args, **kwargs))
    return _biased(convolved, None if bias is None else bias[:, None, None])


def _batch_norm(
    pair, mean, variance, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    if training:
        raise ValueError(
            "BatchNorm in training mode mixes samples, which has no decomposition; put it in eval"
        )
    scale = (variance + eps).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * scale
    scale, shift = scale[:, None, None], shift[:, None, None]
    return _biased(pair.each(lambda t: t * scale), shift)


def _relu(pair: Pair, inplace: bool = False) -> Pair:
    return pair.each(F.relu)


def _max_pool2d(pair: Pair, *args, **kwargs) -> Pair:
    kwargs.pop("return_indices", None)
    both, where = F.max_pool2d_with_indices(pair.both, *args, **kwargs)  # (B, K, h, w)
    relevant = pair.relevant.flatten(2).gather(2, where.flatten(2)).view_as(where)
    return Pair(relevant, both)


def _dropout(pair: Pair, p: float = 0.5, training: bool = True, inplace: bool = False) -> Pair:
    kept = F.dropout(torch.ones_like(pair.both), p, training)
    return pair.each(lambda t: t * kept)


def _alike(function: Callable) -> Callable:
    return lambda pair, *args, **kwargs: pair.each(lambda t: function(t, *args, **kwargs))


RULES: dict[Callable, Callable] = {
    F.linear: _linear,
    F.conv2d: _conv2d,
    torch.conv2d: _conv2d,
    F.batch_norm: _batch_norm,
    F.relu: _relu,
    torch.relu: _relu,
    F.max_pool2d: _max_pool2d,
    torch.max_pool2d: _max_pool2d,
    F.dropout: _dropout,
    torch.add: lambda pair, other: pair + other,
    **{
        function: _alike(function)
        for function in (F.avg_pool2d, F.adaptive_avg_pool2d, torch.flatten, torch.mean)
    },
}

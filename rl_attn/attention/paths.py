"""Attributions from the gradients at many pictures: on a path, from references, with noise.

    blamed = integrated_gradients(class_score(model, y), x, steps=16)     # (B, C, H, W), signed
    attention = as_map(blamed)                                            # (B, H, W) in [0, 1]

Each runs forwards of its own, `chunk` pictures at a time, and adds up as it goes, so the memory is
that of one chunk. With `second_order=True` (a loss on the result reaches the parameters) the graph
of every forward is kept, whatever `chunk` is: take few steps. Modes stay as they are: put
BatchNorm and dropout in eval mode yourself, else they change what is explained.

Letters: B samples, C channels, H x W pixels, S steps or draws, N pictures of one forward.
"""

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from rl_attn.attention.inputs import ScoreOf
from rl_attn.attention.taps import differentiable_attention


def integrated_gradients(
    score_of: ScoreOf,
    pictures: Tensor,
    *,
    baseline: Tensor | float = 0.0,
    steps: int = 32,
    chunk: int | None = None,
    second_order: bool = True,
) -> Tensor:
    """Integrated gradients (Sundararajan et al. 2017, Eq. 1), by Gauss-Legendre quadrature.

    Sums over pixels to score(picture) - score(baseline), up to the quadrature's error.

    Args:
        baseline: a number, or anything that broadcasts to (B, C, H, W).
        steps: points on the straight way from baseline to picture.
        chunk: pictures a forward; None for all B * steps.

    >>> def score_of(pictures, rows):
    ...     return pictures.square().sum(dim=(1, 2, 3))
    >>> found = integrated_gradients(score_of, torch.tensor([[[[1.0, 3.0]]]]))
    >>> found.detach().round(decimals=3)  # sums to the score
    tensor([[[[1., 9.]]]])
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    alphas = pictures.new_tensor((nodes + 1) / 2)  # (S,) in (0, 1)
    shares = pictures.new_tensor(weights / 2)  # (S,), sum to 1
    baseline = torch.as_tensor(baseline, dtype=pictures.dtype, device=pictures.device)
    way = pictures - baseline  # (B, C, H, W)

    def point(step: Tensor, row: Tensor) -> Tensor:
        return (pictures - way)[row] + _wide(alphas[step]) * way[row]

    def share(gradient: Tensor, points: Tensor, step: Tensor, row: Tensor) -> Tensor:
        return _wide(shares[step]) * gradient

    return way * _accumulate(score_of, pictures, steps, point, share, chunk, second_order)


def expected_gradients(
    score_of: ScoreOf,
    pictures: Tensor,
    references: Tensor,
    *,
    samples: int = 8,
    others: bool = False,
    generator: torch.Generator | None = None,
    chunk: int | None = None,
    second_order: bool = True,
) -> Tensor:
    """Integrated gradients with the data set as baselines (Erion et al. 2021).

    The mean over `samples` draws of (x - x') * gradient at x' + alpha (x - x'), with x' uniform
    among `references` (R, C, H, W) and alpha uniform in [0, 1]. One draw a training step is what
    the paper trains with.

    Args:
        others: `references` are the pictures, of which none is drawn for itself.
        generator: on the CPU; the same one gives the same draws, whatever `chunk` is.
        chunk: pictures a forward; None for all B * samples.

    >>> def score_of(pictures, rows):
    ...     return pictures.sum(dim=(1, 2, 3))
    >>> references = torch.zeros(1, 1, 1, 2)
    >>> expected_gradients(score_of, torch.tensor([[[[1.0, 3.0]]]]), references)
    tensor([[[[1., 3.]]]])
    """
    shape = (samples, len(pictures))
    chosen = torch.randint(len(references) - others, shape, generator=generator)
    if others:  # counted from the picture itself
        chosen = (chosen + 1 + torch.arange(len(pictures))) % len(references)
    chosen = chosen.to(pictures.device)
    alphas = torch.rand(shape, generator=generator, dtype=pictures.dtype).to(pictures.device)

    def point(step: Tensor, row: Tensor) -> Tensor:
        reference = references[chosen[step, row]]
        return reference + _wide(alphas[step, row]) * (pictures[row] - reference)

    def share(gradient: Tensor, points: Tensor, step: Tensor, row: Tensor) -> Tensor:
        return (pictures[row] - references[chosen[step, row]]) * gradient / samples

    return _accumulate(score_of, pictures, samples, point, share, chunk, second_order)


def smooth_grad(
    score_of: ScoreOf,
    pictures: Tensor,
    *,
    deviation: float,
    samples: int = 16,
    squared: bool = False,
    generator: torch.Generator | None = None,
    chunk: int | None = None,
    second_order: bool = True,
) -> Tensor:
    """SmoothGrad (Smilkov et al. 2017): the mean gradient over pictures with Gaussian noise.

    Args:
        deviation: of the noise, in units of `pictures`; the paper takes 10 to 20 % of their range.
        squared: the mean of the squared gradients instead (Hooker et al. 2019).
        generator: on the CPU; the same one gives the same noise, whatever `chunk` is.
        chunk: pictures a forward; None for all B * samples.

    >>> def score_of(pictures, rows):
    ...     return 2 * pictures.sum(dim=(1, 2, 3))
    >>> smooth_grad(score_of, torch.ones(1, 1, 1, 2), deviation=0.1)
    tensor([[[[2., 2.]]]])
    """
    noise = _Noise(pictures, generator)

    def point(step: Tensor, row: Tensor) -> Tensor:
        return pictures[row] + deviation * noise(step, row)

    def share(gradient: Tensor, points: Tensor, step: Tensor, row: Tensor) -> Tensor:
        return (gradient.square() if squared else gradient) / samples

    return _accumulate(score_of, pictures, samples, point, share, chunk, second_order)


class _Noise:
    """Standard normal pictures, one batch a step, kept only while a chunk needs them."""

    def __init__(self, like: Tensor, generator: torch.Generator | None):
        self.like, self.generator = like, generator
        self.drawn: dict[int, Tensor] = {}  # step -> (B, C, H, W)

    def __call__(self, step: Tensor, row: Tensor) -> Tensor:
        """(N, C, H, W); steps never decrease from call to call."""
        steps = step.unique().tolist()
        for new in (s for s in steps if s not in self.drawn):
            noise = torch.randn(self.like.shape, generator=self.generator, dtype=self.like.dtype)
            self.drawn[new] = noise.to(self.like.device)
        self.drawn = {s: self.drawn[s] for s in steps}
        return torch.cat([self.drawn[s][row[step == s]] for s in steps])


def _accumulate(score_of, pictures, steps, point, share, chunk, second_order) -> Tensor:
    """Sum over steps of share(gradient at point(step, row)), `chunk` pictures at a time."""
    if not pictures.is_floating_point():
        raise ValueError(f"attributions need floating-point pictures, got {pictures.dtype}")
    total, rows = torch.zeros_like(pictures), len(pictures)
    everything = torch.arange(steps * rows, device=pictures.device)
    for part in everything.split(chunk or len(everything)):
        step, row = part // rows, part % rows
        points = point(step, row)  # (N, C, H, W)
        if not (second_order and points.requires_grad):
            points = points.detach().requires_grad_()
        with torch.enable_grad(), differentiable_attention() if second_order else nullcontext():
            score = score_of(points, row)
            if score.shape != row.shape:
                wanted, got = tuple(row.shape), tuple(score.shape)
                raise ValueError(f"score_of must return {wanted}, got {got}")
            (gradient,) = torch.autograd.grad(score.sum(), points, create_graph=second_order)
        total = total.index_add(0, row, share(gradient, points, step, row))
    return total if second_order else total.detach()


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None, None]  # (N, 1, 1, 1)

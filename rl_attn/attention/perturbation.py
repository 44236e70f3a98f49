"""Perturbation saliency of agents: blur a spot of the frame and see what the agent would change.

    saliency = greydanus(lambda frames: agent(frames).logits, frames)      # (B, H, W) in [0, 1]
    saliency = sarfa(lambda frames: agent(frames).logits, frames, actions)

Greydanus et al. (2018) blur the frame round a location,

    frame' = frame * (1 - M) + blurred * M,     M a Gaussian spot of peak 1,      (their Eq. 1)

and measure the squared change of the output. SARFA (Puri et al. 2020) measures the change of *one*
action's probability, less where other actions change as well. For evaluation: no gradients.
Letters: B frames, C channels, H x W pixels, A actions, h x w probed locations.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from rl_attn.attention.cells import size_of
from rl_attn.attention.maps import Normalization, normalize, upsample

OutputsOf = Callable[[Tensor], Tensor]  # frames (N, C, H, W) -> (N, A)

#: Changes below this many units of rounding count as none: forwards of other batch sizes round
#: differently, and normalisation would blow that up to a map.
ROUNDING = 100


@torch.no_grad()
def greydanus(
    outputs_of: OutputsOf,
    frames: Tensor,
    *,
    stride: int = 5,
    spot: float = 5.0,
    blur: float = 3.0,
    channels: slice = slice(None),
    chunk: int = 64,
    normalization: Normalization = "max",
) -> Tensor:
    """1/2 |outputs(frame) - outputs(frame')|^2 at each location (Greydanus et al., Eq. 2).

    Args:
        outputs_of: logits (N, A) for the actor; the value as (N, 1) for the critic.
        frames: (B, C, H, W), floating point or uint8 (blurred frames are rounded).
        stride: pixels between probed locations; the paper's 5 is for 80 x 80 frames.
        spot: standard deviation of the Gaussian spot in pixels (the paper: variance 25).
        blur: standard deviation of the blur in pixels.
        channels: those blurred, e.g. slice(-3, None) for the newest of stacked frames.
        chunk: frames a forward.

    Returns:
        (B, H, W), upsampled bilinearly from the locations; in [0, 1] unless "none".

    >>> def outputs_of(frames):
    ...     return frames.flatten(1)
    >>> greydanus(outputs_of, torch.rand(1, 1, 20, 20)).shape
    torch.Size([1, 20, 20])
    """
    before = outputs_of(frames)  # (B, A)
    probes = _probes(outputs_of, frames, stride, spot, blur, channels, chunk)
    changes = [0.5 * _change(before[rows], after).square().sum(1) for rows, after in probes]
    return _finish(torch.cat(changes), frames, stride, normalization)


@torch.no_grad()
def sarfa(
    outputs_of: OutputsOf,
    frames: Tensor,
    actions: Tensor | None = None,
    *,
    stride: int = 5,
    spot: float = 5.0,
    blur: float = 3.0,
    channels: slice = slice(None),
    chunk: int = 64,
    normalization: Normalization = "max",
) -> Tensor:
    """2 K dp / (K + dp) where dp > 0, else 0 (Puri et al. 2020).

    dp is by how much the action's probability falls; K = 1 / (1 + KL) is the likeness of the
    other actions' renormalised probabilities, with KL(before || after) as the authors run it.

    Args:
        outputs_of: logits or Q-values (N, A), A of at least 2; their softmax is compared.
        actions: (B,) int64; None for the most probable ones.
        The others are `greydanus`'s.

    >>> def outputs_of(frames):
    ...     return frames.flatten(1)  # one action a pixel
    >>> sarfa(outputs_of, torch.rand(1, 1, 20, 20)).shape
    torch.Size([1, 20, 20])
    """
    before = outputs_of(frames).log_softmax(1)  # (B, A)
    actions = before.argmax(1) if actions is None else actions
    scores = [
        _sarfa(before[rows], after.log_softmax(1), actions[rows])
        for rows, after in _probes(outputs_of, frames, stride, spot, blur, channels, chunk)
    ]
    return _finish(torch.cat(scores), frames, stride, normalization)


def _change(before: Tensor, after: Tensor) -> Tensor:
    """before - after (N, A), zero where that is rounding of the largest output."""
    change = before - after
    floor = ROUNDING * torch.finfo(before.dtype).eps * before.abs().amax(1, keepdim=True)
    return torch.where(change.abs() > floor, change, 0.0)


def _sarfa(before: Tensor, after: Tensor, actions: Tensor) -> Tensor:
    """The score (N,) from log-probabilities (N, A) before and after."""
    if before.shape[1] < 2:
        raise ValueError("sarfa compares actions and needs at least 2; take greydanus for a value")
    index = actions[:, None]
    fall = (before.gather(1, index).exp() - after.gather(1, index).exp())[:, 0]  # (N,)
    own = torch.zeros_like(before, dtype=torch.bool).scatter(1, index, True)
    others = [t.masked_fill(own, -torch.inf).log_softmax(1) for t in (before, after)]
    ratio = (others[0] - others[1]).masked_fill(own, 0.0)
    likeness = 1 / (1 + (others[0].exp() * ratio).sum(1))
    positive = torch.where(fall > ROUNDING * torch.finfo(fall.dtype).eps, fall, 0.0)
    return 2 * likeness * positive / (likeness + positive)


def _probes(
    outputs_of: OutputsOf, frames: Tensor, stride, spot, blur, channels, chunk
) -> Iterator[tuple[Tensor, Tensor]]:
    """(rows (N,), outputs (N, A)) of perturbed frames: all locations of frame 0, of frame 1, ..."""
    height, width = frames.shape[2:]
    exact = frames.float() if not frames.is_floating_point() else frames
    blurred = exact.clone()
    blurred[:, channels] = gaussian_blur(exact[:, channels], blur)
    down = _spots(height, stride, spot, exact)  # (h, H)
    across = _spots(width, stride, spot, exact)  # (w, W)
    places = len(down) * len(across)
    for part in torch.arange(len(frames) * places, device=frames.device).split(chunk):
        row, place = part // places, part % places
        spots = down[place // len(across)][:, :, None] * across[place % len(across)][:, None, :]
        mixed = torch.lerp(exact[row], blurred[row], spots[:, None])  # (N, C, H, W)
        if not frames.is_floating_point():
            mixed = mixed.round().to(frames.dtype)
        yield row, outputs_of(mixed)


def gaussian_blur(frames: Tensor, deviation: float) -> Tensor:
    """Separable Gaussian blur of (B, C, H, W), cut at 4 deviations, edges repeated."""
    for axis in (2, 3):
        reach = min(int(4 * deviation + 0.5), 4 * frames.shape[axis])
        offsets = torch.arange(-reach, reach + 1, device=frames.device, dtype=frames.dtype)
        kernel = (-0.5 * (offsets / deviation) ** 2).softmax(0)  # sums to 1
        lines = frames.transpose(axis, 3)
        flat = lines.reshape(-1, 1, lines.shape[3])  # (lines, 1, pixels)
        padded = F.pad(flat, (reach, reach), mode="replicate")
        frames = F.conv1d(padded, kernel[None, None]).view(lines.shape).transpose(axis, 3)
    return frames


def _spots(size: int, stride: int, deviation: float, like: Tensor) -> Tensor:
    """(locations, size) profiles of spots, each location at the centre of its stride."""
    pixels = torch.arange(size, device=like.device, dtype=like.dtype)
    number = max(1, size // stride)
    centres = (torch.arange(number, device=like.device, dtype=like.dtype) + 0.5) * size / number
    return (-0.5 * ((pixels - centres[:, None] + 0.5) / deviation) ** 2).exp()


def _finish(scores: Tensor, frames: Tensor, stride: int, normalization: Normalization) -> Tensor:
    size = size_of(frames)
    grid = tuple(max(1, pixels // stride) for pixels in size)
    return normalize(upsample(scores.view(len(frames), *grid), size), normalization)

"""Networks that are trained here to teach another one: small, and on pictures without the shortcut.

Letters: N pictures, B of a batch, C channels, H x W pixels.
"""

import math
import sys
from collections.abc import Callable
from copy import deepcopy

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor, nn

from rl_attn.run.optimizers import eager
from rl_attn.supervised.batches import View
from rl_attn.supervised.data import Split
from rl_attn.supervised.data.resize import resize

BATCH = 64
_JITTER, _SHIFT = 0.12, 0.1  # standard deviations of `moved`


def fit_teacher(
    model: nn.Module,
    pictures: Callable[[Tensor], tuple[Tensor, Tensor]],
    number: int,
    epochs: int,
    generator: torch.Generator,
) -> float:
    """Train `model` from fresh weights with Adam; returns its accuracy on pictures held out.

    Args:
        pictures: indices (B,) of 0..number-1 -> pictures (B, C, H, W) and labels (B,).
        number: of pictures; the last tenth is held out.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        for module in model.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    model.train().requires_grad_(True)
    order = torch.randperm(number, generator=generator)
    taught, held = order[: -max(1, number // 10)], order[-max(1, number // 10) :]
    optimizer = eager(torch.optim.Adam)(model.parameters(), 1e-3)
    silent = not sys.stdout.isatty()
    for _ in track(range(epochs), "teacher's epochs", transient=True, disable=silent):
        for part in taught[torch.randperm(len(taught), generator=generator)].split(BATCH):
            x, labels = pictures(part)
            optimizer.zero_grad()
            F.cross_entropy(model(x), labels).backward()
            optimizer.step()
    model.zero_grad(set_to_none=True)
    model.eval().requires_grad_(False)
    hits = [model(x).argmax(1) == labels for x, labels in map(pictures, held.split(512))]
    return torch.cat(hits).float().mean().item()


def copied(model: nn.Module) -> nn.Module:
    """A model of its own with the same architecture, without gradients."""
    twin = deepcopy(model)
    twin.zero_grad(set_to_none=True)
    return twin


def fit_on(model: nn.Module, split: Split, view: View, size: int, steps: int) -> float:
    """`fit_teacher` on a split of another data set, each time moved a little; from a fixed seed.

    Args:
        view: what the pupil's pictures are normalised by.
        size: side of the pupil's pictures.
        steps: of 64 pictures, to the end of an epoch.
    """
    generator = torch.Generator().manual_seed(0)
    images = resize(split.images, size).float()

    def pictures(index: Tensor) -> tuple[Tensor, Tensor]:
        part = index.to(images.device)
        return view.pictures(moved(images[part], generator)), split.labels[part]

    epochs = math.ceil(steps * BATCH / len(images))
    return fit_teacher(model, pictures, len(images), epochs, generator)


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (B, C, H, W), each turned, sheared, scaled and shifted a little, on black."""
    draws = torch.randn(len(images), 2, 3, generator=generator)
    change = draws * torch.tensor([_JITTER, _JITTER, _SHIFT]) + torch.eye(2, 3)
    grid = F.affine_grid(change.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def without_colour(pictures: Tensor, view: View) -> Tensor:
    """Normalised pictures (B, C, H, W) in black and white, normalised: each pixel as bright as its
    brightest channel, and each picture's brightest pixel white."""
    mean, std = view.mean[:, None, None], view.std[:, None, None]
    bright = (pictures * std + mean).amax(1, keepdim=True)
    grey = bright / bright.amax((2, 3), keepdim=True).clamp_min(1 / 255)
    return (grey - mean) / std

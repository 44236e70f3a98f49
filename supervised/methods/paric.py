"""PARIC: GALS with a reference that knows how sure it is (Nautiyal et al. 2025).

Probabilistic adapters over CLIP give a distribution of maps; the mean or the median of K samples is
the reference of GALS. No code was released. Here the adapter works on the reference maps
themselves (`--masks FOLDER`, or the data set's): for each cell it says, from the cells around it
and not from the cell itself, which value to expect and how far off that may be, as a Gaussian
whose likelihood it was fitted to. A cell that contradicts its surroundings, which the fragments of
CLIP's maps do, is taken back to them; one amid disagreement is uncertain. K samples of every map
are drawn once, before training.

The adapter is fitted to the maps of each split by themselves, without labels.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rl_attn.attention import paric_reference
from rl_attn.errors import UserError
from rl_attn.supervised.methods.gals import Gals


@dataclass
class Paric(Gals):
    """Cross-entropy + weight * input gradients off the aggregate of sampled maps."""

    name: ClassVar[str] = "paric"
    masks_alone: ClassVar[bool] = False  # the adapter is fitted to all of them
    separable: ClassVar[bool] = False  # the references differ by seed

    samples: int = 10
    """K, maps drawn for each picture"""
    aggregate: Literal["mean", "median"] = "median"
    """of the K maps"""
    adapter_steps: int = 200
    """by which the adapter is fitted to the maps"""

    def check(self, settings: Any) -> None:
        for name in ("samples", "adapter_steps"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} must be 1 or more, got {getattr(self, name)}")

    def annotations(self, masks: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        adapter = fitted_adapter(masks, self.adapter_steps, generator)
        references = []
        with torch.no_grad():
            for part in masks.split(512):
                maps = part.float() / 255
                drawn = paric_reference(
                    adapter.sample(maps, self.samples, generator), self.aggregate
                )
                known = maps.flatten(1).any(1)[:, None, None]  # no map stays no map
                references.append((drawn * known * 255).round().byte())
        return torch.cat(references)


class BlindSpotAdapter(nn.Module):
    """Each cell's mean and deviation from the 24 cells around it."""

    def __init__(self, hidden: int = 16):
        super().__init__()
        self.around = nn.Conv2d(1, hidden, 5, padding=2)
        self.mix = nn.Conv2d(hidden, hidden, 1)
        self.out = nn.Conv2d(hidden, 2, 1)
        spot = torch.ones(5, 5)
        spot[2, 2] = 0
        self.register_buffer("spot", spot)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W) in [0, 1] -> mean in (0, 1) and deviation above 0.01, each (B, H, W)."""
        x = F.conv2d(maps[:, None], self.around.weight * self.spot, self.around.bias, padding=2)
        mean, deviation = self.out(F.relu(self.mix(F.relu(x)))).unbind(1)
        return mean.sigmoid(), F.softplus(deviation) + 0.01

    def sample(self, maps: Tensor, number: int, generator: torch.Generator) -> Tensor:
        """`number` maps drawn for each of (B, H, W), clipped to [0, 1]: (B, number, H, W)."""
        mean, deviation = self(maps)
        noise = torch.randn(len(maps), number, *maps.shape[1:], generator=generator)
        return (mean[:, None] + deviation[:, None] * noise).clamp(0, 1)


def fitted_adapter(masks: Tensor, steps: int, generator: torch.Generator) -> BlindSpotAdapter:
    """The adapter of greatest likelihood, by Adam on 32 of the masks (N, H, W) uint8 at a time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        adapter = BlindSpotAdapter()
    optimizer = torch.optim.Adam(adapter.parameters(), 1e-2)
    for _ in range(steps):
        index = torch.randint(len(masks), (32,), generator=generator)
        maps = masks[index].float() / 255
        mean, deviation = adapter(maps)
        loss = F.gaussian_nll_loss(mean, maps, deviation.square())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return adapter.requires_grad_(False)

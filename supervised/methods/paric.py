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

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rl_attn.errors import UserError
from rl_attn.supervised.methods.gals import Gals

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Paric(Gals):
    """Cross-entropy + weight * input gradients off the aggregate of sampled maps."""

    name: ClassVar[str] = "paric"
    masks_alone: ClassVar[bool] = False  # the adapter is fitted to all of them
    separable: ClassVar[bool] = False  # the references differ by seed

    samples: int = 10
    """K, maps drawn for each picture"""
    aggregate: Literal["mean", "median"] = "median"
    """how the K maps become one"""
    adapter_steps: int = 200
    """steps that fit the adapter to the maps"""

    def check(self, settings: Any) -> None:
        for name in ("samples", "adapter_steps"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} must be 1 or more, got {getattr(self, name)}")

    def annotations(self, masks: Tensor, seed: int) -> Tensor:
        import torch

        from rl_attn.attention import paric_reference
        from rl_attn.supervised.blind_spot import fitted_adapter

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

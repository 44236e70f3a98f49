"""Where attention varies from picture to picture (CAMAL, Hundal et al. 2026, Fig. 3, bottom right).

Attention that follows the object varies where objects vary: its variance looks like that of the
masks. Attention that has settled on a spot varies nowhere, or round that spot.
"""

from pathlib import Path

import numpy as np

from rl_attn.attention import SpatialVariance
from rl_attn.run.files import replacing
from rl_attn.supervised.batches import Batches
from rl_attn.supervised.evaluation import at_rest, attention_of
from rl_attn.supervised.network import Network

#: Pictures at once.
_BATCH = 256


def spatial_variance(network: Network, batches: Batches) -> dict[str, np.ndarray]:
    """Of a whole split, of all copies of a network together.

    Returns:
        count (), mean and variance (H, W) of attention in [0, 1] at the pictures' size; where there
        are masks also mask_count (), mask_mean and mask_variance, over those that are not empty.
    """
    attended, masked = SpatialVariance(), SpatialVariance()
    with at_rest(network):
        for batch in batches.in_order(_BATCH, network.copies):
            attention = attention_of(network, batch)[1]
            attended.add(attention.upsample(tuple(batch.pictures.shape[2:])))
            if batch.masks is not None:
                on = batch.masks > 0.5
                present = on.flatten(1).any(1)
                if present.any():
                    masked.add(on[present])
    return _as_arrays(attended, "") | (_as_arrays(masked, "mask_") if masked.count else {})


def _as_arrays(found: SpatialVariance, prefix: str) -> dict[str, np.ndarray]:
    return {
        f"{prefix}count": np.array(found.count),
        f"{prefix}mean": found.mean.float().cpu().numpy(),
        f"{prefix}variance": found.value.float().cpu().numpy(),
    }


def save_arrays(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """A compressed .npz, in one move; the folder is made where it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as scratch, scratch.open("wb") as out:
        np.savez_compressed(out, **arrays)

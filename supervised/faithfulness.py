"""Is what a network attends to what it decides by? Deletion, insertion, and the masks occluded.

CAMAL's protocol (Hundal et al. 2026, section 4.2 and its evaluation details): a few test pictures
of each class, the same ones for every method; pixels go to black, or come back from a black
picture, in the order of the attention to the true class; what is followed is the softmax
probability of that class. Faithful attention: a small area under deletion, a large one under
insertion.

The falsifier asks it of the masks instead, without any attention map: if a network decides by what
its mask marks, then its confidence falls when that turns black, and it falls by more than that of a
network which does not.
"""

from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from rl_attn.attention import deletion, insertion
from rl_attn.attention.curves import Curve
from rl_attn.supervised.batches import Batch, Batches
from rl_attn.supervised.evaluation import at_rest, attention_of
from rl_attn.supervised.network import Network


class Faithfulness(NamedTuple):
    """Both curves of the same pictures."""

    deletion: Curve
    insertion: Curve

    def table(self) -> pd.DataFrame:
        """Columns share, deletion, insertion: means over the pictures."""
        means = {name: curve.values.mean(0).cpu().numpy() for name, curve in self._asdict().items()}
        return pd.DataFrame({"share": self.deletion.shares.cpu().numpy(), **means})

    def areas(self) -> dict[str, float]:
        """Means of the areas under the curves, as an evaluation's summary names them."""
        return {f"{k}_area": curve.areas.mean().item() for k, curve in self._asdict().items()}


def chosen(labels: Tensor, per_class: int) -> Tensor:
    """Indices of so many pictures of each class, as many as there are; always the same ones."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    shuffled = labels.cpu()[order]
    return torch.cat([order[shuffled == label][:per_class] for label in shuffled.unique()])


def faithfulness(
    network: Network, batches: Batches, per_class: int, points: int = 51
) -> Faithfulness:
    """The curves of `per_class` pictures of each class of a split.

    Args:
        network: a single one (`copies` is 1).
        points: shares of pixels, evenly from 0 to 1.
    """
    if network.copies != 1:
        raise ValueError(f"faithfulness follows one network, got {network.copies} at once")
    batch = batches.take(chosen(batches.split.labels, per_class))
    size, black = tuple(batch.pictures.shape[2:]), _black(batches, batch)

    def confidence(pictures: Tensor, rows: Tensor) -> Tensor:
        probabilities = batch.task.predicted(network.plain(pictures).logits)
        return probabilities.gather(1, batch.labels[rows][:, None])[:, 0]

    with at_rest(network):
        attention = attention_of(network, batch)[1].upsample(size)
        follow = {"points": points, "removed": black}
        return Faithfulness(
            deletion(confidence, batch.pictures.detach(), attention, **follow),
            insertion(confidence, batch.pictures.detach(), attention, **follow),
        )


@torch.no_grad()
def confidence_falls(network: Network, batches: Batches, size: int = 256) -> list[float]:
    """By how much the softmax probability of the true class falls when all that the masks mark
    turns black, of each of the network's copies: means over the pictures that have a mask.

    Between -1 and 1; NaN where no picture has one.
    """
    falls = []
    with at_rest(network):
        for batch in batches.in_order(size, network.copies):
            marked = batch.masks > 0.5  # (S * B, H, W)
            occluded = torch.where(marked[:, None], _black(batches, batch), batch.pictures)
            whole, rest = (
                batch.task.predicted(network.plain(x).logits).gather(1, batch.labels[:, None])[:, 0]
                for x in (batch.pictures, occluded)
            )
            some = marked.flatten(1).any(1).view(network.copies, -1)[0]
            falls.append((whole - rest).view(network.copies, -1)[:, some])
    return torch.cat(falls, 1).mean(1).tolist()


def _black(batches: Batches, batch: Batch) -> Tensor:
    """Black pictures (B, C, H, W), normalised."""
    view = batches.view
    return (-view.mean / view.std)[:, None, None].expand_as(batch.pictures)

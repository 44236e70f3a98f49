"""How well a network classifies and where it looks, on one split.

Attention is one protocol for all methods: the Grad-CAM of the true class at the tapped layer (or
another map, `--attention`), divided by its maximum, upsampled to the pictures by where its cells
lie; of a number the size of the evidence that raises or lowers it; for networks without feature
maps the absolute input gradient. Pictures with an empty mask count for accuracy alone.

    accuracy, auroc, ... or mae, r2, ...   of classes or of numbers, see `scoring`
    iou, iou_ceiling                       at 0.7 (CAMAL, Eq. 8), and what the map's grid allows
    energy_inside, pointing_game           share of attention in the mask; share of peaks in it
    alpha, beta                            mean attention inside and outside (CAMAL, Eq. 1)
    dead_maps                              share of maps that are zero everywhere
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from rl_attn.attention import Attention, measure
from rl_attn.supervised.batches import Batch, Batches
from rl_attn.supervised.data import Split
from rl_attn.supervised.network import Network
from rl_attn.supervised.tasks import Classes


@contextmanager
def at_rest(network: Network) -> Iterator[None]:
    """Evaluation mode, no gradient for parameters; both are restored on exit."""
    model, training = network.model, network.model.training
    wanted = [(p, p.requires_grad) for p in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        model.train(training)
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)


def attention_of(network: Network, batch: Batch, signed: bool = False) -> tuple[Tensor, Attention]:
    """Logits (B, classes) and attention of the true classes, without a graph; `signed`: see
    `Network.explain`."""
    with torch.enable_grad():
        pictures = batch.pictures.detach()
        output = network.plain(pictures) if network.layer is None else network(pictures)
        attention = network.explain(
            output, pictures, batch.labels, signed=signed, second_order=False
        )
    return output.logits.detach(), attention.detach()


def evaluate(network: Network, batches: Batches, size: int = 256) -> list[dict[str, float]]:
    """Means over the split, of each of the network's copies."""
    return [means(v, batches.split, batches.task) for v in measured(network, batches, size)]


def measured(network: Network, batches: Batches, size: int = 256) -> list[dict[str, Tensor]]:
    """What is measured of each picture of the split, of each of the network's copies: (N,) each,
    and what is predicted, (N, classes), see `tasks.py`."""
    parts, copies = [], network.copies
    with at_rest(network):
        for batch in batches.in_order(size, copies):
            logits, attention = attention_of(network, batch)
            values = {"predictions": batch.task.predicted(logits)}
            if batch.masks is not None:
                values |= measure(attention, batch.masks, batch.known)
            parts.append({name: v.unflatten(0, (copies, -1)) for name, v in values.items()})
    columns = {name: torch.cat([part[name] for part in parts], 1) for name in parts[0]}  # (S, N)
    return [{name: v[copy] for name, v in columns.items()} for copy in range(copies)]


def accuracies(network: Network, batches: Batches, size: int = 512) -> list[float]:
    """The accuracy of each of the network's copies on the split, without attention."""
    right = torch.zeros(network.copies, device=batches.split.labels.device)
    with at_rest(network), torch.no_grad():
        for batch in batches.in_order(size, network.copies):
            logits = network.plain(batch.pictures).logits
            right += batch.task.right(logits, batch).view(network.copies, -1).sum(1)
    return (right / len(batches)).tolist()


def means(columns: dict[str, Tensor], split: Split, task: Classes) -> dict[str, float]:
    """Of one network's values on a split, see `measured`."""
    values = dict(columns)
    result = task.measures(values.pop("predictions"), split)
    present = values.pop("present", None)
    if present is not None and present.any():
        result |= {name: column[present].mean().item() for name, column in values.items()}
    return result

"""How well a network classifies and where it looks, on one split.

Attention is one protocol for all methods: the Grad-CAM of the true class at the tapped layer (or
another map, `--attention`), divided by its maximum, upsampled to the pictures by where its cells
lie; for networks without feature maps the absolute input gradient. Pictures with an empty mask
count for accuracy alone.

    accuracy, worst_group_accuracy         in [0, 1]
    precision, recall, f1                  of the second of two classes; of more, classes' mean
    iou, iou_ceiling                       at 0.7 (CAMAL, Eq. 8), and what the map's grid allows
    energy_inside, pointing_game           share of attention in the mask; share of peaks in it
    alpha, beta                            mean attention inside and outside (CAMAL, Eq. 1)
    dead_maps                              share of maps that are zero everywhere
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor

from rl_attn.attention import Attention, measure
from rl_attn.supervised.batches import Batch, Batches
from rl_attn.supervised.data import Split
from rl_attn.supervised.network import Network


@contextmanager
def at_rest(network: Network) -> Iterator[None]:
    """Evaluation mode, no gradient for parameters; everything as it was afterwards."""
    model, training = network.model, network.model.training
    wanted = [(p, p.requires_grad) for p in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        model.train(training)
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)


def attention_of(network: Network, batch: Batch) -> tuple[Tensor, Attention]:
    """Logits (B, classes) and attention of the true classes, without a graph."""
    with torch.enable_grad():
        pictures = batch.pictures.detach()
        output = network.plain(pictures) if network.layer is None else network(pictures)
        attention = network.explain(output, pictures, batch.labels, second_order=False)
    return output.logits.detach(), attention.detach()


def evaluate(network: Network, batches: Batches, size: int = 256) -> list[dict[str, float]]:
    """Means over the split, of each of the network's copies."""
    parts, copies = [], network.copies
    with at_rest(network):
        for batch in batches.in_order(size, copies):
            logits, attention = attention_of(network, batch)
            values = {"predicted": logits.argmax(1)}  # each picture's, (S * B,)
            if batch.masks is not None:
                values |= measure(attention, batch.masks, batch.known)
            parts.append({name: v.view(copies, -1) for name, v in values.items()})
    columns = {name: torch.cat([part[name] for part in parts], 1) for name in parts[0]}  # (S, N)
    each = [{name: v[copy] for name, v in columns.items()} for copy in range(copies)]
    return [means(values, batches.split) for values in each]


def accuracies(network: Network, batches: Batches, size: int = 512) -> list[float]:
    """The accuracy of each of the network's copies on the split, without attention."""
    right = torch.zeros(network.copies, device=batches.split.labels.device)
    with at_rest(network), torch.no_grad():
        for batch in batches.in_order(size, network.copies):
            predicted = network.plain(batch.pictures).logits.argmax(1)
            right += (predicted == batch.labels).view(network.copies, -1).sum(1)
    return (right / len(batches)).tolist()


def means(columns: dict[str, Tensor], split: Split) -> dict[str, float]:
    """Of one network's values (N,) on a split."""
    result = scores(columns.pop("predicted"), split)
    present = columns.pop("present", None)
    if present is not None and present.any():
        result |= {name: values[present].mean().item() for name, values in columns.items()}
    return result


def scores(predicted: Tensor, split: Split) -> dict[str, float]:
    """Of the classes (N,) predicted for a split; precision without predictions is 0."""
    labels, correct = split.labels, (predicted == split.labels).float()
    result = {"accuracy": correct.mean().item()}
    if split.groups is not None:
        result["worst_group_accuracy"] = min(
            correct[split.groups == group].mean().item() for group in split.groups.unique()
        )
    binary = max(labels.max(), predicted.max()) < 2
    found = precision_recall_fscore_support(
        labels.cpu().numpy(),
        predicted.cpu().numpy(),
        average="binary" if binary else "macro",
        labels=None if binary else labels.unique().tolist(),
        zero_division=0,
    )
    return result | dict(zip(("precision", "recall", "f1"), map(float, found[:3]), strict=True))

"""How well classes or numbers were predicted: one network's predictions against a split's labels.

    accuracy, balanced_accuracy, worst_group_accuracy
    precision, recall (also called sensitivity), specificity, f1
    auroc, average_precision
    calibration_error      expected, of the predicted class's probability in 15 bins of equal width
                           (Guo et al., On calibration of modern neural networks, ICML 2017)

All are in [0, 1]. Those of one class are of the second of two classes; of more, means over the
classes that the split has. Precision without predictions is 0. What a split does not have is left
out: sensitivity without pictures of the class, specificity without others, and without both all
that weighs one against the other (precision, f1, balanced_accuracy, auroc, average_precision).

    mae, rmse              of numbers: mean absolute and root mean squared error, in their units
    r2                     1 - squared error / squared distance from the split's mean, at most 1
    pearson                correlation of numbers and predictions, in [-1, 1]
"""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.metrics import (
    average_precision_score,
    multilabel_confusion_matrix,
    roc_auc_score,
)
from torch import Tensor

from rl_attn.supervised.data import Split

BINS = 15


def scores(predicted: Tensor, split: Split, probabilities: Tensor) -> dict[str, float]:
    """Of the classes (N,) predicted for a split, and the probabilities (N, classes) of all."""
    labels, correct = split.labels, (predicted == split.labels).float()
    result = {"accuracy": correct.mean().item()}
    if split.groups is not None:
        result["worst_group_accuracy"] = min(
            correct[split.groups == group].mean().item() for group in split.groups.unique()
        )
    matrix = confusion(predicted, labels, probabilities.shape[1])
    own, here = matrix.sum(1), matrix.sum(1) > 0
    if here.sum() > 1:
        result["balanced_accuracy"] = float((np.diag(matrix)[here] / own[here]).mean())
    of = [1] if len(matrix) == 2 else np.flatnonzero(here)
    result |= _rates(np.diag(matrix)[of], own[of], matrix.sum(0)[of], matrix.sum())
    result |= ranked(probabilities.cpu().numpy(), labels.cpu().numpy())
    confidence = probabilities.amax(1).cpu()
    return result | {"calibration_error": calibration_error(confidence, correct.cpu())}


def scores_of_labels(probabilities: Tensor, several: Tensor) -> dict[str, float]:
    """Where pictures have several labels: of the probability of each, and whether it is there, both
    (N, classes). A label is predicted above one half; means are over the labels, accuracy is of all
    decisions, exact_match of pictures all of whose are right."""
    true, predicted = several.cpu(), probabilities.cpu() > 0.5
    right = (true == predicted).float()
    result = {"accuracy": right.mean().item(), "exact_match": right.all(1).float().mean().item()}
    counts = ((true & predicted).sum(0), true.sum(0), predicted.sum(0))
    result |= _rates(*(count.numpy() for count in counts), len(true))
    if {"sensitivity", "specificity"} <= set(result):
        result["balanced_accuracy"] = (result["sensitivity"] + result["specificity"]) / 2
    both = (true.any(0) & ~true.all(0)).nonzero()[:, 0].tolist()
    result |= _areas([(true[:, i].numpy(), probabilities[:, i].cpu().numpy()) for i in both])
    confidence = torch.maximum(probabilities, 1 - probabilities).cpu().flatten()
    return result | {"calibration_error": calibration_error(confidence, right.flatten())}


def scores_of_numbers(predicted: Tensor, values: Tensor) -> dict[str, float]:
    """Both (N,). Where all values are the same there is neither r2 nor pearson; where all
    predictions are, their correlation is 0.

    >>> found = scores_of_numbers(torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1.0, 3.0, 5.0]))
    >>> {name: round(value, 3) for name, value in found.items()}
    {'mae': 0.667, 'rmse': 0.816, 'r2': 0.75, 'pearson': 0.945}
    """
    predicted, values = predicted.double(), values.double()
    error, own, said = predicted - values, values - values.mean(), predicted - predicted.mean()
    squares, total = error.square(), own.square().sum()
    result = {"mae": error.abs().mean().item(), "rmse": squares.mean().sqrt().item()}
    if total > 0:
        both = (total * said.square().sum()).sqrt().clamp_min(1e-12 * total)
        result["r2"] = (1 - squares.sum() / total).item()
        result["pearson"] = ((own * said).sum() / both).item()
    return result


def confusion_of_labels(probabilities: Tensor, several: Tensor) -> np.ndarray:
    """int (classes, 2, 2), of each label whether it is there by whether it was predicted."""
    return multilabel_confusion_matrix(several.cpu(), probabilities.cpu() > 0.5)


def confusion(predicted: Tensor, labels: Tensor, classes: int) -> np.ndarray:
    """int (classes, classes): how many of the class of a row were predicted as that of a column."""
    pairs = (labels * classes + predicted).cpu()
    return pairs.bincount(minlength=classes**2).view(classes, classes).numpy()


def _rates(right: np.ndarray, own: np.ndarray, said: np.ndarray, total: int) -> dict[str, float]:
    """Means over K classes, of how many of `total` pictures are rightly said to have each, have it,
    and are said to, (K,) each; without the rates that no class has."""
    others = total - own
    there, absent = own > 0, others > 0
    both = there & absent
    found = {
        "precision": right[both] / np.maximum(said[both], 1),
        "recall": right[there] / own[there],
        "f1": 2 * right[both] / (own + said)[both],
        "sensitivity": right[there] / own[there],
        "specificity": 1 - (said - right)[absent] / others[absent],
    }
    return {name: float(values.mean()) for name, values in found.items() if len(values)}


def ranked(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """AUROC and average precision; {} of a split with one class, for which there are none."""
    classes = np.unique(labels)
    if len(classes) < 2:
        return {}
    if probabilities.shape[1] == 2:
        classes = classes[1:]
    return _areas([(labels == label, probabilities[:, label]) for label in classes])


def _areas(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Means over pairs of whether a label is there and its probability; {} of none. NaN where a
    probability is, as of a network that has diverged."""
    measures = {"auroc": roc_auc_score, "average_precision": average_precision_score}
    if not all(np.isfinite(probabilities).all() for _, probabilities in pairs):
        return dict.fromkeys(measures, float("nan"))
    found = {name: [measure(*pair) for pair in pairs] for name, measure in measures.items()}
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def calibration_error(confidence: Tensor, correct: Tensor) -> float:
    """Of probabilities (N,) of the predicted classes, and whether these were right, (N,)."""
    bins = (confidence * BINS).long().clamp(0, BINS - 1)
    gap = torch.zeros(BINS).index_add(0, bins, correct.float() - confidence.float())
    return gap.abs().sum().item() / len(confidence)
